"""The typed configuration of a unit: every option once, with its default, bounds and unit; unknown keys are refused.

An option exists only where two sites need two values. All else is a constant beside the code that it belongs to.
"""

import base64
import binascii
import datetime as dt
import enum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from firmware import strict_json
from firmware.faults import ConfigRejected, DocumentRejected
from firmware.lane import WHOLE_PICTURE, flaw

DEVICE_ID_PATTERN = r"^k-[0-9a-z]{4,24}\Z"
"""A unit's name: certificate subject, MQTT user name and topic level. It says nothing about where the unit hangs."""

Base64Key = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{43}=\Z", description="32 bytes, base64")]

Pin = Annotated[int, Meta(ge=0, le=27, description="BCM number")]

Share = Annotated[float, Meta(ge=0, le=1)]

LanePoint = tuple[Share, Share]
"""x and y as shares of the picture's width and height, from its upper left corner."""


class _Section(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A part of the configuration: immutable, and a misspelt key stops the start."""


class SiteConfig(_Section, frozen=True, kw_only=True):
    """Where the unit hangs; travels sealed inside each read."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    latitude_deg: Annotated[float, Meta(ge=-90, le=90)]
    longitude_deg: Annotated[float, Meta(ge=-180, le=180)]
    bearing_deg: Annotated[float, Meta(ge=0, lt=360)] = 0.0


class SuiteName(enum.StrEnum):
    """How reads are sealed to an agency's key: with X25519 alone, or with ML-KEM-768 besides (post-quantum hybrid)."""

    X25519 = "x25519"
    X_WING = "x-wing"


PUBLIC_KEY_BYTES = {SuiteName.X25519: 32, SuiteName.X_WING: 1216}

AGENCY_KEYS_AT_MOST = 4
"""Two agencies that both change their keys at the same time."""

Moment = Annotated[dt.datetime, Meta(tz=True, description="RFC 3339, such as 2027-01-15T08:00:00Z")]


class AgencyKeyConfig(_Section, frozen=True, kw_only=True, omit_defaults=True):
    """One public key to which reads are sealed, and when: from a moment on, until before another (null: no limit)."""

    key: Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{43,1624}={0,2}\Z", description="the raw public key, base64")]
    suite: SuiteName = SuiteName.X25519
    valid_from_utc: Moment | None = None
    valid_until_utc: Moment | None = None

    def __post_init__(self) -> None:
        """Refuse what no single value shows. msgspec makes a ValidationError of it."""
        if len(self.key) != 4 * -(-PUBLIC_KEY_BYTES[self.suite] // 3):
            raise ValueError(
                f"key must be the base64 of the {PUBLIC_KEY_BYTES[self.suite]} bytes of an {self.suite} key"
            )
        if self.valid_from_utc and self.valid_until_utc and self.valid_until_utc <= self.valid_from_utc:
            raise ValueError("valid_until_utc must be later than valid_from_utc")


AgencyKeys = Annotated[tuple[AgencyKeyConfig, ...], Meta(min_length=1, max_length=AGENCY_KEYS_AT_MOST)]


class SealConfig(_Section, frozen=True, kw_only=True):
    """The public keys that the unit trusts. It cannot open what it has sealed."""

    agency_keys: AgencyKeys
    receipt_key: Base64Key  # Ed25519, raw
    retirement_key: Base64Key  # Ed25519, raw: the fleet's, which signs the command to erase

    def __post_init__(self) -> None:
        """Refuse what no single key shows. msgspec makes a ValidationError of it."""
        if len({entry.key for entry in self.agency_keys}) < len(self.agency_keys):
            raise ValueError("agency_keys must be different keys")
        if (moment := uncovered(self.agency_keys)) is not None:
            raise ValueError(
                f"agency_keys leave {moment}, to which no key is valid; let one begin earlier or end later"
            )


class CaptureConfig(_Section, frozen=True, kw_only=True):
    """When to look, where, and for how long the shutter may be open."""

    pir_pin: Pin | None = 17
    ir_beam_pin: Pin | None = 27
    radar_pin: Pin | None = 22
    lamp_pin: Pin | None = 18
    angle_deg: Annotated[float, Meta(ge=1, le=60, description="between the lens and the direction of travel")] = 20.0
    speed_mph: Annotated[float, Meta(ge=5, le=120, description="the fastest vehicle that must not blur")] = 75.0
    lane: Annotated[tuple[LanePoint, ...], Meta(min_length=3, max_length=16)] = WHOLE_PICTURE
    pre_trigger_s: Annotated[float, Meta(ge=1, le=1.5)] = 1.2
    post_trigger_s: Annotated[float, Meta(ge=0.1, le=5)] = 0.5
    motion_ratio: Annotated[float, Meta(ge=0.0005, le=0.5, description="share of the lane that changed")] = 0.004

    def __post_init__(self) -> None:
        """Refuse what no single value shows. msgspec makes a ValidationError of it."""
        if problem := flaw(self.lane):
            raise ValueError(f"lane {problem}; give its corners in order, as shares of the picture's width and height")
        if len(set(self.pins())) < len(self.pins()):
            raise ValueError("pir_pin, ir_beam_pin, radar_pin and lamp_pin must be different lines")

    def pins(self) -> list[int]:
        """Return the lines that are in use."""
        return [pin for pin in (self.pir_pin, self.ir_beam_pin, self.radar_pin, self.lamp_pin) if pin is not None]


class MountConfig(_Section, frozen=True, kw_only=True):
    """How the unit hangs and what it looks through, as the site was planned; aiming measures what came of it.

    A lane 3.5 m wide fills the picture where plates are 150 px wide, whatever the lens: the lens says where that is.
    """

    lens_mm: Annotated[float, Meta(ge=4, le=75, description="focal length")] = 16.0
    height_m: Annotated[float, Meta(ge=1, le=12, description="of the lens above the road")] = 3.4
    beside_m: Annotated[float, Meta(ge=-15, le=15, description="lens right of the lane's middle; left is negative")] = (
        2.1
    )
    ahead_m: Annotated[float, Meta(ge=3, le=40, description="along the road to where plates are to be read")] = 9.6


class GuardConfig(_Section, frozen=True, kw_only=True):
    """What tells that somebody opens the unit. The contact switches the line to ground; the Pi pulls it up.

    While the contact is as `tampered_when` says, the unit erases itself, also at its start: name the pin only when the
    lid is shut. `open` is the safer choice, because a cut wire is an open contact.
    """

    tamper_pin: Pin | None = None
    tampered_when: Literal["open", "closed"] = "open"


class ReadingConfig(_Section, frozen=True, kw_only=True):
    """What counts as a plate."""

    detection_score_ratio: Annotated[float, Meta(ge=0.05, le=0.99)] = 0.45
    reporting_score_ratio: Annotated[float, Meta(ge=0.0, le=0.999, description="below: a read is partial")] = 0.91


class UplinkConfig(_Section, frozen=True, kw_only=True):
    """The one place where the unit calls."""

    host: Annotated[str, Meta(pattern=r"^[0-9A-Za-z.:-]{1,253}\Z")]
    port: Annotated[int, Meta(ge=1, le=65535)] = 8883
    window: Annotated[int, Meta(ge=1, le=100, description="messages unacknowledged at most")] = 10
    keepalive_s: Annotated[int, Meta(ge=15, le=1800)] = 300
    retention_days: Annotated[int, Meta(ge=1, le=30)] = 30
    outbox_mb: Annotated[int, Meta(ge=1, le=64000)] = 2000


class BudgetConfig(_Section, frozen=True, kw_only=True):
    """The data plan, counted at one interface both ways."""

    month_mb: Annotated[int, Meta(ge=5, le=1_000_000)] = 500
    first_day: Annotated[int, Meta(ge=1, le=28, description="of the plan's month, at midnight UTC")] = 1
    reads_a_day: Annotated[int, Meta(ge=1, le=1_000_000, description="expected")] = 2400
    interface: Annotated[str, Meta(pattern=r"^[0-9A-Za-z_-][0-9A-Za-z_.-]{0,14}\Z")] = "wwan0"


class PicturesConfig(_Section, frozen=True, kw_only=True):
    """Pictures of vehicles' rears, which stay on the unit, sealed, and leave on request only."""

    vehicle_hours: Annotated[int, Meta(ge=0, le=720, description="how long they are kept; 0: none is taken")] = 72
    vehicle_mb: Annotated[int, Meta(ge=1, le=64_000, description="on the disk at most")] = 300


class HealthConfig(_Section, frozen=True, kw_only=True):
    """How often a unit says how it fares."""

    period_s: Annotated[int, Meta(ge=300, le=86_400)] = 10_800


class ModemConfig(_Section, frozen=True, kw_only=True):
    """The cellular modem, for a unit that calls over one. Its connection (APN) is the network service's to keep.

    `power_pin` drives a load switch in the modem's supply: the supply is off while the line is at the level of
    `power_off_when`, and on while nobody drives it. Without it the recovery ladder has no such rung.
    """

    power_pin: Pin | None = None
    power_off_when: Literal["high", "low"] = "high"


class MeterConfig(_Section, frozen=True, kw_only=True):
    """One power monitor on the header's I2C bus, with its shunt in the wire that is measured.

    Current counts as positive into the battery, and out of the panel; `is_reversed` says that the shunt is wired the
    other way round.
    """

    chip: Literal["ina219", "ina220", "ina226", "ina230", "ina231"]
    address: Annotated[str, Meta(pattern=r"^0x4[0-9a-f]\Z", description="on the I2C bus, as i2cdetect(8) says it")]
    shunt_mohm: Annotated[float, Meta(ge=0.5, le=1000, description="as printed on it: R100 is 100, R002 is 2")]
    is_reversed: bool = False


METER_PINS = frozenset({2, 3})
"""The header's I2C bus."""


class PowerConfig(_Section, frozen=True, kw_only=True):
    """What measures battery and panel, for a unit that has such meters. The battery is of LiFePO4 cells."""

    battery: MeterConfig | None = None
    panel: MeterConfig | None = None
    battery_cells: Annotated[int, Meta(ge=1, le=8, description="in series")] = 4

    def __post_init__(self) -> None:
        """Refuse what no single meter shows. msgspec makes a ValidationError of it."""
        meters = self.meters()
        if not meters:
            raise ValueError("power must name a battery's or a panel's meter; leave it out for a unit without")
        if len({meter.address for meter in meters}) < len(meters):
            raise ValueError("power.battery and power.panel must be measured by chips at different addresses")

    def meters(self) -> list[MeterConfig]:
        """Return those that are there."""
        return [meter for meter in (self.battery, self.panel) if meter is not None]


class TokenConfig(_Section, frozen=True, kw_only=True):
    """A secure element behind PKCS #11 that holds the key with which reads are signed."""

    module: Annotated[str, Meta(pattern=r"^/[0-9A-Za-z/._+-]{1,250}\.so(\.[0-9]+)*\Z", description="its library")]
    token_label: Annotated[str, Meta(min_length=1, max_length=32)]
    key_label: Annotated[str, Meta(pattern=r"^[0-9a-z-]{1,32}\Z")] = "kestrel"
    pin_file: Annotated[str, Meta(pattern=r"^/[0-9A-Za-z/._@-]{1,250}\Z", description="never the PIN itself")] = (
        "/run/credentials/kestrel.service/token-pin"
    )


class DeviceConfig(_Section, frozen=True, kw_only=True):
    """All that two units may differ in."""

    version: Annotated[int, Meta(ge=1, le=2**62 - 1)]  # a receiver takes no higher one
    device_id: Annotated[str, Meta(pattern=DEVICE_ID_PATTERN)]
    site: SiteConfig
    seal: SealConfig
    uplink: UplinkConfig
    capture: CaptureConfig = CaptureConfig()
    mount: MountConfig = MountConfig()
    reading: ReadingConfig = ReadingConfig()
    guard: GuardConfig = GuardConfig()
    budget: BudgetConfig = BudgetConfig()
    pictures: PicturesConfig = PicturesConfig()
    health: HealthConfig = HealthConfig()
    token: TokenConfig | None = None
    modem: ModemConfig | None = None
    power: PowerConfig | None = None

    def __post_init__(self) -> None:
        """Refuse a line with two uses. msgspec makes a ValidationError of it."""
        modem_pin = None if self.modem is None else self.modem.power_pin
        if self.power is not None and METER_PINS & {self.guard.tamper_pin, modem_pin, *self.capture.pins()}:
            raise ValueError("power uses BCM 2 and 3 for its meters; take another line for what else is there")
        if self.guard.tamper_pin is not None and self.guard.tamper_pin in self.capture.pins():
            raise ValueError("guard.tamper_pin must be another line than those of capture")
        if modem_pin is not None and modem_pin in {self.guard.tamper_pin, *self.capture.pins()}:
            raise ValueError("modem.power_pin must be another line than those of capture and guard")


def load(path: Path) -> DeviceConfig:
    """Read and check the configuration at `path`. Raises ConfigRejected with one sentence for a technician."""
    try:
        with path.open("rb") as file:
            data = file.read(strict_json.MAX_BYTES + 1)
    except OSError as error:
        raise ConfigRejected(
            f"{path}: cannot be read ({error.strerror}); make it with `kestrel-provision unit new`"
        ) from error
    return decode(data, str(path))


def decode(data: bytes, name: str) -> DeviceConfig:
    """Decode configuration bytes; `name` says in an error where they came from. Raises ConfigRejected."""
    try:
        return strict_json.decoded(data, DeviceConfig)
    except DocumentRejected as error:
        raise ConfigRejected(f"{name}: {error}; correct that key and start again") from error


def encode(config: DeviceConfig) -> bytes:
    """Return `config` as indented JSON that `decode` takes back."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"


def uncovered(keys: tuple[AgencyKeyConfig, ...]) -> str | None:
    """Return the first time at which no key is valid, in words, or None if there is always one."""
    reach = dt.datetime.min.replace(tzinfo=dt.UTC)
    for entry in sorted(keys, key=lambda entry: entry.valid_from_utc or dt.datetime.min.replace(tzinfo=dt.UTC)):
        if entry.valid_from_utc is not None and entry.valid_from_utc > reach:
            break
        if entry.valid_until_utc is None:
            return None
        reach = max(reach, entry.valid_until_utc)
    return f"the time from {reach.isoformat()} on" if reach.year > 1 else "the time before the first key begins"


def key_bytes(text: str) -> bytes:
    """Return the bytes of a base64 key of the configuration. Raises ConfigRejected."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ConfigRejected(
            "a key of the configuration cannot be read; make it again with `kestrel-provision unit new`"
        ) from error
