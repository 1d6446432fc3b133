"""From the outbox to the store and back by receipt, through a real Mosquitto over TLS."""

import signal
import subprocess
import sys

from made_reads import PLATE

from cloud.store import ReadStore
from firmware import sealing
from firmware.records import MessageClass
from firmware.topics import read_topic


def test_a_read_arrives_is_stored_and_its_receipt_empties_the_outbox(broker, make_unit, start_receiver, tmp_path):
    receiver, unit = start_receiver(), make_unit()
    unit.put(3)
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    receiver.stop()
    lines = receiver.output.getvalue().splitlines()
    assert sum(PLATE in line for line in lines) == 3
    assert "3 stored, 0 duplicates, 0 rejected" in lines[-1]
    with ReadStore(tmp_path / "reads.db") as store:
        assert [read.plate for read in store.reads(10)] == [PLATE] * 3
    assert PLATE.encode() not in b"".join(
        path.read_bytes() for path in (tmp_path / "unit").rglob("*") if path.is_file()
    )


def test_a_backlog_goes_alerts_first_and_never_more_than_the_window(broker, make_unit, start_receiver):
    unit, receiver = make_unit(), start_receiver(count=62)
    unit.put(60)
    unit.put(2, message_class=MessageClass.ALERT, plate="ALERT1")
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    receiver.join()
    lines = receiver.output.getvalue().splitlines()
    assert ["ALERT1" in line for line in lines[2:5]] == [True, True, False]
    assert "62 stored" in lines[-1]


def is_online(unit):
    return unit.link.publish(read_topic(unit.config.device_id), b"", -1, 60)


def test_a_broker_killed_and_started_again_loses_nothing(broker, make_unit, start_receiver, stored):
    unit = make_unit()
    unit.put(25)
    assert unit.run_until(lambda: unit.acknowledged() > 10)
    broker.kill()  # with no receiver yet: what it held in memory is gone
    unit.put(5)
    broker.start()
    start_receiver()
    unit.skipped_s += 1000.0  # past the back-off and past the patience for receipts
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    assert stored() == 30


def test_a_broker_that_comes_back_with_an_older_memory_is_found_out(broker, make_unit, start_receiver, stored):
    unit = make_unit()
    assert unit.run_until(lambda: is_online(unit))
    broker.stop()  # it saves the session, so that it will be present after the kill
    broker.start()
    unit.skipped_s += 600.0
    assert unit.run_until(lambda: is_online(unit))
    unit.put(10)
    assert unit.run_until(lambda: unit.acknowledged() == 10)
    broker.kill()  # what it acknowledged it has forgotten
    broker.start()
    start_receiver()
    unit.skipped_s += 600.0
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    assert stored() == 10


def test_a_unit_killed_before_its_receipt_sends_again_and_is_counted_once(broker, make_unit, start_receiver, stored):
    first = make_unit()
    first.put(4)
    assert first.run_until(lambda: first.acknowledged() == 4)
    first.close()
    again = make_unit()  # the same folder: what was on its way is not remembered
    receiver = start_receiver()
    assert again.run_until(lambda: again.outbox.count() == 0)
    receiver.stop()
    assert stored() == 4


def test_a_replayed_envelope_is_counted_once(broker, make_unit, start_receiver, stored):
    receiver, unit = start_receiver(), make_unit()
    (sealed,) = unit.put()
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    topic = read_topic(unit.config.device_id)
    assert unit.link.publish(topic, sealing.to_wire(sealed), 0, 60)
    assert unit.link.publish(topic, b"not an envelope", 0, 60)
    unit.put()
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    receiver.stop()
    assert "2 stored, 1 duplicates, 1 rejected" in receiver.output.getvalue()
    assert stored() == 2


def test_the_command_line_receives_and_sums_up_on_ctrl_c(broker, make_unit, fleet_path):
    command = [sys.executable, "-m", "cloud", "receive", "--folder", str(fleet_path)]
    unit = make_unit()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout.readline().startswith("Receiving from localhost")
        unit.put()
        assert unit.run_until(lambda: unit.outbox.count() == 0)
        receiver.send_signal(signal.SIGINT)
        output, _ = receiver.communicate(timeout=20)
    assert receiver.returncode == 0
    assert PLATE in output
    assert "1 stored" in output
