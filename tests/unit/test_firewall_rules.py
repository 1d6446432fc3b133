"""The judge of the packet filter on listings as nft writes them; tests/security asks it about a real kernel's."""

import ipaddress
import json

import pytest

from firmware.faults import DocumentRejected
from firmware.firewall_rules import Calls, judged

BROKER = ipaddress.ip_address("192.0.2.1")
BY_ADDRESS = Calls(port=8883, address=BROKER)
BY_NAME = Calls(port=8883, address=None)

ACCEPT = {"accept": None}


def asks(left, right, op="=="):
    return {"match": {"op": op, "left": left, "right": right}}


def payload(protocol, field):
    return {"payload": {"protocol": protocol, "field": field}}


CALLED = {"concat": [payload("ip", "daddr"), payload("tcp", "dport")]}
ESTABLISHED = asks({"ct": {"key": "state"}}, "established", "in")
REPLY = asks({"ct": {"key": "direction"}}, "reply")


def chain(name, hook, *, family="inet", policy="drop", kind="filter", table="t"):
    return {"chain": {"family": family, "table": table, "name": name, "type": kind, "hook": hook, "policy": policy}}


def rule(name, *statements, family="inet", table="t"):
    return {"rule": {"family": family, "table": table, "chain": name, "handle": 9, "expr": list(statements)}}


def places(*elements):
    found = [{"concat": list(element)} for element in elements]
    return {"set": {"family": "inet", "table": "t", "name": "called", "elem": found}}


CLOSED = [chain("in", "input"), chain("through", "forward"), chain("out", "output")]


def listing(*entries):
    return json.dumps({"nftables": [{"metainfo": {"version": "1"}}, *entries]}).encode()


def test_closed_chains_let_nothing_through():
    finding = judged(listing(*CLOSED), BY_ADDRESS)
    assert finding.openings == ()
    assert finding.addresses == 0


def test_no_rules_stop_nothing():
    assert judged(listing(), BY_ADDRESS).openings == (
        "nothing stops IPv4 input", "nothing stops IPv6 input", "nothing stops IPv4 forward",
        "nothing stops IPv6 forward", "nothing stops IPv4 output", "nothing stops IPv6 output",
    )  # fmt: skip


def test_rules_for_ipv4_alone_leave_ipv6_open():
    only4 = [chain(name, name, family="ip") for name in ("input", "forward", "output")]
    assert judged(listing(*only4), BY_ADDRESS).openings == tuple(
        f"nothing stops IPv6 {hook}" for hook in ("input", "forward", "output")
    )


@pytest.mark.parametrize("change", [{"policy": "accept"}, {"kind": "nat"}])
def test_a_chain_that_does_not_drop_by_itself_is_no_guard(change):
    assert "nothing stops IPv4 input" in judged(listing(chain("in", "input", **change), *CLOSED[1:]), BY_NAME).openings


@pytest.mark.parametrize("flags", ["dormant", ["dormant"]])
def test_a_table_that_sleeps_is_no_guard(flags):
    table = {"table": {"family": "inet", "name": "t", "flags": flags}}
    assert len(judged(listing(table, *CLOSED), BY_NAME).openings) == 6


@pytest.mark.parametrize(
    "statements",
    [
        [ACCEPT],
        [asks(payload("tcp", "dport"), 22), ACCEPT],
        [asks(payload("udp", "dport"), {"set": [53, 123]}), ACCEPT],
        [asks({"meta": {"key": "iifname"}}, "wwan0"), ACCEPT],
        [asks({"meta": {"key": "iif"}}, "lo", "!="), ACCEPT],
        [ESTABLISHED, ACCEPT],  # also of a connection that somebody else had opened
        [asks({"ct": {"key": "state"}}, ["established", "related"], "in"), REPLY, ACCEPT],
        [asks(payload("icmp", "type"), "echo-request"), ACCEPT],
        [asks(payload("icmpv6", "type"), {"set": ["echo-request", "nd-neighbor-solicit"]}), ACCEPT],
        [{"jump": {"target": "others"}}],
        [asks({"meta": {"key": "iif"}}, "lo"), {"goto": {"target": "others"}}],
        [{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["new", ACCEPT]]}}}],
        [{"queue": {"num": 1}}],
        [{"something new": None}],
    ],
)
def test_a_rule_that_lets_strangers_in_is_an_opening(statements):
    (opening,) = judged(listing(*CLOSED, rule("in", *statements)), BY_ADDRESS).openings
    assert opening.startswith("input rule 9 of table t")


