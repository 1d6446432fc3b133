"""Random cells in virtual time: whatever a carrier, a broker and a receiver do for days, nothing is lost."""

import dataclasses
import os
import tempfile
from pathlib import Path

import pytest

from firmware.outbox import Outbox
from firmware.records import Connected, MessageClass
from hw_sim.cell import Conditions, Coverage, Spell
from hw_sim.simulated_broker import BrokerRules
from hw_sim.virtual_link import SETTLING_S, AlertWatch, Life, Trouble, VirtualLink, random_life

READS = 40
LTE = Conditions(delay_s=0.2, jitter_s=0.05, loss_ratio=0.02, rate_bit_s=1e6)
HOUR_S = 3600.0


@pytest.fixture
def lived(tmp_path):
    """Return what came of a life. The files lie in memory where there is some: nothing here is about a disk."""

    def live(life, seed=1):
        memory = Path("/dev/shm")  # noqa: S108
        folder = memory if os.access(memory, os.W_OK) else tmp_path
        with tempfile.TemporaryDirectory(dir=folder) as name:
            link = VirtualLink(life, Path(name), seed)
            try:
                return link.live()
            finally:
                link.close()

    return live


def assert_nothing_is_amiss(found, life):
    assert found.verdict.lost == 0
    assert found.verdict.duplicates == 0
    assert found.verdict.out_of_order == 0 or life.forgets()
    assert found.waiting == 0
    assert found.over_limit == 0
    assert found.exceeded == 0
    assert found.alerts_passed_over == 0
    assert found.rejected == 0
    assert found.max_in_flight <= min(life.window, life.rules.receive_maximum)


def test_random_lives_lose_double_and_disorder_nothing(lived, request):
    for seed in range(request.config.getoption("--rounds") or 20):
        life = random_life(seed, reads=READS)
        found = lived(life, seed)
        print(f"seed {seed}: {found}")  # shown if it fails; the seed repeats it
        assert_nothing_is_amiss(found, life)


def test_random_lives_are_as_bad_as_they_should_be():
    lives = [random_life(seed, reads=READS) for seed in range(200)]
    met = {spell.conditions.coverage for life in lives for spell in life.spells}
    assert met == set(Coverage)
    assert len({trouble.kind for life in lives for trouble in life.troubles}) == 5
    assert all(life.spells[-1].conditions.coverage is Coverage.SERVED for life in lives)


def made_life(*spells, troubles=(), captures=40, rules=None, ends_s=HOUR_S, every_s=1.2):
    return Life(
        spells=(Spell(from_s=0.0, conditions=LTE), *spells),
        troubles=troubles,
        captures=tuple(
            (1.0 + every_s * place, MessageClass.ALERT if place % 10 == 9 else MessageClass.READ)
            for place in range(captures)
        ),
        rules=rules or BrokerRules(),
        window=10,
        ends_s=ends_s + SETTLING_S,
    )


def spells_without(coverage, from_s, until_s):
    bad = dataclasses.replace(LTE, coverage=coverage)
    return Spell(from_s=from_s, conditions=bad), Spell(from_s=until_s, conditions=LTE)


@pytest.mark.parametrize("coverage", [one for one in Coverage if one is not Coverage.SERVED])
def test_each_kind_of_outage_is_outlived(lived, coverage):
    life = made_life(*spells_without(coverage, 15.0, 900.0))
    found = lived(life)
    assert_nothing_is_amiss(found, life)
    assert found.sessions >= 1 + (coverage in (Coverage.BLACK_HOLE, Coverage.CAPTIVE))


@pytest.mark.parametrize("kind", ["nat-silent", "nat-reset", "broker-forgets", "broker-restarts"])
def test_each_thing_that_ends_a_session_begins_another(lived, kind):
    life = made_life(troubles=(Trouble(at_s=20.0, kind=kind, for_s=5.0),))
    found = lived(life)
    assert_nothing_is_amiss(found, life)
    assert found.sessions == 2


def test_three_days_of_reads_drain_in_order_alerts_first(lived):
    life = made_life(*spells_without(Coverage.NONE, 0.5, 72 * HOUR_S), captures=400, every_s=648.0, ends_s=73 * HOUR_S)
    found = lived(life)
    assert_nothing_is_amiss(found, life)
    assert found.max_in_flight == 10
    assert found.repetitions == 0


def test_a_receiver_away_for_a_day_costs_little_and_loses_nothing(lived):
    life = made_life(troubles=(Trouble(at_s=10.0, kind="receiver-away", for_s=24 * HOUR_S),), ends_s=30 * HOUR_S)
    found = lived(life)
    assert_nothing_is_amiss(found, life)
    assert 0 < found.repetitions < 40 * 12  # each goes again after 2, 4, 8 minutes, and then every six hours


def test_a_broker_with_a_slow_disk_never_holds_more_than_it_allows(lived):
    life = made_life(rules=BrokerRules(receive_maximum=2, ack_delay_s=5.0))
    found = lived(life)
    assert_nothing_is_amiss(found, life)
    assert found.max_in_flight == 2


def test_a_life_repeats_exactly(lived):
    life = random_life(3, reads=READS)
    first, second = lived(life, 3), lived(life, 3)
    assert (first.repetitions, first.sessions, first.verdict) == (second.repetitions, second.sessions, second.verdict)


# A judge that cannot be made to object judges nothing: three uplinks that are wrong.


def test_an_outbox_that_forgets_at_the_puback_is_found_out(lived, monkeypatch):
    def forget(outbox, token, _now_s):
        with outbox._connection:
            outbox._connection.execute("DELETE FROM messages WHERE sequence = ?", (token,))

    monkeypatch.setattr(Outbox, "acked", forget)
    away = Trouble(at_s=0.5, kind="receiver-away", for_s=600.0)
    life = made_life(troubles=(away, Trouble(at_s=300.0, kind="broker-forgets", for_s=5.0)))
    assert lived(life).verdict.lost > 0


def test_a_window_that_does_not_heed_the_broker_is_found_out(lived, monkeypatch):
    told = AlertWatch.events

    def exaggerated(link):
        events = told(link)
        return [
            dataclasses.replace(event, receive_maximum=100) if isinstance(event, Connected) else event
            for event in events
        ]

    monkeypatch.setattr(AlertWatch, "events", exaggerated)  # the uplink hears of a limit that is not the broker's
    rules = BrokerRules(receive_maximum=2, ack_delay_s=1.0)
    found = lived(made_life(*spells_without(Coverage.NONE, 0.5, 60.0), rules=rules))
    assert found.over_limit > 0
    assert found.exceeded > 0


def test_an_outbox_that_forgets_what_is_urgent_is_found_out(lived, monkeypatch):
    in_order = Outbox.next_unsent

    def by_number(outbox, limit, now_s):
        return sorted(in_order(outbox, 1000, now_s), key=lambda waiting: waiting.token)[:limit]

    monkeypatch.setattr(Outbox, "next_unsent", by_number)
    assert lived(made_life(*spells_without(Coverage.NONE, 0.5, 60.0))).alerts_passed_over > 0
