"""The unit's side of requests: answered once, in turn, within the plan; who asks wrongly or too often gets little."""

import uuid

import pytest
from made_reads import START_UTC_MS
from made_vehicles import AGENCY_KEY, HOUR_MS, PICTURE, VehicleBench, request_for

from cloud.opening import open_paper, open_vehicle
from cloud.opening_keys import OpeningKeys
from firmware import sealing
from firmware.picture_requests import REQUEST_EARLY_MS, REQUEST_LIFE_MS, PictureOutcome
from firmware.records import MessageClass, Receipt
from firmware.sealing import uuid7
from firmware.vehicles import ANSWERS_AN_HOUR, ANSWERS_AT_ONCE, REQUESTS_WAITING

KEYS = OpeningKeys([AGENCY_KEY])


@pytest.fixture
def bench(tmp_path):
    made = VehicleBench(tmp_path)
    yield made
    made.outbox.close()


def answers(bench):
    return bench.answers(lambda sealed: open_paper(sealed, KEYS))


def confirm(bench):
    """Let the receiver confirm all that waits; return how many that were."""
    waiting = bench.outbox.next_unsent(1000, bench.now_s)
    for one in waiting:
        ranges = ((one.token, one.token),)
        bench.outbox.confirm(Receipt(device_id="k-test0001", ranges=ranges, issued_utc_ms=START_UTC_MS))
    return len(waiting)


def test_a_picture_leaves_on_request_only_sealed_as_it_was_taken(bench):
    ids = [bench.take(START_UTC_MS + number) for number in range(3)]
    assert answers(bench) == []
    bench.ask(ids[1])
    (answer,) = answers(bench)
    assert (answer.read_id, answer.outcome) == (ids[1], PictureOutcome.HERE)
    sealed = sealing.from_wire(answer.sealed)
    assert sealed.read_id == ids[1]
    assert open_vehicle(sealed, KEYS) == PICTURE


def test_what_there_is_not_is_refused_by_what_became_of_it(tmp_path):
    bench = VehicleBench(tmp_path, vehicle_hours=1)
    bench.ask(uuid7(START_UTC_MS - 2 * HOUR_MS, bytes(10)))
    bench.ask(uuid7(START_UTC_MS, bytes(10)))
    assert [(one.outcome, one.sealed) for one in answers(bench)] == [
        (PictureOutcome.GONE, b""),
        (PictureOutcome.NEVER, b""),
    ]
    bench.outbox.close()


def test_a_repeated_or_replayed_request_is_answered_once_and_a_newer_one_again(bench):
    read_id = bench.take()
    for _ in range(3):
        bench.ask(read_id, START_UTC_MS + 5)
    assert confirm(bench) == 1
    for issued_utc_ms in (START_UTC_MS + 5, START_UTC_MS + 4):
        bench.ask(read_id, issued_utc_ms)
    assert answers(bench) == []
    bench.ask(read_id, START_UTC_MS + 6)
    assert len(answers(bench)) == 1


def test_a_request_is_good_for_a_week_and_at_any_age_while_nobody_has_set_the_clock(bench):
    read_id = bench.take()
    for issued_utc_ms in (START_UTC_MS - REQUEST_LIFE_MS - 1, START_UTC_MS + REQUEST_EARLY_MS + 1):
        bench.ask(read_id, issued_utc_ms)
    assert answers(bench) == []
    assert bench.stage.troubles() == {"request-rejected": 2}
    bench.clock.trusted = False
    bench.ask(read_id, START_UTC_MS - REQUEST_LIFE_MS - 1)
    assert len(answers(bench)) == 1


def test_a_flood_of_requests_is_bounded_in_memory_at_once_and_an_hour(bench):
    for number in range(10 * REQUESTS_WAITING):
        bench.stage.requests.put(request_for(uuid.UUID(int=number)))
        if number % 50 == 0:
            bench.step(0.1)
    bench.step(0.1)
    assert bench.outbox.count_of(MessageClass.PICTURE) == ANSWERS_AT_ONCE
    assert bench.stage.troubles()["request-waits"] <= REQUESTS_WAITING
    sent = 0
    for turn in range(1, 3 * ANSWERS_AN_HOUR):
        sent += confirm(bench)
        for number in range(REQUESTS_WAITING):
            bench.stage.requests.put(request_for(uuid.UUID(int=10_000 * turn + number)))
        bench.step(1.0)
    assert sent == ANSWERS_AN_HOUR
    bench.step(3600.0)
    assert confirm(bench) == ANSWERS_AT_ONCE


def test_while_the_plan_has_no_room_requests_wait_and_health_is_told(bench):
    read_id = bench.take()
    bench.has_room.set(False)
    bench.ask(read_id)
    assert answers(bench) == []
    assert bench.stage.troubles() == {"request-waits": 1}
    assert bench.step() <= bench.now_s + 5.0
    bench.has_room.set(True)
    bench.step()
    assert len(answers(bench)) == 1
    assert bench.stage.troubles() == {}


def test_with_an_alert_the_picture_goes_unasked(bench):
    read_id = bench.take(message_class=MessageClass.ALERT)
    assert [(one.read_id, one.outcome) for one in answers(bench)] == [(read_id, PictureOutcome.HERE)]


def test_old_pictures_go_by_themselves_once_an_hour(tmp_path):
    bench = VehicleBench(tmp_path, vehicle_hours=1)
    read_id = bench.take()
    bench.clock.now_utc_ms += 2 * HOUR_MS
    bench.clock.trusted = False
    bench.step(2 * 3600.0)
    assert len(list(bench.path.iterdir())) == 1
    bench.clock.trusted = True
    bench.step(3600.0)
    assert list(bench.path.iterdir()) == []
    bench.ask(read_id, bench.clock.utc_ms())
    assert [one.outcome for one in answers(bench)] == [PictureOutcome.GONE]
    bench.outbox.close()
