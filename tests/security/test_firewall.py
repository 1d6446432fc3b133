"""The firewall's rules in a real kernel: a unit with open doors behind them, and somebody outside who knocks."""

import contextlib
import errno
import socket
import struct

import pytest
from network_spaces import BROKER4, BROKER6, OTHER4, OTHER6, PORT, UNIT4, UNIT6, run

from provisioning.host import addresses
from provisioning.host.addresses import Called, FirewallRefused

TCP_PORTS = [*range(1, 1025), 1883, 2024, 3389, 5000, 5353, 5555, 8000, 8080, 8443, 8883, 8884, 9000, 40000, 65535]
UDP_PORTS = [53, 67, 68, 69, 111, 123, 137, 161, 500, 546, 547, 1900, 4500, 5353, 5683, 8883, 40000]
SOURCE_PORTS = [53, 123, PORT]  # those of the places from which answers may come
DOORS = (22, 8080)
HELLOS = 5

# rules that let everything pass and make the kernel track connections, so that "established" is known to it
TRACKING = """
table inet lax {
    chain everything {
        type filter hook input priority filter; policy accept;
        ct state established accept
    }
}
"""

WAYS = pytest.mark.parametrize(("unit", "broker", "other"), [(UNIT4, BROKER4, OTHER4), (UNIT6, BROKER6, OTHER6)])


@pytest.fixture
def doors(cable):
    """Open doors on the unit: what a forgotten service would be."""
    with contextlib.ExitStack() as held:
        for port in DOORS:
            held.enter_context(cable.unit.listener("::", port))  # takes IPv4 too
        for family, address in ((socket.AF_INET, UNIT4), (socket.AF_INET6, UNIT6)):
            door = held.enter_context(cable.unit.socket(family, socket.SOCK_DGRAM))
            door.bind((address, 5353))
        yield


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def knock(cable, unit, source):
    """Knock from `source` at every port, also from the source ports of answers, and say hello by ICMP."""
    family = family_of(unit)
    with cable.outside.entered(), contextlib.ExitStack() as held:
        for source_port in [0, *SOURCE_PORTS]:
            for port in TCP_PORTS if source_port == 0 else DOORS:
                one = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind((source, source_port))
                one.settimeout(0)
                assert one.connect_ex((unit, port)) == errno.EINPROGRESS
            one = held.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            one.bind((source, source_port))
            for port in UDP_PORTS:
                one.sendto(b"hello", (unit, port))
        say_hello(unit)
        return cable.heard()


def say_hello(unit):
    """Send ICMP echo, timestamp and address mask requests (RFC 792, RFC 950), or ICMPv6 echo (RFC 4443)."""
    is_6 = ":" in unit
    protocol = socket.IPPROTO_ICMPV6 if is_6 else socket.IPPROTO_ICMP
    with socket.socket(family_of(unit), socket.SOCK_RAW, protocol) as line:
        for kind in [128] if is_6 else [8, 13, 17]:
            body = struct.pack("!BBHHH", kind, 0, 0, 7, 1) + bytes(16)
            line.sendto(body[:2] + struct.pack("!H", checksum(body)) + body[4:], (unit, 0))


