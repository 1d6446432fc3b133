"""Connections cut at random bytes, either way, by reset or in silence: before TLS, within it, within a read."""

import functools
import math
import random  # noqa: TID251  seeded: a failure repeats

import msgspec

from firmware import config
from firmware.uplink import ACK_LIMIT_S
from hw_sim.cell import Conditions, Coverage
from hw_sim.link_run import NOTHING_WRONG, LinkUnit
from hw_sim.tcp_relay import TcpRelay

UP_BYTES, DOWN_BYTES = 12_000, 4_000
"""A connection that long has been made, has sent several reads and has heard of them: so most cuts hit something."""

PICTURE_BYTES = 1000
QUIET_S = 1.5  # a receipt comes within a second
READS_AT_MOST = 200


def relayed_unit(made, folder, relay):
    """A unit that calls its broker through the relay."""
    made.close()
    settings = config.load(folder / "config.json")
    port = relay.begin(settings.uplink.port)
    uplink = msgspec.structs.replace(settings.uplink, port=port)
    return LinkUnit(folder, msgspec.structs.replace(settings, uplink=uplink), seed=1)


def live_until(device, condition):
    """Step the unit until `condition()`. Back-offs are jumped over, and a minute for each two seconds without an event:

    by then no receipt is on its way any more, and what waits for one, or for an acknowledgement, waits in vain.
    """
    quiet_since_s = began_s = device.clock.monotonic_s()
    while not condition():
        idle_s, now_s = device.step(0.1), device.clock.monotonic_s()
        assert now_s - began_s < 60.0, "it does not come to an end"
        if idle_s > 0.0 and device.link.is_offline:
            device.skip(idle_s)
        elif idle_s == 0.0:
            quiet_since_s = now_s
        elif now_s - quiet_since_s > QUIET_S:
            quiet_since_s = now_s
            device.skip(ACK_LIMIT_S)


def test_random_disconnects_lose_and_double_nothing(broker, make_unit, start_receiver, tmp_path, request):
    rounds, chance = request.config.getoption("--rounds") or 30, random.Random(11)
    receiver = start_receiver()
    with TcpRelay(seed=1) as relay:
        device = relayed_unit(make_unit(), tmp_path / "unit", relay)
        try:
            relay.apply(Conditions())
            for _ in range(rounds):
                cut_one_connection(device, relay, chance)
            live_until(device, lambda: device.outbox.count() == 0)
        finally:
            device.close()
    receiver.stop()
    verdict = device.source.verdict(tmp_path / "reads.db")
    print(f"{rounds} cuts, {len(device.source.sealed)} reads, {device.link.publishes} publishes: {verdict}")
    assert relay.cuts == rounds
    assert (verdict.lost, verdict.duplicates, verdict.out_of_order) == (0, 0, 0)
    assert len(device.source.sealed) > rounds
    assert device.link.sessions > rounds / 4  # and not all before there was a session
    assert device.link.over_limit == 0


def test_a_portal_that_answers_in_the_brokers_place_is_outlived(broker, make_unit, start_receiver, tmp_path):
    receiver = start_receiver()
    with TcpRelay(seed=1) as relay:
        device = relayed_unit(make_unit(), tmp_path / "unit", relay)
        try:
            relay.apply(Conditions())
            device.source.capture(picture_bytes=PICTURE_BYTES)
            live_until(device, lambda: device.outbox.count() == 0)
            relay.apply(Conditions(coverage=Coverage.CAPTIVE))
            device.source.capture(picture_bytes=PICTURE_BYTES)
            live_until(device, lambda: device.link.attempts >= 5)
            assert device.outbox.count() == 1
            relay.apply(Conditions())
            live_until(device, lambda: device.outbox.count() == 0)
        finally:
            device.close()
    receiver.stop()
    assert device.source.verdict(tmp_path / "reads.db") == NOTHING_WRONG


def cut_one_connection(device, relay, chance):
    """Let the next connection be cut somewhere, and seal reads until it is."""
    silent, cuts = chance.random() < 0.2, relay.cuts
    if chance.random() < 0.7:
        relay.cut_after(up_bytes=chance.randrange(UP_BYTES), down_bytes=math.inf, silent=silent)
    else:
        relay.cut_after(down_bytes=chance.randrange(DOWN_BYTES), silent=silent)
    relay.reset_nat(silent=False)  # a unit whose TLS session was refused is back at once, before the cut was armed
    for _ in range(READS_AT_MOST):
        token = device.source.capture(picture_bytes=PICTURE_BYTES)
        live_until(device, functools.partial(is_told_of, device, relay, token, cuts))
        if relay.cuts > cuts:
            return
    raise AssertionError("the connection was not cut")


def is_told_of(device, relay, token, cuts):
    """Whether something is known of the read: its PUBACK, its receipt, or that the connection was cut."""
    return relay.cuts > cuts or token in device.link.acked_s or device.outbox.count() == 0
