"""The judging of what was seen: one unit on which all is well, and what each fact changes."""

import dataclasses

import msgspec
import pytest

from firmware.config import UplinkConfig
from firmware.self_check import (
    CertificateFacts,
    DiskFacts,
    Facts,
    KeyFacts,
    ModelFacts,
    ServiceFacts,
    State,
    Unseen,
    VersionFacts,
    WaitingSocket,
    report,
    table,
)

NOW_UTC_MS = 1_795_000_000_000  # November 2026
DAY_MS = 86_400_000
NAMES = ["sockets", "firewall", "key_store", "certificate", "clock", "disk", "versions", "models", "sandbox"]
UNSEEN = Unseen(why="it is hidden", how="look as root")

ELEMENT = b'{"set":{"family":"inet","table":"t","name":"c","elem":[{"concat":["192.0.2.1",8883]}]}}'
CHAINS = b",".join(
    b'{"chain":{"family":"inet","table":"t","name":"%s","type":"filter","hook":"%s","policy":"drop"}}' % (hook, hook)
    for hook in (b"input", b"forward", b"output")
)
CALL = (
    b'{"rule":{"family":"inet","table":"t","chain":"output","handle":1,"expr":[{"match":{"op":"==","left":{"concat":['
    b'{"payload":{"protocol":"ip","field":"daddr"}},{"payload":{"protocol":"tcp","field":"dport"}}]},"right":"@c"}},'
    b'{"accept":null}]}}'
)
RULES = b'{"nftables":[' + b",".join([CHAINS, ELEMENT, CALL]) + b"]}"

WELL = Facts(
    now_utc_ms=NOW_UTC_MS,
    clock_is_trusted=True,
    time_service_uid=997,
    sockets=(),
    ruleset=RULES,
    key=KeyFacts(kind="a file", mode=0o600, problem=""),
    certificate=CertificateFacts(from_utc_ms=NOW_UTC_MS - DAY_MS, until_utc_ms=NOW_UTC_MS + 400 * DAY_MS),
    disk=DiskFacts(is_read_only=False, free_bytes=9_000_000_000, outbox_bytes=0, folder_mode=0o700),
    models=(ModelFacts(name="detector", latency_ms=20.0, is_accelerated=True),),
    service=ServiceFacts(uid=998, no_new_privileges=True, seccomp=2, capabilities=0, reachable_capabilities=0),
    versions=VersionFacts(
        product="0.1.0", models="1", python="3.11.2", system="debian", system_version="12", kernel="6.12"
    ),
)


@pytest.fixture
def settings(device_config):
    return msgspec.structs.replace(device_config, uplink=UplinkConfig(host="192.0.2.1"))


@pytest.fixture
def judged(settings):
    """A function: the answer about a unit on which all is well but for these facts, and its check of this name."""

    def of(name, **facts):
        answer = report(settings, dataclasses.replace(WELL, **facts))
        return answer, next(check for check in answer.checks if check.name == name)

    return of


def waiting(protocol="tcp", address="0.0.0.0", port=8080, uid=1000, owner=""):  # noqa: S104  what is looked for
    return WaitingSocket(protocol=protocol, address=address, port=port, uid=uid, owner=owner)