def checksum(data):
    """RFC 1071. The kernel does it for ICMPv6."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


@WAYS
@pytest.mark.usefixtures("doors")
def test_nothing_comes_back_whoever_knocks_wherever(cable, rules, unit, broker, other):
    cable.load(rules(broker))
    for source in (other, broker):
        assert knock(cable, unit, source) == []


@WAYS
@pytest.mark.usefixtures("doors")
def test_the_same_knocking_is_heard_without_the_rules(cable, unit, broker, other):
    """What the test above would see if the rules did nothing."""
    heard = knock(cable, unit, other)
    version, icmp = ("IPv6", 58) if ":" in unit else ("IPv4", 1)
    assert heard.count(f"{version} protocol 6") >= len(TCP_PORTS)
    for _ in range(HELLOS):  # the kernel answers pings at its leisure, after all that knocking
        if f"{version} protocol {icmp}" in heard:
            break
        with cable.outside.entered():
            say_hello(unit)
        heard += cable.heard()
    assert f"{version} protocol {icmp}" in heard


@WAYS
def test_the_broker_is_reached_at_its_port_and_nobody_else_is(cable, rules, unit, broker, other):
    cable.load(rules(broker))
    with cable.outside.listener(broker, PORT) as door:
        call = calling(cable, broker, PORT)
        answer, _ = door.accept()
        with call, answer:
            call.sendall(b"to the broker" * 1000)
            answer.settimeout(2)
            assert answer.recv(13) == b"to the broker"
            answer.sendall(b"to the unit")
            assert call.recv(100) == b"to the unit"
    cable.heard()
    with cable.outside.listener(other, PORT), cable.outside.listener(broker, PORT + 1):
        for address, port in ((other, PORT), (broker, PORT + 1), (broker, 443), (other, 22)):
            with pytest.raises(OSError, match=r"No route to host|Permission denied|administratively"):
                calling(cable, address, port).close()
    assert cable.heard() == []  # refused on the unit itself: nothing was on the cable


def calling(cable, address, port):
    one = cable.unit.socket(family_of(address), socket.SOCK_STREAM)
    try:
        one.connect((address, port))
    except OSError:
        one.close()
        raise
    return one


@WAYS
def test_names_and_time_may_be_asked_and_nothing_else(cable, rules, unit, broker, other):
    cable.load(rules(broker))
    for port, is_answered in ((53, True), (123, True), (5000, False), (443, False)):
        with (
            cable.outside.socket(family_of(other), socket.SOCK_DGRAM) as server,
            cable.unit.socket(family_of(other), socket.SOCK_DGRAM) as asking,
        ):
            server.bind((other, port))
            if is_answered:
                asking.sendto(b"?", (other, port))
                _, peer = server.recvfrom(10)
                server.sendto(b"!", peer)
                assert asking.recv(10) == b"!"
            else:
                with contextlib.suppress(PermissionError):
                    asking.sendto(b"?", (other, port))
                server.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    server.recvfrom(10)


@WAYS
def test_a_connection_that_was_there_before_the_rules_is_dead(cable, rules, unit, broker, other):
    cable.load(TRACKING)
    with cable.unit.listener(unit, 22) as door, cable.outside.socket(family_of(unit), socket.SOCK_STREAM) as intruder:
        intruder.bind((broker, 0))
        intruder.connect((unit, 22))
        session, _ = door.accept()
        with session:
            intruder.sendall(b"id")
            assert session.recv(10) == b"id"
            cable.load(rules(broker))
            cable.heard()
            intruder.sendall(b"cat device.key")
            session.settimeout(0.3)
            with pytest.raises(TimeoutError):
                session.recv(20)
            assert cable.heard() == []


def test_the_rules_can_be_loaded_again_and_stay_one_table(cable, rules):
    for _ in range(2):
        cable.load(rules(BROKER4))
    with cable.unit.entered():
        assert looked_at("tables") == ["table inet kestrel"]


def looked_at(what):
    return run("nft", "list", what).stdout.splitlines()


def test_a_name_is_looked_up_into_the_set_and_only_then_reached(cable, rules):
    """`localhost` is a name that every machine knows; its address stands for a broker's here."""
    cable.load(rules("localhost"))
    with cable.unit.entered():
        assert not any("elements" in line for line in looked_at("ruleset"))
        count = addresses.fill([Called(host="localhost", port=PORT)])
        first = [line.strip() for line in looked_at("ruleset") if "elements" in line]
        assert count == addresses.fill([Called(host="localhost", port=PORT)])
        again = [line.strip() for line in looked_at("ruleset") if "elements" in line]
    assert len(first) == len(again) == count
    assert all(f"127.0.0.1 . {PORT}" in line or f"::1 . {PORT}" in line for line in again)
    assert all("timeout 7d" in line for line in again)


def test_an_address_that_is_found_lets_the_call_through(cable, rules):
    cable.load(rules("broker.example"))
    with cable.outside.listener(BROKER4, PORT):
        with pytest.raises(OSError, match=r"No route to host|Permission denied"):
            calling(cable, BROKER4, PORT).close()
        with cable.unit.entered():
            addresses.fill([Called(host=BROKER4, port=PORT)])
        calling(cable, BROKER4, PORT).close()


def test_a_name_without_an_address_leaves_the_set_as_it_is(cable, rules):
    cable.load(rules(BROKER4))
    with cable.unit.entered(), pytest.raises(FirewallRefused, match="not known"):
        addresses.fill([Called(host="broker.invalid", port=PORT)])
    with cable.unit.entered():
        assert any(f"{BROKER4} . {PORT}" in line for line in looked_at("ruleset"))


def test_without_our_table_the_addresses_are_refused(cable):
    with cable.unit.entered(), pytest.raises(FirewallRefused, match="kestrel-firewall"):
        addresses.fill([Called(host=BROKER4, port=PORT)])
