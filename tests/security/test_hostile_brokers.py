"""Brokers that break the protocol, refuse for ever or send us away: each has its cause, and costs no time or memory."""

import socket
import threading
import time

import pytest
from impostors import LoopbackServer, server_context
from loopback_fleet import CLOCK

from cloud import broker_files, fleet_folder
from firmware.board.mqtt_loop import PATH_DEAD_S
from firmware.link_causes import LinkCause
from firmware.records import Acked, Connected, Lost, Refused
from firmware.stage import StageThread
from tests.fuzz.streams import CONNACK, DEVICE, PUBACK, SUBACK, packet, talk, unit_session

WATCHED_S = 20.0
CPU_SHARE = 0.05


def connack(properties=b"", *, code=0, flags=0):
    return packet(0x20, bytes([flags, code, len(properties)]) + properties)


def goodbye(code, properties=b""):
    return packet(0xE0, bytes([code, len(properties)]) + properties)


ELSEWHERE = b"\x1c\x00\x0cevil.invalid"  # a server reference

CAUSES = {
    "receive maximum 0": (connack(b"\x21\x00\x00"), LinkCause.NO_MQTT),
    "a property that does not exist": (connack(b"\x7f\x00"), LinkCause.NO_MQTT),
    "a property of another packet": (connack(b"\x23\x00\x01"), LinkCause.NO_MQTT),
    "a property twice": (connack(b"\x21\x00\x05\x21\x00\x06"), LinkCause.NO_MQTT),
    "properties cut off": (packet(0x20, b"\x00\x00\x05\x21"), LinkCause.NO_MQTT),
    "a reason that is none": (connack(code=0x7E), LinkCause.NO_MQTT),
    "a reason of another packet": (connack(code=0x8E), LinkCause.NO_MQTT),
    "MQTT 3.1.1 only": (packet(0x20, b"\x00\x01"), LinkCause.UNSUPPORTED),
    "maximum QoS 0": (connack(b"\x24\x00"), LinkCause.UNSUPPORTED),
    "another name for this unit": (connack(b"\x12\x00\x03xyz"), LinkCause.UNSUPPORTED),
    "a second CONNACK": (CONNACK + CONNACK, LinkCause.NO_MQTT),
    "not authorised": (connack(code=0x87), LinkCause.NOT_AUTHORISED),
    "banned": (connack(code=0x8A), LinkCause.NOT_AUTHORISED),
    "busy": (connack(code=0x89), LinkCause.BUSY),
    "quota": (connack(code=0x97), LinkCause.BUSY),
    "connection rate": (connack(code=0x9F), LinkCause.BUSY),
    "unavailable": (connack(code=0x88), LinkCause.ENDED),
    "moved": (connack(ELSEWHERE, code=0x9D), LinkCause.MOVED),
    "use another": (connack(ELSEWHERE, code=0x9C), LinkCause.MOVED),
    "taken over": (CONNACK + goodbye(0x8E), LinkCause.TAKEN_OVER),
    "moved later": (CONNACK + goodbye(0x9D, ELSEWHERE), LinkCause.MOVED),
    "shutting down": (CONNACK + goodbye(0x8B), LinkCause.ENDED),
    "goodbye without a word": (CONNACK + packet(0xE0, b""), LinkCause.ENDED),
    "keep alive": (CONNACK + goodbye(0x8D), LinkCause.KEEP_ALIVE),
    "too large": (CONNACK + goodbye(0x95), LinkCause.TOO_LARGE),
    "alias": (CONNACK + goodbye(0x94), LinkCause.TOPIC_ALIAS),
    "may not hear": (CONNACK + packet(0x90, b"\x00\x01\x00\x87\x01"), LinkCause.NOT_AUTHORISED),
    "an authentication that nobody began": (CONNACK + packet(0xF0, b"\x18\x00"), LinkCause.NO_MQTT),
    "a PUBACK with a reason of CONNACK": (CONNACK + SUBACK + packet(0x40, b"\x00\x01\x95\x00"), LinkCause.NO_MQTT),
    "silence": (CONNACK, LinkCause.LOST),
}