def test_a_unit_on_which_all_is_enforced_passes(settings):
    answer = report(settings, WELL)
    assert [check.name for check in answer.checks] == NAMES
    assert {check.state for check in answer.checks} == {State.PASS}
    assert answer.passed
    assert "all is enforced" in table(answer)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("sockets", {"sockets": (waiting(),)}),
        ("sockets", {"sockets": (waiting(address="127.0.0.1"),)}),
        ("sockets", {"sockets": (waiting("tcp6", "::", 22, 0, "sshd"),)}),
        ("sockets", {"sockets": (waiting("udp", port=5353),)}),
        ("sockets", {"sockets": (waiting("udp", port=40000),)}),
        ("sockets", {"sockets": (waiting("udp", port=68, uid=1000),)}),
        ("sockets", {"sockets": (waiting("udp", port=123, uid=997),)}),
        ("firewall", {"ruleset": b'{"nftables":[]}'}),
        ("key_store", {"key": KeyFacts(kind="file", mode=0o644, problem="others may read; chmod")}),
        ("certificate", {"certificate": CertificateFacts(problem="no certificate; make it again")}),
        ("certificate", {"now_utc_ms": NOW_UTC_MS + 401 * DAY_MS}),
        ("certificate", {"now_utc_ms": NOW_UTC_MS - 2 * DAY_MS}),
        ("clock", {"now_utc_ms": 5000}),
        ("disk", {"disk": dataclasses.replace(WELL.disk, is_read_only=True)}),
        ("disk", {"disk": dataclasses.replace(WELL.disk, free_bytes=1_000_000)}),
        ("versions", {"now_utc_ms": NOW_UTC_MS + 3 * 365 * DAY_MS}),
        ("models", {"models": ()}),
        ("models", {"models": (ModelFacts(name="ocr", problem="its SHA-256 differs; install it again"),)}),
        ("sandbox", {"service": dataclasses.replace(WELL.service, uid=0)}),
        ("sandbox", {"service": dataclasses.replace(WELL.service, no_new_privileges=False)}),
        ("sandbox", {"service": dataclasses.replace(WELL.service, seccomp=0)}),
        ("sandbox", {"service": dataclasses.replace(WELL.service, capabilities=1)}),
        ("sandbox", {"service": dataclasses.replace(WELL.service, reachable_capabilities=1)}),
    ],
)
def test_what_is_not_enforced_fails_and_says_what_to_do(judged, name, facts):
    answer, check = judged(name, **facts)
    assert check.state is State.FAIL
    assert check.found
    assert check.hint
    assert not answer.passed
    assert check.hint in table(answer)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("firewall", {"ruleset": UNSEEN}),
        ("firewall", {"ruleset": b'{"nftables": [{"table"'}),  # what nft 1.0.6 says of a dormant table
        ("key_store", {"key": UNSEEN}),
        ("certificate", {"certificate": UNSEEN}),
        ("disk", {"disk": UNSEEN}),
        ("sandbox", {"service": UNSEEN}),
    ],
)
def test_what_was_not_seen_is_unknown_and_no_pass(judged, name, facts):
    answer, check = judged(name, **facts)
    assert check.state is State.UNKNOWN
    assert check.hint
    assert not answer.passed


@pytest.mark.parametrize(
    ("name", "facts", "said"),
    [
        ("firewall", {"ruleset": b'{"nftables":[' + CHAINS + b"]}"}, "not known yet"),
        ("certificate", {"now_utc_ms": NOW_UTC_MS + 395 * DAY_MS}, "5 days left"),
        ("clock", {"clock_is_trusted": False}, "not been set"),
        ("disk", {"disk": dataclasses.replace(WELL.disk, free_bytes=1_000_000_000)}, "outbox_mb"),
        ("disk", {"disk": dataclasses.replace(WELL.disk, folder_mode=0o755)}, "other users"),
        ("versions", {"versions": dataclasses.replace(WELL.versions, system="arch")}, "arch"),
        ("versions", {"versions": dataclasses.replace(WELL.versions, python="3.14.1")}, "3.14.1"),
        ("models", {"models": (ModelFacts(name="ocr", latency_ms=60.0, is_accelerated=False),)}, "without XNNPACK"),
        ("models", {"models": (ModelFacts(name="ocr", latency_ms=900.0, is_accelerated=True),)}, "slow"),
    ],
)
def test_what_holds_for_now_is_a_warning_and_passes(judged, name, facts, said):
    answer, check = judged(name, **facts)
    assert check.state is State.WARN
    assert said in check.found + check.hint
    assert check.hint
    assert answer.passed


@pytest.mark.parametrize("one", [waiting("udp", port=68, uid=0), waiting("udp6", "::", 40000, 997)])
def test_a_client_that_waits_for_its_answer_is_no_listener(judged, one):
    assert judged("sockets", sockets=(one,))[1].state is State.PASS


def test_an_outbox_that_is_full_already_needs_no_more_disk(judged):
    disk = dataclasses.replace(WELL.disk, free_bytes=100_000_000, outbox_bytes=1_950_000_000)
    assert judged("disk", disk=disk)[1].state is State.PASS
