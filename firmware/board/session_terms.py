"""On what terms a broker lets a unit in: what its CONNACK says, and what a unit cannot work with.

MQTT 5, section 3.2.2.3. Nothing that a broker writes in words (reason string, server reference, user properties) is
shown or followed.
"""

from dataclasses import dataclass
from typing import Final

from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from firmware.link_causes import TREATMENTS, LinkCause, cause_of
from firmware.records import Lost, Refused

# what holds if CONNACK does not say
RECEIVE_MAXIMUM_DEFAULT: Final = 65_535
PACKET_BYTES_DEFAULT: Final = 268_435_455


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the broker allows and promises. `session_expiry_s`: for how long it knows us after a loss."""

    receive_maximum: int
    maximum_packet_bytes: int
    topic_alias_maximum: int
    session_expiry_s: int
    keepalive_s: int


def terms_of(properties: Properties | None, *, keepalive_s: int, session_expiry_s: int) -> Terms:
    """Return the terms in a CONNACK's properties; the arguments are what was asked for.

    A server's keep-alive counts if it is shorter (section 3.2.2.3.14): to ask more often than it demands is allowed,
    and a unit looks for a dead connection however patient the broker is.
    """
    server_keepalive_s = getattr(properties, "ServerKeepAlive", 0)
    return Terms(
        receive_maximum=getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM_DEFAULT),
        maximum_packet_bytes=getattr(properties, "MaximumPacketSize", PACKET_BYTES_DEFAULT),
        topic_alias_maximum=getattr(properties, "TopicAliasMaximum", 0),
        session_expiry_s=getattr(properties, "SessionExpiryInterval", session_expiry_s),
        keepalive_s=min(keepalive_s, server_keepalive_s or keepalive_s),
    )


def objection(properties: Properties | None, device_id: str) -> Refused | None:
    """Return why a unit cannot work with a broker that has let it in, or None if it can."""
    if getattr(properties, "MaximumQoS", 1) == 0:
        return _unusable("the broker takes messages without acknowledging them only (maximum QoS 0)")
    if getattr(properties, "AssignedClientIdentifier", device_id) != device_id:
        return _unusable("the broker gives this unit another client identifier than its own")
    return None


def refusal(reason: ReasonCode) -> Refused | Lost:
    """Return what a CONNACK that lets nobody in means."""
    cause = cause_of(reason.value) or LinkCause.NO_MQTT
    if TREATMENTS[cause].is_refusal:
        return Refused(None, f"the broker does not let this unit in ({reason}); {TREATMENTS[cause].advice}", cause)
    return Lost(f"the broker is not ready for this unit ({reason}); wait, this unit calls again", cause)


def ending(reason: ReasonCode) -> Refused | Lost:
    """Return what a broker's DISCONNECT means."""
    cause = cause_of(reason.value) or LinkCause.ENDED
    if TREATMENTS[cause].is_refusal:
        return Refused(None, f"the broker ended the connection ({reason}); {TREATMENTS[cause].advice}", cause)
    return Lost(f"the broker ended the connection ({reason}); wait, this unit calls again", cause)


def _unusable(what: str) -> Refused:
    advice = TREATMENTS[LinkCause.UNSUPPORTED].advice
    return Refused(None, f"{what}; {advice}", LinkCause.UNSUPPORTED)
