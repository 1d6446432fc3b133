"""What a load came to, what a large fleet needs, and the picture of a sweep: worked out by hand and compared."""

import dataclasses
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from hw_sim.__main__ import main
from hw_sim.fleet_cameras import Books
from hw_sim.fleet_figures import Account, Costs, figures, is_held, table
from hw_sim.fleet_plan import FleetPlan, Measured, plan_table
from hw_sim.fleet_plot import curves
from hw_sim.fleet_reads import plate_of
from hw_sim.part_processes import Cost

ROOT = Path(__file__).resolve().parents[2]
CAMERA = "k-00000001"


def costs(at_s, cpu_s, *, rss_mb=10.0):
    broker, receiver, generator, machine = cpu_s
    return Costs(
        broker=Cost(cpu_s=broker, peak_rss_mb=rss_mb),
        receiver=Cost(cpu_s=receiver, peak_rss_mb=50.0),
        generator_cpu_s=generator,
        machine_cpu_s=machine,
        at_s=at_s,
    )


def account(**changes):
    """Three reads of one camera: two stored and shown after 100 and 300 ms, the third still kept."""
    return dataclasses.replace(
        Account(
            cameras=1,
            receivers=1,
            reads_per_minute=50.0,
            minutes=1.0,
            seed=1,
            connect_s=0.5,
            books=Books(captured=3, acknowledged=3, confirmed=2, bytes_sealed=12_000, ack_s=[0.01, 0.02, 0.03]),
            captured={CAMERA: 3},
            unconfirmed={CAMERA: (3,)},
            stored=[((CAMERA, plate_of(1)), 1000), ((CAMERA, plate_of(2)), 2000)],
            shown_utc_ms={(CAMERA, plate_of(1)): 1100, (CAMERA, plate_of(2)): 2300},
            repeated=0,
            rejected=0,
            store_bytes=10_000,
            before=costs(0.0, (1.0, 0.0, 0.0, 0.0)),
            loaded=costs(10.0, (1.5, 1.0, 2.0, 10.0)),
            after=costs(20.0, (1.8, 2.5, 4.0, 20.0), rss_mb=30.0),
        ),
        **changes,
    )


def test_a_read_that_a_camera_still_keeps_is_waiting_and_not_lost():
    answer = figures(account())
    assert (answer["sent"], answer["stored"], answer["waiting"], answer["lost"]) == (3, 2, 1, 0)


def test_a_read_that_nobody_has_is_lost():
    answer = figures(account(unconfirmed={CAMERA: ()}))
    assert (answer["waiting"], answer["lost"]) == (0, 1)
    assert not is_held(answer)


def test_a_read_that_lies_twice_in_the_store_is_a_duplicate():
    twice = [((CAMERA, plate_of(1)), 1000)] * 2
    assert figures(account(stored=twice))["duplicates"] == 1


def test_latencies_and_costs_are_of_the_load_alone():
    answer = figures(account())
    assert answer["latency_p50_s"] == 0.02
    assert answer["stored_p50_s"] == pytest.approx(0.2)
    assert answer["broker_cpu_s"] == pytest.approx(0.3)
    assert answer["receiver_cpu_s_per_1000_reads"] == pytest.approx(500)
    assert answer["generator_cpu_share"] == pytest.approx(0.2)
    assert answer["others_cpu_share"] == pytest.approx((10 - 0.3 - 1.5 - 2.0) / 10)
    assert answer["broker_cpu_ms_per_connection"] == pytest.approx(500)
    assert answer["row_bytes"] == 5000


def test_a_load_is_kept_up_with_if_all_came_and_in_time():
    whole = account(
        unconfirmed={},
        captured={CAMERA: 2},
        books=Books(captured=2, acknowledged=2, confirmed=2, ack_s=[0.1, 0.2]),
    )
    assert is_held(figures(whole))
    late = dataclasses.replace(whole, shown_utc_ms={(CAMERA, plate_of(2)): 4100})
    assert not is_held(figures(late))
    assert not is_held(figures(account()))  # one was not confirmed


