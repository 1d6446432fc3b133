"""Why a session or a message came to nothing, in one stable word for counters, and what is done about each.

Owns the reason codes of MQTT 5 (section 2.4): every one of them has a cause, and every cause a treatment. It knows no
library: board.mqtt_link translates to causes, the uplink treats them.
"""

import enum
from dataclasses import dataclass
from typing import Final


class LinkCause(enum.StrEnum):
    """Why it was not delivered. Stable words: counters in the health report go by them."""

    UNREACHABLE = "unreachable"  # no way to the broker: name, route, port
    TLS_REFUSED = "tls-refused"  # one end did not accept the other: certificate, version
    TLS_SESSION_REFUSED = "tls-session-refused"  # the broker did not go on with a resumed TLS session
    SILENT = "silent"  # no answer in time
    LOST = "lost"  # the connection went away without a word
    ENDED = "ended"  # the broker ended it in order: a restart, an operator
    KEEP_ALIVE = "keep-alive"  # the broker had heard nothing of us for too long
    BUSY = "busy"  # quota, rate, load
    NOT_AUTHORISED = "not-authorised"  # name, certificate or access list
    TAKEN_OVER = "taken-over"  # another client came with our name
    MOVED = "moved"  # we are sent to another broker
    TOO_LARGE = "too-large"  # this message, and no other
    UNFIT = "unfit"  # this message, and no other
    UNSUPPORTED = "unsupported"  # the broker lacks what a unit needs
    TOPIC_ALIAS = "topic-alias"  # the broker did not know the alias that it had offered
    NO_MQTT = "no-mqtt"  # one end broke the protocol
    UNSPECIFIED = "unspecified"  # the broker refuses and does not say why


REASONS: Final[dict[int, LinkCause | None]] = {
    0x00: None,  # success; as a DISCONNECT an end in order
    0x01: None,  # granted QoS 1
    0x02: None,  # granted QoS 2
    0x04: None,  # disconnect with will message
    0x10: None,  # no matching subscribers: the receiver has never been there; the read waits for its receipt
    0x11: None,  # no subscription existed
    0x18: LinkCause.NO_MQTT,  # continue authentication: nobody asked for one
    0x19: LinkCause.NO_MQTT,  # re-authenticate: the same
    0x80: LinkCause.UNSPECIFIED,
    0x81: LinkCause.NO_MQTT,  # malformed packet
    0x82: LinkCause.NO_MQTT,  # protocol error
    0x83: LinkCause.UNSPECIFIED,  # implementation specific error
    0x84: LinkCause.UNSUPPORTED,  # unsupported protocol version
    0x85: LinkCause.NOT_AUTHORISED,  # client identifier not valid
    0x86: LinkCause.NOT_AUTHORISED,  # bad user name or password
    0x87: LinkCause.NOT_AUTHORISED,
    0x88: LinkCause.ENDED,  # server unavailable
    0x89: LinkCause.BUSY,  # server busy
    0x8A: LinkCause.NOT_AUTHORISED,  # banned
    0x8B: LinkCause.ENDED,  # server shutting down
    0x8C: LinkCause.NOT_AUTHORISED,  # bad authentication method
    0x8D: LinkCause.KEEP_ALIVE,
    0x8E: LinkCause.TAKEN_OVER,
    0x8F: LinkCause.UNSUPPORTED,  # topic filter invalid
    0x90: LinkCause.UNSUPPORTED,  # topic name invalid
    0x91: LinkCause.NO_MQTT,  # packet identifier in use
    0x92: LinkCause.NO_MQTT,  # packet identifier not found
    0x93: LinkCause.NO_MQTT,  # receive maximum exceeded
    0x94: LinkCause.TOPIC_ALIAS,
    0x95: LinkCause.TOO_LARGE,
    0x96: LinkCause.BUSY,  # message rate too high
    0x97: LinkCause.BUSY,  # quota exceeded
    0x98: LinkCause.ENDED,  # administrative action
    0x99: LinkCause.UNFIT,  # payload format invalid
    0x9A: LinkCause.UNSUPPORTED,  # retain not supported
    0x9B: LinkCause.UNSUPPORTED,  # QoS not supported
    0x9C: LinkCause.MOVED,  # use another server
    0x9D: LinkCause.MOVED,  # server moved
    0x9E: LinkCause.UNSUPPORTED,  # shared subscriptions not supported
    0x9F: LinkCause.BUSY,  # connection rate exceeded
    0xA0: LinkCause.ENDED,  # maximum connect time
    0xA1: LinkCause.UNSUPPORTED,  # subscription identifiers not supported
    0xA2: LinkCause.UNSUPPORTED,  # wildcard subscriptions not supported
}
"""Every reason code of MQTT 5, section 2.4; None is no failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What is done about a cause.

    `base_s` and `limit_s` are of the back-off, in seconds. `is_refusal`: waiting alone does not mend it, so that a
    technician hears of it at once. `is_of_one_message`: that message is put aside and the others go on.
    """

    base_s: float
    limit_s: float
    is_refusal: bool = False
    is_of_one_message: bool = False
    advice: str = ""  # what to check, after a semicolon


_LOSS: Final = Treatment(base_s=1.0, limit_s=300.0)
_LATER: Final = Treatment(base_s=30.0, limit_s=300.0)


def _refusal(advice: str, *, base_s: float = 30.0, limit_s: float = 300.0) -> Treatment:
    return Treatment(base_s=base_s, limit_s=limit_s, is_refusal=True, advice=advice)


def _long(advice: str) -> Treatment:
    """Return what is done about a refusal that only people mend: half an hour apart, so that it costs no data plan."""
    return _refusal(advice, base_s=60.0, limit_s=1800.0)


def _of_one_message(advice: str) -> Treatment:
    return Treatment(base_s=30.0, limit_s=300.0, is_refusal=True, is_of_one_message=True, advice=advice)


TREATMENTS: Final[dict[LinkCause, Treatment]] = {
    LinkCause.UNREACHABLE: _LOSS,
    LinkCause.TLS_REFUSED: _refusal("check the certificates"),
    LinkCause.TLS_SESSION_REFUSED: _LOSS,
    LinkCause.SILENT: _LOSS,
    LinkCause.LOST: _LOSS,
    LinkCause.ENDED: _LOSS,
    LinkCause.KEEP_ALIVE: _LOSS,
    LinkCause.BUSY: _refusal("it is full or over its quota; raise the broker's limits, or its plan"),
    LinkCause.NOT_AUTHORISED: _long("check this unit's registration and the access list of the broker"),
    LinkCause.TAKEN_OVER: _long("another client came with this unit's name; find out who has a copy of its card"),
    LinkCause.MOVED: _long("a unit follows no broker elsewhere; set uplink.host to where the fleet's broker is now"),
    LinkCause.TOO_LARGE: _of_one_message("raise max_packet_size of the broker"),
    LinkCause.UNFIT: _of_one_message("switch the check of payloads off at the broker"),
    LinkCause.UNSUPPORTED: _long("a unit needs MQTT 5 with QoS 1; bring the broker up to date, or take another"),
    LinkCause.TOPIC_ALIAS: _LOSS,  # the next session goes without
    LinkCause.NO_MQTT: _LATER,
    LinkCause.UNSPECIFIED: _refusal("look in the broker's log"),
}


def cause_of(reason_code: int) -> LinkCause | None:
    """Return the cause of a reason code; None is no failure. A code that MQTT 5 does not have is no MQTT."""
    return REASONS.get(reason_code, LinkCause.NO_MQTT)
