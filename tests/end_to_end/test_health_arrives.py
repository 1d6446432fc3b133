"""A unit's health through a real broker: sealed, stored, confirmed, and shown to who asks."""

import json

from loopback_fleet import CLOCK
from made_health import made_health

from cloud.__main__ import main
from cloud.store import ReadStore
from firmware.health_report import FaultWord
from firmware.records import MessageClass
from firmware.sealing import uuid7

DARK = FaultWord(code="camera-silent", since_s=60, count=1, hint="check the camera's cable")


def put_health(unit, **values):
    health = made_health(made_utc_ms=CLOCK.utc_ms(), **values)
    read_id = uuid7(health.made_utc_ms, bytes(10))
    unit.outbox.put(unit.sealer.seal_health(health, read_id=read_id, sequence=unit.outbox.reserve_sequence()))
    return health


def test_health_reaches_the_technician_and_leaves_the_unit(broker, fleet_path, make_unit, start_receiver, capsys):
    unit, receiver = make_unit(), start_receiver()
    first = put_health(unit)
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    second = put_health(unit, faults=(DARK,))
    unit.put(2)
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    receiver.stop()
    device_id = unit.config.device_id
    with ReadStore(receiver.store_path) as store:
        assert [one.health for one in store.health(device_id, 9)] == [second, first]
        assert store.count() == 2
    lines = [line for line in receiver.output.getvalue().splitlines() if device_id in line]
    assert next(line for line in lines if "fault" in line).endswith("fault camera-silent: check the camera's cable")
    assert len(lines) == 3  # two reads and one fault: health of which nothing is new shows nothing
    assert main(["units", "--folder", str(fleet_path), "--store", str(receiver.store_path), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["device_id"], told["health"]["faults"][0]["code"]) == (device_id, "camera-silent")


def test_while_the_plan_is_spent_alerts_and_health_arrive_and_reads_wait(broker, make_unit, start_receiver, stored):
    unit, receiver = make_unit(), start_receiver()
    unit.outbox.ration_reads(0)
    unit.put(5)
    put_health(unit)
    unit.put(3, message_class=MessageClass.ALERT)
    assert unit.run_until(lambda: unit.outbox.count() == 5)
    unit.run_until(lambda: False, limit_s=1.0)
    assert (unit.outbox.count(), stored()) == (5, 3)
    unit.outbox.ration_reads(10**6)
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    receiver.stop()
    assert stored() == 8