def test_an_empty_load_has_no_latency_and_still_a_table():
    answer = figures(account(books=Books(), captured={}, unconfirmed={}, stored=[], shown_utc_ms={}))
    assert answer["latency_p95_s"] is None
    assert "--" in table([answer])


MEASURED = Measured(
    broker_s_per_1000=0.2,
    receiver_s_per_1000=1.2,
    receipts_per_read=0.5,
    connection_ms=3.0,
    connection_kb=30.0,
    read_bytes=4332.0,
    row_bytes=5300.0,
)
PLAN = FleetPlan(cameras=100_000, measured=MEASURED)


def test_the_paper_calculation_is_right_by_hand():
    assert PLAN.mean_per_s == pytest.approx(2777.8, abs=0.1)
    assert PLAN.extreme_per_s == pytest.approx(83_333, abs=1)
    assert PLAN.bytes_up == 4332 + 40 + 22 + 4 * 52  # 4,394 bytes are four segments of 1,448
    assert PLAN.cores(2777.8, 1.2) == pytest.approx(2777.8 * 0.0012 / 0.6)
    assert PLAN.connect_core_s == pytest.approx(300)
    assert PLAN.return_per_s == pytest.approx(2 * 100_000 / 300)
    assert PLAN.spread_s(10.0) == 32.0  # 30 s of ten cores' work: the window that doubles is 32 s then
    assert PLAN.spread_s(0.1) == 300.0


def test_the_busiest_hour_has_its_share_of_the_day():
    hours = PLAN.peak_per_s * 3600 / (100_000 * 2400)
    assert 1 / 24 < hours < 0.1


def sweep(*loads):
    base = figures(account())
    return {"cores": 2, "loads": [base | load for load in loads]}


def load(cameras, **more):
    return {
        "cameras": cameras,
        "stored": 1000 * cameras,
        "broker_connected_rss_mb": 10 + cameras * 0.03,
        "broker_cpu_s_per_1000_reads": 0.2,
        **more,
    }


def test_measured_costs_are_weighed_by_reads_and_small_loads_left_out():
    few = load(1, stored=999, broker_cpu_s_per_1000_reads=9.0)
    measured = Measured.of(sweep(few, load(10), load(30, broker_cpu_s_per_1000_reads=0.4)))
    assert measured.broker_s_per_1000 == pytest.approx((10 * 0.2 + 30 * 0.4) / 40)
    assert measured.connection_kb == pytest.approx(30)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"loads": []}', '{"loads": [{"stored": 1}]}', "\xff"])
def test_what_is_no_sweep_is_refused_with_one_sentence(content, tmp_path, capsys):
    path = tmp_path / "sweep.json"
    path.write_text(content)
    assert main(["fleet-plan", "--measured", str(path)]) == 2
    assert "not the answer of a sweep" in capsys.readouterr().err


def test_the_picture_has_every_curve_and_marks_the_bend(tmp_path):
    held = {"confirmed": 3, "waiting": 0, "stored_p95_s": 0.5}
    loads = sweep(load(10, **held), load(30, **held), load(90, stored_p95_s=40.0, confirmed=1))["loads"]
    root = ET.fromstring(curves(loads))  # noqa: S314  our own
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"stored p95", "acknowledged p50", "broker", "receiver"} <= set(texts)
    assert "kept up to 30 cameras, 25 reads/s" in texts
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 8


def test_the_readme_has_the_calculation_of_the_sweep_that_lies_beside_it():
    kept = json.loads((ROOT / "docs" / "fleet.json").read_text())
    plan = FleetPlan(cameras=100_000, measured=Measured.of(kept))
    assert plan_table(plan) in (ROOT / "README.md").read_text(), "run `python -m hw_sim fleet-plan` and renew the table"
    assert (ROOT / "docs" / "fleet.svg").read_text() == curves(kept["loads"])