@pytest.mark.parametrize("what", CAUSES)
def test_each_has_its_cause_and_none_of_its_words_is_shown_or_followed(what):
    said, cause = CAUSES[what]
    *_, ended = unit_session(said)
    assert isinstance(ended, Lost | Refused)
    assert ended.cause is cause
    assert "evil" not in ended.reason
    assert ended.reason.isprintable()


def test_acknowledgements_that_come_twice_or_of_nothing_count_once():
    events = unit_session(CONNACK + SUBACK + PUBACK * 3 + packet(0x40, b"\x12\x34\x00\x00") + packet(0x70, b"\x00\x01"))
    assert [event for event in events if isinstance(event, Acked)] == [Acked(5)]


def test_a_refused_read_has_the_cause_of_its_reason():
    refused = CONNACK + SUBACK + packet(0x40, b"\x00\x01\x97\x00")
    (event,) = [event for event in unit_session(refused) if isinstance(event, Refused)]
    assert (event.token, event.cause) == (5, LinkCause.BUSY)


@pytest.mark.parametrize(("puback", "causes"), [(b"\x00\x02", []), (b"\x00\x02\x87\x00", [LinkCause.NOT_AUTHORISED])])
def test_a_status_that_the_broker_takes_is_no_read_and_one_that_it_refuses_is_told(puback, causes):
    _, events = talk([CONNACK, SUBACK, packet(0x40, puback)], [])  # of the birth, after SUBSCRIBE
    assert not [event for event in events if isinstance(event, Acked)]
    assert [event.cause for event in events if isinstance(event, Refused)] == causes


def reads_said(said):
    """Return of each PUBLISH of a read in a unit's bytes its topic and its alias (None: it has none)."""
    found = []
    while said:
        length, used, shift = 0, 1, 0
        while True:
            length |= (said[used] & 0x7F) << shift
            shift, used = shift + 7, used + 1
            if said[used - 1] < 0x80:
                break
        kind, body, said = said[0], said[used : used + length], said[used + length :]
        if kind == 0x32 and body.endswith(b"read"):
            topic_bytes = int.from_bytes(body[:2], "big")
            properties = body[4 + topic_bytes + 1 : 4 + topic_bytes + 1 + body[4 + topic_bytes]]
            alias = properties.find(b"\x23\x00")
            found.append((body[2 : 2 + topic_bytes].decode(), properties[alias + 2] if alias >= 0 else None))
    return found


TO_COME = b"\x30\xff\xff\xff\x7f" + bytes(100)  # the beginning of 256 MB
TOPIC = f"kestrel/v1/{DEVICE}/read"


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        (b"\x22\x00\x0a", [(TOPIC, 1), ("", 1), ("", 1)]),
        (b"\x22\x00\x01", [(TOPIC, 1), ("", 1), ("", 1)]),
        (b"\x22\x00\x00", [(TOPIC, None)] * 3),
        (b"", [(TOPIC, None)] * 3),
    ],
)
def test_an_alias_is_used_only_where_it_is_offered_and_the_first_read_says_the_topic(offered, expected):
    assert reads_said(talk([connack(offered), SUBACK], [1, 2, 3])[0]) == expected


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_not_even_with_its_birth_does_a_unit_exceed_the_broker_s_limit(limit):
    words = [connack(b"\x21\x00" + bytes([limit])), SUBACK]
    assert len(reads_said(talk(words, [1, 2, 3])[0])) == limit - 1  # the birth is one of them
    assert len(reads_said(talk([*words, packet(0x40, b"\x00\x02")], [1, 2, 3])[0])) == limit


def test_the_socket_notices_a_path_that_is_dead(broker, make_unit):
    unit = make_unit()
    assert unit.run_until(lambda: unit.uplink._connected is not None)
    client = unit.link._session._client
    asked = client.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert asked == PATH_DEAD_S * 1000
    assert client.socket().getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert client.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 300 + PATH_DEAD_S
    assert client.keepalive == unit.config.uplink.keepalive_s == 300