@pytest.mark.parametrize(
    "statements",
    [
        [asks({"meta": {"key": "iif"}}, "lo"), ACCEPT],
        [ESTABLISHED, REPLY, {"counter": {"packets": 1, "bytes": 2}}, ACCEPT],
        [asks({"ct": {"key": "state"}}, "related", "in"), asks(payload("icmp", "type"), "time-exceeded"), ACCEPT],
        [asks(payload("icmpv6", "type"), {"set": ["nd-router-advert", "nd-neighbor-solicit"]}), ACCEPT],
        [asks(payload("tcp", "dport"), 22), {"drop": None}],
        [{"log": None}, {"reject": None}],
    ],
)
def test_answers_and_neighbours_are_no_opening(statements):
    assert judged(listing(*CLOSED, rule("in", *statements)), BY_ADDRESS).openings == ()


@pytest.mark.parametrize(
    ("elements", "calls", "is_ours"),
    [
        ([("192.0.2.1", 8883)], BY_ADDRESS, True),
        ([("192.0.2.1", 8883)], BY_NAME, True),
        ([("192.0.2.2", 8883)], BY_ADDRESS, False),
        ([("192.0.2.1", 443)], BY_NAME, False),
        ([("192.0.2.1", 8883), ("192.0.2.1", 22)], BY_ADDRESS, False),
        ([({"prefix": {"addr": "128.0.0.0", "len": 1}}, 8883)], BY_NAME, False),
        ([({"range": ["10.0.0.0", "10.9.9.9"]}, 8883)], BY_NAME, False),
    ],
)
def test_the_unit_may_call_its_own_broker_alone(elements, calls, is_ours):
    finding = judged(listing(*CLOSED, places(*elements), rule("out", asks(CALLED, "@called"), ACCEPT)), calls)
    assert (finding.openings == ()) == is_ours
    assert finding.addresses == (len(elements) if is_ours else 0)


def test_a_port_without_an_address_is_the_whole_internet():
    (opening,) = judged(listing(*CLOSED, rule("out", asks(payload("tcp", "dport"), 8883), ACCEPT)), BY_NAME).openings
    assert opening == "output rule 9 of table t (tcp dport 8883)"


def test_names_and_time_may_be_asked_of_everybody():
    asking = [
        rule("out", asks(payload("udp", "dport"), {"set": [53, 123]}), ACCEPT),
        rule("out", asks(payload("tcp", "dport"), 53), ACCEPT),
        rule("out", asks({"meta": {"key": "oif"}}, "lo"), ACCEPT),
    ]
    assert judged(listing(*CLOSED, *asking), BY_NAME).openings == ()


def test_another_table_cannot_open_what_ours_drops():
    theirs = [
        chain("theirs", "input", table="docker", policy="accept"),
        chain("more", "input", table="docker"),
        rule("more", ACCEPT, table="docker"),
    ]
    assert judged(listing(*theirs, *CLOSED), BY_NAME).openings == ()


def test_nothing_is_forwarded():
    (opening,) = judged(listing(*CLOSED, rule("through", ESTABLISHED, REPLY, ACCEPT)), BY_NAME).openings
    assert opening.startswith("forward rule")


@pytest.mark.parametrize("data", [b"", b"{", b'{"nftables": 1}', b'{"nftables": [{"table": {"flags": '])
def test_what_is_no_listing_is_rejected(data):
    with pytest.raises(DocumentRejected, match="nft list ruleset"):
        judged(data, BY_NAME)
