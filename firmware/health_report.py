"""How a unit fares, as a record and on the wire: the payload of a health message. Pure.

No plate, no picture, no place: nothing here could hold one but the hints of faults, which are this product's own
sentences. The payload is a CBOR array of the record's fields in their order. It never has more than MAX_HEALTH_BYTES,
so that with one agency's key its envelope stays within 1 KiB. What does not fit is cut in this order, and a receiver
sees what is left: hints to 60 characters, all hints, causes but the eight that count most, all causes, faults but the
eight that are oldest, texts to 12 characters.
"""

import enum
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from firmware import wire
from firmware.faults import DocumentRejected

MAX_HEALTH_BYTES: Final = 760
MAX_WHOLE: Final = wire.MAX_UTC_MS
MAX_TEXT_CHARACTERS: Final = 200
SHORT_HINT_CHARACTERS, SHORT_TEXT_CHARACTERS = 60, 12
FEW, MANY = 8, 64

Whole = Annotated[int, Meta(ge=-MAX_WHOLE, le=MAX_WHOLE)]
Text = Annotated[str, Meta(max_length=MAX_TEXT_CHARACTERS, pattern=r"^[ -~]*\Z")]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]


class KeyPlace(enum.StrEnum):
    """Where the key lies with which the unit signs."""

    FILE = "file"
    TOKEN = "token"  # noqa: S105  a place, no password


class Thrift(enum.IntEnum):
    """How a unit saves bytes; each step keeps what the one before it does."""

    PLENTY = 0
    SMALL_PICTURES = 1
    NO_PICTURES = 2
    RARE_HEALTH = 3
    READS_WAIT = 4  # what is left is for alerts


class _Part(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """A record that travels as a CBOR array of its fields."""


class ByClass(_Part, frozen=True, kw_only=True, array_like=True):
    """Messages, by class."""

    health: Whole = 0
    reads: Whole = 0
    alerts: Whole = 0


class FaultWord(_Part, frozen=True, kw_only=True, array_like=True):
    """One latched fault: since how many seconds, how often, and what a technician should check."""

    code: Name
    since_s: Whole
    count: Whole
    hint: Text


class Spent(_Part, frozen=True, kw_only=True, array_like=True):
    """Bytes at the modem's interface, both ways, and what the unit does about it."""

    day_bytes: Whole
    month_bytes: Whole
    thrift: Thrift


class PowerState(_Part, frozen=True, kw_only=True, array_like=True):
    """Battery and panel. A charging current is positive; None: nobody measures it."""

    battery_mv: Whole | None
    battery_ma: Whole | None
    panel_mw: Whole | None


class ModemReport(_Part, frozen=True, kw_only=True, array_like=True):
    """What the modem says of its cell; nothing that names a subscriber."""

    registration: Text
    technology: Text
    signal_dbm: Whole | None


class Health(_Part, frozen=True, kw_only=True, array_like=True):
    """How a unit fared at one moment. Counts are since the service started; None: nobody there can tell.

    `throttled` are the bits of the Raspberry Pi's get_throttled: 0 under-voltage, 1 frequency capped, 2 throttled,
    3 too warm, and 16 to 19 the same since the start.
    """

    made_utc_ms: Whole
    clock_trusted: bool
    uptime_s: Whole
    firmware_version: Text
    model_version: Text
    config_version: Whole
    key_place: KeyPlace
    waiting: Whole
    waiting_bytes: Whole
    oldest_s: Whole | None = None
    dropped: ByClass = ByClass()
    expired: ByClass = ByClass()
    frames_read: Whole = 0
    frames_given_up: Whole = 0
    reads_sealed: Whole = 0
    reads_lost: Whole = 0
    reads_last_hour: Whole = 0
    spent: Spent | None = None
    board_decidegrees: Whole | None = None  # Celsius
    throttled: Whole | None = None
    power: PowerState | None = None
    modem: ModemReport | None = None
    faults: Annotated[tuple[FaultWord, ...], Meta(max_length=MANY)] = ()
    causes: Annotated[dict[Name, Whole], Meta(max_length=MANY)] = {}


def fitted(health: Health) -> Health:
    """Return `health` with its numbers and texts in bounds, and cut until its payload is short enough."""
    health = msgspec.structs.replace(
        health,
        faults=tuple(sorted(health.faults, key=lambda one: -one.since_s)[:MANY]),
        causes=_most(health.causes, MANY),
    )
    health = msgspec.convert(_tidied(msgspec.to_builtins(health)), Health)
    for cut in _CUTS:
        if len(_encoded(health)) <= MAX_HEALTH_BYTES:
            break
        health = cut(health)
    return health


def payload(health: Health) -> bytes:
    """Return the canonical CBOR of what `fitted` makes of `health`: at most MAX_HEALTH_BYTES."""
    return _encoded(fitted(health))


def parse(data: bytes) -> Health:
    """Return the health in a payload. Raises DocumentRejected for all that `payload` does not make."""
    try:
        health = msgspec.convert(wire.decode(data, "payload"), Health)
    except msgspec.ValidationError:
        raise DocumentRejected("payload: not the health of a unit") from None
    if payload(health) != data:
        raise DocumentRejected("payload: health that is too long, or not canonical CBOR")
    return health


def _encoded(health: Health) -> bytes:
    return wire.encode(msgspec.to_builtins(health))


def _tidied(value: object) -> object:
    """Return builtins with whole numbers in bounds and texts in printable ASCII of a bounded length."""
    match value:
        case bool():
            return value
        case int():
            return min(MAX_WHOLE, max(-MAX_WHOLE, value))
        case str():
            return "".join(char if " " <= char <= "~" else "?" for char in value[:MAX_TEXT_CHARACTERS])
        case list() | tuple():
            return [_tidied(one) for one in value]
        case dict():
            return {key: _tidied(one) for key, one in value.items()}
        case _:
            return value


def _most(causes: dict[str, int], number: int) -> dict[str, int]:
    return dict(sorted(causes.items(), key=lambda one: (-one[1], one[0]))[:number])


def _with_hints(health: Health, characters: int) -> Health:
    words = tuple(msgspec.structs.replace(one, hint=one.hint[:characters]) for one in health.faults)
    return msgspec.structs.replace(health, faults=words)


def _with_short_texts(health: Health) -> Health:
    short = SHORT_TEXT_CHARACTERS
    modem = health.modem and msgspec.structs.replace(
        health.modem, registration=health.modem.registration[:short], technology=health.modem.technology[:short]
    )
    return msgspec.structs.replace(
        health,
        firmware_version=health.firmware_version[:short],
        model_version=health.model_version[:short],
        modem=modem,
    )


_CUTS: Final[tuple[Callable[[Health], Health], ...]] = (
    lambda health: _with_hints(health, SHORT_HINT_CHARACTERS),
    lambda health: _with_hints(health, 0),
    lambda health: msgspec.structs.replace(health, causes=_most(health.causes, FEW)),
    lambda health: msgspec.structs.replace(health, causes={}),
    lambda health: msgspec.structs.replace(health, faults=health.faults[:FEW]),
    _with_short_texts,
)
