"""Every record that crosses a file boundary: frozen, typed, units in the names.

`_s` is monotonic seconds, `_utc_ms` the wall clock, `_ratio` lies in 0..1. What must not leak has a masked repr.
"""

import enum
import math
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from firmware.link_causes import LinkCause

if TYPE_CHECKING:  # NumPy takes a tenth of a second to load, which whoever has no picture before him need not wait
    import numpy as np
    import numpy.typing as npt

Image: TypeAlias = "npt.NDArray[np.uint8]"
"""uint8 (H, W, 3), BGR. A forward reference: write "Image | None" in quotes."""

Grey: TypeAlias = "npt.NDArray[np.uint8]"
"""uint8 (H, W), brightness. A forward reference, too."""


class TriggerSource(enum.StrEnum):
    """What said that something passes."""

    PIR = "pir"
    IR_BEAM = "ir-beam"
    RADAR = "radar"
    MOTION = "motion"


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerEdge:
    """A rising edge of a trigger, at monotonic seconds."""

    source: TriggerSource
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """How much light an exposure gathers. `lamp_ratio` is the infrared lamp's pulse, 0 (dark) to 1 (all it has)."""

    exposure_us: float
    gain: float
    lamp_ratio: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One exposure. `image` is uint8 (H, W, 3) BGR; exposure and gain are what the sensor reported.

    `infrared`: the lamp lit it, so that colours mean nothing.
    """

    number: int
    at_s: float
    taken_utc_ms: int
    clock_trusted: bool
    image: Image = field(repr=False)
    exposure_us: float
    gain: float
    infrared: bool


class BoxKind(enum.StrEnum):
    """What a box holds."""

    PLATE = "plate"
    VEHICLE = "vehicle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box in pixels of the full frame, with the detector's score.

    `corners_px` holds the four corners (top left, top right, bottom right, bottom left) where the detector answers
    them, so that a tilted plate can be rectified.
    """

    x_px: float
    y_px: float
    w_px: float
    h_px: float
    score_ratio: float
    kind: BoxKind = BoxKind.PLATE
    corners_px: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Character:
    """One character that the OCR believes in, with its confidence."""

    char: str = field(repr=False)
    score_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one plate box of one frame says. `alternatives` are whole texts, best first, without the best one."""

    frame_number: int
    at_s: float
    box: Box
    characters: tuple[Character, ...] = field(repr=False)
    score_ratio: float
    region: str | None
    region_score_ratio: float
    alternatives: tuple[str, ...] = field(default=(), repr=False)

    @property
    def text(self) -> str:
        """The characters as one string; may be empty."""
        return "".join(character.char for character in self.characters)


@dataclass(frozen=True, slots=True)
class PlateText:
    """A normalised plate. Its repr is masked, so no log line or traceback can hold a plate."""

    text: str

    def __post_init__(self) -> None:
        if not (
            self.text.isascii() and self.text.isalnum() and self.text == self.text.upper() and 2 <= len(self.text) <= 10
        ):
            raise ValueError("not a normalised plate")  # the value itself is not in the message

    def __repr__(self) -> str:
        return f"PlateText({'*' * len(self.text)})"


class Direction(enum.StrEnum):
    """Which way a vehicle went, as seen from the camera."""

    AWAY = "away"
    TOWARDS = "towards"


class PictureCoding(enum.IntEnum):
    """How a picture is packed. The numbers are the wire's and the store's."""

    JPEG = 1
    AVIF = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSize:
    """How large a picture that leaves with a read may be."""

    width_px: int
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a plate, packed."""

    coding: PictureCoding
    data: bytes = field(repr=False)


