"""A second opinion: the real link, uplink, outbox and receiver with RabbitMQ's MQTT 5 in Mosquitto's place.

Minutes, and root: `make test-second-broker`.
"""

import functools

from killed_broker import KilledBroker
from loopback_fleet import CLOCK
from made_vehicles import PICTURE
from mqtt_visitor import Visitor

from cloud.picture_rows import Purpose
from cloud.store import ReadStore
from firmware.faults import FaultCode
from firmware.picture_requests import PictureOutcome
from firmware.records import MessageClass, TakenVehicle
from firmware.topics import read_topic, receipt_topic


def test_reads_arrive_once_in_order_and_the_receipts_come_back(second_broker, make_unit, start_receiver, stored):
    unit = make_unit()
    second_broker.start()
    receiver = start_receiver()
    unit.put(300)
    unit.put(2, message_class=MessageClass.ALERT, plate="ALERT1")
    assert unit.run_until(lambda: unit.outbox.count() == 0, 60.0)
    receiver.stop()
    lines = receiver.output.getvalue().splitlines()
    assert ["ALERT1" in line for line in lines[2:5]] == [True, True, False]
    assert "302 stored, 0 duplicates, 0 rejected" in receiver.output.getvalue()
    assert stored() == 302


def test_what_waits_for_a_receiver_that_is_away_is_handed_on_when_it_comes(
    second_broker, make_unit, start_receiver, stored
):
    unit = make_unit()
    second_broker.start()
    start_receiver().stop()
    unit.put(100)
    assert unit.run_until(lambda: unit.acknowledged() == 100, 30.0)
    assert stored() == 0
    start_receiver()
    assert unit.run_until(lambda: unit.outbox.count() == 0, 30.0)
    assert stored() == 100


def test_receipts_wait_for_a_unit_that_is_away(second_broker, make_unit, start_receiver):
    unit = make_unit()
    second_broker.start()
    start_receiver().stop()
    unit.put(20)
    assert unit.run_until(lambda: unit.acknowledged() == 20, 30.0)
    assert unit.cut_connection()
    start_receiver(count=20).join()
    assert unit.outbox.count() == 20
    unit.skipped_s += 70.0  # past the back-off, and not past the patience for receipts
    assert unit.run_until(lambda: unit.outbox.count() == 0, 30.0)


def test_a_broker_killed_at_any_moment_loses_nothing_and_repeats_nothing(
    second_broker, make_unit, start_receiver, tmp_path, request
):
    unit = make_unit()
    second_broker.start()
    killed = KilledBroker(second_broker, unit, start_receiver, tmp_path / "reads.db", 4)
    for _ in range(request.config.getoption("--rounds") or 5):
        killed.round()
    assert killed.come_to_rest()
    assert killed.stored() == sorted(killed.put)


def test_connections_cut_again_and_again_lose_nothing(second_broker, make_unit, start_receiver, stored):
    unit = make_unit()
    second_broker.start()
    start_receiver()
    cuts = put = 0
    for _ in range(200):
        unit.skipped_s += 20.0  # within the patience for a connection that is being made
        if unit.run_until(lambda: unit.link._session is not None and unit.link._session._is_connected, 0.3):
            put += len(unit.put(10))
            unit.run_until(lambda: unit.acknowledged() > 3, 0.3)
            cuts += unit.cut_connection()
        if cuts == 20:
            break
    unit.skipped_s += 400.0
    assert unit.run_until(lambda: unit.outbox.count() == 0, 60.0)
    assert (cuts, stored()) == (20, put)


def test_a_unit_uses_its_own_topics_only(second_broker, make_unit, start_receiver, stored, tmp_path):
    honest, _ = make_unit("honest"), make_unit("thief")
    second_broker.start()
    start_receiver()
    victim = honest.config.device_id
    visitor = Visitor(tmp_path / "thief", second_broker.port)
    visitor.subscribe(receipt_topic(victim))
    assert [str(reason) for reason in visitor.granted] == ["Not authorized"]
    assert visitor.publish(read_topic(victim), b"x") in {None, "Not authorized"}
    visitor.leave()
    honest.put(5)
    assert honest.run_until(lambda: honest.outbox.count() == 0, 30.0)
    assert visitor.heard == []
    assert stored() == 5


def test_a_read_above_its_limit_waits_and_the_others_go_on(second_broker, make_unit, start_receiver, stored):
    unit = make_unit()
    second_broker.start()
    start_receiver()
    unit.put(1)
    assert unit.run_until(lambda: unit.outbox.count() == 0, 30.0)
    assert unit.link.publish(read_topic(unit.config.device_id), bytes(140_000), -1, 60)
    unit.put(3)
    unit.run_until(lambda: False, 0.5)
    unit.skipped_s += 400.0
    assert unit.run_until(lambda: unit.outbox.count() == 0, 30.0)
    assert stored() == 4


def test_what_it_says_of_itself_is_what_the_readme_says(second_broker, make_unit, tmp_path):
    make_unit()
    second_broker.start()
    visitor = Visitor(tmp_path / "unit", second_broker.port)
    told = visitor.connack_properties
    assert (told.SharedSubscriptionAvailable, told.MaximumQoS, told.MaximumPacketSize) == (0, 1, 131_072)
    assert (getattr(told, "ReceiveMaximum", 65_535), told.TopicAliasMaximum) == (65_535, 16)
    visitor.leave()


def test_a_unit_that_it_does_not_know_is_refused(second_broker, make_unit):
    second_broker.start()
    unit = make_unit()  # after the broker had its list of users
    unit.put(1)
    assert unit.run_until(lambda: unit.fault_hint(FaultCode.BROKER_REFUSED), 30.0)
    assert unit.outbox.count() == 1


def test_a_request_reaches_a_unit_on_the_topic_of_receipts_and_the_picture_comes(
    second_broker, make_unit, start_receiver, tmp_path
):
    unit = make_unit()
    second_broker.start()
    start_receiver()
    (read,) = unit.put(1)
    vehicle = unit.sealer.seal_vehicle(PICTURE, read, clock_trusted=True)
    unit.vehicles.taken.put(TakenVehicle(sealed=vehicle, is_alert=False))
    assert unit.run_until(lambda: unit.outbox.count() == 0, 30.0)
    purpose = Purpose(case_number="24-1177", reason="hit and run", name="Ana Lee")
    with ReadStore(tmp_path / "reads.db") as store:
        store.pictures.ask(unit.config.device_id, read.read_id, purpose, CLOCK.utc_ms())
        has_come = functools.partial(store.pictures.outcome, unit.config.device_id, read.read_id)
        assert unit.run_until(lambda: has_come() is PictureOutcome.HERE, 30.0)
