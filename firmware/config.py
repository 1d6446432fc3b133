"""The typed configuration of a unit: every option once, with its default, bounds and unit; unknown keys are refused.

An option exists only where two sites need two values. All else is a constant beside the code that it belongs to.
"""

import base64
import binascii
from pathlib import Path
from typing import Annotated

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


class SealConfig(_Section, frozen=True, kw_only=True):
    """The agency's public keys. The unit cannot open what it has sealed."""

    agency_key: Base64Key  # X25519, raw
    receipt_key: Base64Key  # Ed25519, raw


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
        pins = [pin for pin in (self.pir_pin, self.ir_beam_pin, self.radar_pin, self.lamp_pin) if pin is not None]
        if len(set(pins)) < len(pins):
            raise ValueError("pir_pin, ir_beam_pin, radar_pin and lamp_pin must be different lines")


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


class DeviceConfig(_Section, frozen=True, kw_only=True):
    """All that two units may differ in."""

    version: Annotated[int, Meta(ge=1, le=2**62 - 1)]  # a receiver takes no higher one
    device_id: Annotated[str, Meta(pattern=DEVICE_ID_PATTERN)]
    site: SiteConfig
    seal: SealConfig
    uplink: UplinkConfig
    capture: CaptureConfig = CaptureConfig()
    reading: ReadingConfig = ReadingConfig()


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


def key_bytes(text: str) -> bytes:
    """Return the 32 bytes of a base64 key of the configuration. Raises ConfigRejected."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ConfigRejected("a key of the configuration is not base64") from error
