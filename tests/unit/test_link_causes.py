"""Every reason code of MQTT 5 has a class, and every class says what is done about it."""

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from firmware.board import session_terms
from firmware.link_causes import REASONS, TREATMENTS, LinkCause, cause_of
from firmware.records import Lost, Refused

OF_THE_STANDARD = """
00 success - | 01 granted - | 02 granted - | 04 with-will - | 10 no-subscribers - | 11 no-subscription - |
18 continue no-mqtt | 19 re-authenticate no-mqtt | 80 unspecified unspecified | 81 malformed no-mqtt |
82 protocol-error no-mqtt | 83 implementation unspecified | 84 protocol-version unsupported |
85 client-identifier not-authorised | 86 password not-authorised | 87 not-authorized not-authorised |
88 unavailable ended | 89 busy busy | 8a banned not-authorised | 8b shutting-down ended |
8c authentication-method not-authorised | 8d keep-alive keep-alive | 8e taken-over taken-over |
8f topic-filter unsupported | 90 topic-name unsupported | 91 identifier-in-use no-mqtt |
92 identifier-not-found no-mqtt | 93 receive-maximum no-mqtt | 94 topic-alias topic-alias |
95 packet-too-large too-large | 96 message-rate busy | 97 quota busy | 98 administrative ended |
99 payload-format unfit | 9a retain unsupported | 9b qos unsupported | 9c another-server moved |
9d server-moved moved | 9e shared-subscriptions unsupported | 9f connection-rate busy | a0 connect-time ended |
a1 subscription-identifiers unsupported | a2 wildcards unsupported
"""
"""MQTT 5, section 2.4: code, what it says in a word, and our class."""

ROWS = [row.split() for row in OF_THE_STANDARD.replace("\n", " ").split("|")]


def known_to_paho():
    """Return every code that a library of others knows, in any packet."""
    return {code for code in range(256) if code in ReasonCode(PacketTypes.CONNACK).names}


def test_the_table_is_the_standard_s():
    assert set(REASONS) == known_to_paho() == {int(code, 16) for code, _, _ in ROWS}
    assert len(ROWS) == 43


@pytest.mark.parametrize(("code", "what", "cause"), ROWS, ids=lambda value: value)
def test_each_reason_code_has_its_class(code, what, cause):
    assert (cause_of(int(code, 16)) or "-") == cause, what


def test_a_code_that_the_standard_does_not_have_is_no_mqtt():
    assert cause_of(0x7E) is cause_of(0xFF) is LinkCause.NO_MQTT


@pytest.mark.parametrize("cause", LinkCause)
def test_each_class_says_what_is_done(cause):
    treatment = TREATMENTS[cause]
    assert 1.0 <= treatment.base_s <= treatment.limit_s <= 1800.0
    assert bool(treatment.advice) == treatment.is_refusal  # what waiting does not mend, somebody must be told how to
    assert treatment.is_refusal or not treatment.is_of_one_message


@pytest.mark.parametrize(
    ("cause", "base_s"),
    [
        (LinkCause.LOST, 1.0),
        (LinkCause.ENDED, 1.0),
        (LinkCause.BUSY, 30.0),
        (LinkCause.NO_MQTT, 30.0),
        (LinkCause.NOT_AUTHORISED, 60.0),
        (LinkCause.TAKEN_OVER, 60.0),
        (LinkCause.MOVED, 60.0),
    ],
)
def test_what_needs_people_is_tried_less_often(cause, base_s):
    assert TREATMENTS[cause].base_s == base_s


def refusals_of(packet):
    """Return the codes of failure that a packet of this type may hold (MQTT 5, table 2-6)."""
    names = ReasonCode(PacketTypes.CONNACK).names
    return [code for code in names if code >= 0x80 and any(packet in packets for packets in names[code].values())]


@pytest.mark.parametrize(
    ("judge", "packet", "code"),
    [(session_terms.refusal, PacketTypes.CONNACK, code) for code in refusals_of(PacketTypes.CONNACK)]
    + [(session_terms.ending, PacketTypes.DISCONNECT, code) for code in refusals_of(PacketTypes.DISCONNECT)],
)
def test_each_code_becomes_a_sentence(judge, packet, code):
    outcome = judge(ReasonCode(packet, identifier=code))
    assert outcome.cause is cause_of(code)
    assert isinstance(outcome, Refused if TREATMENTS[outcome.cause].is_refusal else Lost)
    assert outcome.reason.isprintable()
    assert 20 < len(outcome.reason) < 200