MAX_VEHICLE_BYTES: Final = 40_000
"""Of the picture of a vehicle: with its seal for four agencies, X-Wing ones at that, still one part of a paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One vehicle's way past the camera, voted over its frames. `picture` is the crop of the sharpest frame read.

    `partial`: too few frames agree, or too little is sure; nothing may be done on such a read alone.
    """

    first_utc_ms: int
    last_utc_ms: int
    last_boot_ms: int  # the last moment again, in milliseconds since the unit was started: this clock never jumps
    clock_trusted: bool
    plate: PlateText | None
    character_scores: tuple[float, ...]
    score_ratio: float
    region: str | None
    region_score_ratio: float
    frames: int
    infrared: bool
    partial: bool = False
    direction: Direction | None = None
    picture: Picture | None = None
    vehicle: Picture | None = None  # sealed apart from the read, kept on the unit, sent on request only


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a unit hangs. Degrees (WGS 84); the bearing is where the lens points, in degrees from north."""

    name: str
    latitude_deg: float = field(repr=False)
    longitude_deg: float = field(repr=False)
    bearing_deg: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One read in the clear. It exists in memory only, and only until it is sealed."""

    read_id: uuid.UUID
    device_id: str
    sequence: int
    boot_id: bytes  # 8 bytes that name the start of the unit
    site: Site = field(repr=False)
    passage: Passage
    model_version: str
    config_version: int


class MessageClass(enum.IntEnum):
    """What a message gives way to, on the disk and on the link: the higher one goes first and stays longer."""

    PICTURE = -1  # of a vehicle, because somebody asked for it; nothing waits for one
    HEALTH = 0
    READ = 1
    ALERT = 2
    PAPER = 3  # a technician stands beside the unit and waits for it; few and short


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One agency that can open a read: by which of its keys, under which suite, and the content key sealed to it."""

    key_id: bytes
    suite: int
    wrapped_key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRead:
    """A read that only its recipients can open. Key ids, suites and all above them are on the wire in the clear."""

    read_id: uuid.UUID
    device_id: str
    sequence: int
    message_class: MessageClass
    created_utc_ms: int
    recipients: tuple[Recipient, ...]
    ciphertext: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenVehicle:
    """A vehicle's picture, sealed under the id and the number of its read. `is_alert`: it goes along unasked."""

    sealed: SealedRead
    is_alert: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRequest:
    """The agency's word to one unit that it wants the picture of the vehicle of one read."""

    device_id: str
    read_id: uuid.UUID
    issued_utc_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The receiver's word that it has stored these sequence numbers: inclusive ranges, ascending, not touching.

    `asked_again` are numbers that it misses, in the same form: whatever of them still waits is to be sent again now.
    """

    device_id: str
    ranges: tuple[tuple[int, int], ...]
    issued_utc_ms: int
    asked_again: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUse:
    """The process's resident memory, and what is free in the contiguous pool of the camera (None: there is no pool)."""

    resident_bytes: int
    pool_free_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What went through a network interface since its driver made it, with all headers but those of the radio.

    `boot_id` and `device` tell counters apart that began anew: another start of the machine, another interface.
    """

    boot_id: str
    device: int
    received_bytes: int
    sent_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardState:
    """How the computer fares: temperature (None: no sensor), and get_throttled's bits (None: no Raspberry Pi)."""

    board_c: float | None
    throttled: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSample:
    """Battery and panel at monotonic `at_s`: volts, amperes, watts, degrees Celsius. None: nobody measures it.

    `board_c` is how warm the meter's own board is, beside the battery.
    """

    at_s: float
    battery_v: float | None
    battery_a: float | None  # positive while charging
    panel_v: float | None
    panel_w: float | None
    board_c: float | None

    def __post_init__(self) -> None:
        measured = (self.battery_v, self.battery_a, self.panel_v, self.panel_w, self.board_c)
        if not all(value is None or math.isfinite(value) for value in measured):
            raise ValueError("what is not measured is None and never NaN or infinite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The broker took the session. Limits are the broker's own, from its CONNACK.

    `session_expiry_s`: for how many seconds after a loss it promised to know this unit.
    """

    session_present: bool
    receive_maximum: int
    maximum_packet_bytes: int
    session_expiry_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Acked:
    """The broker took the message with this token. It frees the sending window and nothing else."""

    token: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker refused the message with this token, or the session (token None)."""

    token: int | None
    reason: str
    cause: LinkCause = LinkCause.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is gone or was never made."""

    reason: str
    cause: LinkCause = LinkCause.LOST


@dataclass(frozen=True, slots=True)
class Received:
    """A message came on one of this unit's own topics."""

    topic: str
    payload: bytes = field(repr=False)


LinkEvent = Connected | Acked | Refused | Lost | Received
