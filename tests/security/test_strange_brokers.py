"""A broker whose bytes are no MQTT 5, or that would write into our log: the session ends, and nothing else does."""

import pytest

from cloud.subscription import BrokerLost
from firmware.link_causes import LinkCause
from firmware.records import Acked, Connected, Lost, Received, Refused
from tests.fuzz.streams import CONNACK, NO_UTF_8, PUBACK, SUBACK, packet, publication, unit_session
from tests.fuzz.table import TARGETS

STRANGE = {
    "a topic that is no UTF-8": NO_UTF_8,
    "a length of five bytes": b"\x30\xff\xff\xff\xff\xff",
    "a packet type that is none": packet(0x00, b""),
    "a packet that only clients send": packet(0x10, b"\x00\x04MQTT"),
    "a topic longer than its packet": packet(0x30, b"\xff\xffx"),
    "properties longer than their packet": packet(0x30, b"\x00\x01x\x7f"),
    "a property that does not exist": packet(0x30, b"\x00\x01x\x02\x7f\x00payload"),
    "an acknowledgement cut off": packet(0x40, b"\x00"),
    "a reason that is none": packet(0x40, b"\x00\x01\x7e\x00"),
}


@pytest.mark.parametrize("what", STRANGE)
def test_a_unit_counts_the_connection_as_lost(what):
    events = unit_session(CONNACK + SUBACK + STRANGE[what])
    assert isinstance(events[0], Connected)
    assert isinstance(events[-1], Lost)
    assert not [event for event in events if isinstance(event, Received)]


def test_a_unit_says_that_it_was_no_mqtt():
    (*_, ended) = unit_session(CONNACK + NO_UTF_8)
    assert ended == Lost("the broker sent what is no MQTT 5; check uplink.host and the broker", LinkCause.NO_MQTT)


@pytest.mark.parametrize("what", STRANGE)
def test_a_receiver_counts_the_connection_as_lost(what):
    with pytest.raises(BrokerLost):
        TARGETS["mqtt-receiver"].feed(CONNACK + SUBACK + STRANGE[what])


def test_a_limit_of_nothing_is_no_session():
    assert not [
        event for event in unit_session(packet(0x20, b"\x00\x00\x03\x21\x00\x00")) if isinstance(event, Connected)
    ]


def test_a_broker_cannot_write_into_the_reason_that_a_technician_reads():
    said = publication("alert ABC1234\x1b[2J all is well", b"")
    reasons = [event.reason for event in unit_session(said) if isinstance(event, Refused | Lost)]
    assert reasons
    assert not any("ABC1234" in reason or "well" in reason for reason in reasons)


def test_an_acknowledgement_of_what_was_never_sent_is_nothing():
    events = unit_session(CONNACK + PUBACK + packet(0x40, b"\x7f\xff\x00\x00"))
    assert [event.token for event in events if isinstance(event, Acked)] == [5]