@pytest.mark.parametrize(("said", "kept"), [(b"\x13\x00\x3c", 60), (b"\x13\x00\x00", 300), (b"\x13\xff\xff", 300)])
def test_a_server_s_keep_alive_counts_if_it_is_shorter_and_is_never_for_ever(fleet_path, make_unit, said, kept):
    unit = make_unit()
    with Hostile(fleet_path, [lambda connection: (connection.sendall(connack(said) + SUBACK), connection.recv(4096))]):
        assert unit.run_until(lambda: unit.uplink._connected is not None)
        assert unit.link._session._client.keepalive == kept
        unit.close()


class Hostile(LoopbackServer):
    """A broker with the fleet's own certificate that answers each CONNECT in one of these ways, by turns, for ever."""

    def __init__(self, fleet_path, answers):
        super().__init__(fleet_folder.load(fleet_path).port)
        folder = fleet_path / fleet_folder.BROKER_FOLDER
        self._tls = server_context(folder, folder / broker_files.AUTHORITY_NAME)
        self._answers = answers

    def answer(self, connection):
        answer = self._answers[(self.calls - 1) % len(self._answers)]
        if answer is not None:
            connection.settimeout(5)
            with self._tls.wrap_socket(connection, server_side=True) as inside:
                inside.recv(4096)
                answer(inside)


@pytest.mark.parametrize("said", [TO_COME, packet(0x30, b"\x00\x01x\x00" + bytes(20_000))], ids=["256MB", "20kB"])
def test_a_packet_larger_than_a_unit_asked_for_is_not_waited_for(fleet_path, make_unit, said):
    unit = make_unit()
    with Hostile(fleet_path, [lambda connection: (connection.sendall(CONNACK + said), connection.recv(4096))]):
        assert unit.run_until(lambda: unit.uplink.causes == {LinkCause.NO_MQTT: 1})
        unit.close()


HANG_UPS = {
    "before TLS": None,
    "before CONNACK": lambda _connection: None,
    "after CONNACK": lambda connection: connection.sendall(CONNACK + SUBACK),
    "with a word": lambda connection: connection.sendall(CONNACK + SUBACK + goodbye(0x8B)),
    "with junk": lambda connection: connection.sendall(CONNACK + b"\x00" * 60_000),
    "refusing": lambda connection: connection.sendall(connack(code=0x97)),
}


def test_a_broker_that_hangs_up_at_once_for_ever_costs_no_time(fleet_path, make_unit):
    unit = make_unit()
    unit.put(5)
    bugs = []
    with Hostile(fleet_path, list(HANG_UPS.values())) as hostile:
        unit.uplink._jitter_s = lambda _attempt, _cause: 0.4  # far more often than the back-off allows: 1 to 1800 s
        thread = StageThread(unit.uplink, CLOCK.monotonic_s, lambda name, bug: bugs.append((name, bug)))
        begun_s = time.process_time()
        thread.start()
        threading.Event().wait(WATCHED_S)
        spent_s = time.process_time() - begun_s
        thread.ask_to_stop()
        assert thread.join(15.0)
        unit._is_closed = True
    assert bugs == []
    assert hostile.calls >= 2 * len(HANG_UPS)
    assert spent_s / WATCHED_S < CPU_SHARE
    assert 2 * unit.uplink.causes.total() >= hostile.calls - 1  # a refused TLS session costs a second call
    assert {LinkCause.UNREACHABLE, LinkCause.ENDED, LinkCause.NO_MQTT, LinkCause.BUSY} <= set(unit.uplink.causes)
    assert unit.outbox.count() == 5
    unit.outbox.close()


def test_there_is_a_session_to_begin_with():
    assert isinstance(unit_session(CONNACK + SUBACK + PUBACK)[0], Connected)
