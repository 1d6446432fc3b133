"""The parts of `python -m hw_sim link` that need no network: timelines, figures, exit code and picture."""

import json
from xml.etree import ElementTree as ET

import pytest

from firmware.records import MessageClass
from hw_sim import __main__ as program
from hw_sim import link_command
from hw_sim.cell import Conditions, Coverage
from hw_sim.link_plot import drawn
from hw_sim.link_reads import Verdict
from hw_sim.link_run import Measured
from hw_sim.link_scenarios import OUTAGE_S, PEAK_PER_MINUTE, Scenario, backlog, phases

KEYS = [
    "sent", "acknowledged", "lost", "duplicates", "out_of_order", "max_in_flight", "drain_s", "latency_p95_s",
    "bytes_up", "bytes_down",
]  # fmt: skip
GOOD = Conditions(delay_s=0.2)
ASKED = {"reads": 100, "rate_kbit": 1000.0, "delay_ms": 200.0, "loss": 2.0}


def test_a_backlog_is_of_three_days_with_peaks_and_alerts_oldest_first():
    made = backlog(7200, seed=3)
    ages_s = [age_s for age_s, _ in made]
    assert len(made) == 7200
    assert ages_s == sorted(ages_s, reverse=True)
    assert 0.0 <= ages_s[-1] < ages_s[0] <= OUTAGE_S
    minutes = [int(age_s / 60) for age_s in ages_s]
    assert max(map(minutes.count, set(minutes))) >= PEAK_PER_MINUTE
    assert 50 < sum(message_class is MessageClass.ALERT for _, message_class in made) < 300
    assert made == backlog(7200, seed=3) != backlog(7200, seed=4)


@pytest.mark.parametrize("scenario", Scenario)
@pytest.mark.parametrize("seed", range(5))
def test_every_scenario_comes_to_an_end_in_which_the_link_is_good(scenario, seed):
    made = phases(scenario, GOOD, seconds=600.0, seed=seed)
    conditions = [act.conditions for phase in made for act in phase.acts if act.conditions]
    assert conditions[0] == conditions[-1] == GOOD
    last = made[-1]
    assert 400 < len(last.captures) < 600  # fifty a minute for ten minutes
    for phase in made:
        assert [one.at_s for one in phase.acts] == sorted(one.at_s for one in phase.acts)
        assert all(one.at_s <= phase.healed_s for one in phase.acts)


@pytest.mark.parametrize(
    ("scenario", "coverage"), [(Scenario.BLACK_HOLE, Coverage.BLACK_HOLE), (Scenario.FLAKY, Coverage.NONE)]
)
def test_a_scenario_does_what_its_name_says(scenario, coverage):
    acts = phases(scenario, GOOD, seconds=600.0, seed=1)[-1].acts
    assert any(act.conditions and act.conditions.coverage is coverage for act in acts)
    resets = phases(Scenario.NAT_RESET, GOOD, seconds=600.0, seed=1)[-1].acts
    assert [act.nat_reset for act in resets[1:]] == ["silent", "reset"] * 3


def made_answer(**changes):
    measured = Measured(sent=4, acknowledged=4, latencies_s=[0.1, 0.2, 0.3, 4.0], curve=[(0.0, 4), (2.0, 0)])
    for name, value in changes.items():
        setattr(measured, name, value)
    return link_command.answer(measured) | {"scenario": "outage72h", "link": "tun", "asked": ASKED}


def test_the_answer_begins_with_the_ten_keys_that_stay():
    assert list(made_answer())[:10] == KEYS
    json.dumps(made_answer())


@pytest.mark.parametrize(
    "trouble",
    [
        {"verdict": Verdict(lost=1, duplicates=0, out_of_order=0)},
        {"verdict": Verdict(lost=0, duplicates=1, out_of_order=0)},
        {"verdict": Verdict(lost=0, duplicates=0, out_of_order=1)},
        {"over_limit": 1},
        {"rejected": 1},
    ],
)
def test_one_read_amiss_is_one_too_many(trouble):
    assert link_command.is_good(made_answer())
    assert not link_command.is_good(made_answer(**trouble))


def test_a_percentile_is_a_value_that_was_measured():
    hundred = [float(number) for number in range(1, 101)]
    assert [link_command.percentile(hundred, percent) for percent in (50, 95, 99)] == [50.0, 95.0, 99.0]
    assert link_command.percentile([3.0], 95) == 3.0
    assert link_command.percentile([], 95) is None


def test_the_table_tells_people_the_same():
    text = link_command.table(made_answer(bytes_up=12345))
    assert "4 sealed, 4 acknowledged, 0 lost, 0 doubled, 0 out of order" in text
    assert "p95 4.00 s" in text
    assert "12,345 up" in text


def test_the_picture_is_whole_and_shows_both_curves():
    picture = ET.fromstring(drawn(made_answer()))  # noqa: S314  our own
    curves = [one for one in picture.iter() if one.get("class") == "curve"]
    assert len(curves) == 2
    assert all(one.get("points") for one in curves)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--scenario", "sunshine"],
        ["--scenario", "flaky", "--loss", "80"],
        ["--scenario", "flaky", "--seconds", "0"],
        ["--scenario", "outage72h", "--reads", "0"],
        ["--scenario", "throttle", "--rate-kbit", "0"],
    ],
)
def test_options_that_make_no_sense_are_refused_with_a_sentence(options, capsys):
    with pytest.raises(SystemExit) as ended:
        program.main(["link", *options])
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err
