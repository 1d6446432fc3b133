"""A unit that goes and comes back, as the receiver hears of it, with a real Mosquitto."""

import msgspec
from loopback_fleet import CLOCK

from cloud import broker_files, fleet_folder
from cloud.store import ReadStore
from firmware import config
from firmware.link_causes import LinkCause
from firmware.presence import Status, sign_status
from firmware.topics import status_topic

DELAY_S = 15  # the shortest keep-alive that a configuration takes, which is the will's delay too
MARGIN_S = 10.0


def soon_missed(folder):
    """Let a unit of `folder` be missed after DELAY_S."""
    path = folder / "config.json"
    made = config.load(path)
    uplink = msgspec.structs.replace(made.uplink, keepalive_s=DELAY_S)
    path.write_bytes(config.encode(msgspec.structs.replace(made, uplink=uplink)))


def is_online(unit):
    return unit.uplink._connected is not None


def pull(unit):
    """End a unit's connection as a cell does: nobody says goodbye."""
    unit.cut_connection()


def units_of(tmp_path):
    with ReadStore(tmp_path / "reads.db") as store:
        return {device_id: is_here for device_id, (is_here, _) in store.units().items()}


def wait_until(condition, limit_s, *stepped):
    deadline_s = CLOCK.monotonic_s() + limit_s
    while not condition() and CLOCK.monotonic_s() < deadline_s:
        for unit in stepped:
            unit.run_until(lambda: True)
        stepped[0].uplink.wake.wait(0.1)
    return condition()


def test_only_a_unit_that_stays_away_is_gone_and_it_comes_back(broker, make_unit, start_receiver, tmp_path):
    receiver, units = start_receiver(), {}
    for name in ("flaps", "vanishes", "stops"):
        make_unit(name).close()
        soon_missed(tmp_path / name)
        units[name] = make_unit(name)
        assert units[name].run_until(lambda name=name: is_online(units[name]))
    names = {name: unit.config.device_id for name, unit in units.items()}
    flapping = units["flaps"]
    assert wait_until(lambda: list(units_of(tmp_path).values()) == [True] * 3, MARGIN_S, flapping)
    for name in ("flaps", "vanishes"):
        pull(units[name])
    units["stops"].close()
    assert flapping.run_until(lambda: flapping.uplink.causes[LinkCause.LOST] == 1)
    assert flapping.run_until(lambda: is_online(flapping))  # within the delay

    def heard():
        return receiver.output.getvalue()

    missed = [f"{names[name]} is gone" for name in ("vanishes", "stops")]
    assert wait_until(lambda: all(line in heard() for line in missed), DELAY_S + MARGIN_S, flapping)
    assert f"{names['flaps']} is" not in heard()
    assert units_of(tmp_path) == {names["flaps"]: True, names["vanishes"]: False, names["stops"]: False}
    back = units["vanishes"]
    assert back.run_until(lambda: is_online(back) and f"{names['vanishes']} is back" in heard(), 30.0)
    receiver.stop()
    assert heard().count(" is gone") == 2
    assert heard().count(" is back") == 1


def test_a_status_of_another_unit_is_refused_by_broker_and_receiver(broker, make_unit, start_receiver, tmp_path):
    receiver, honest, thief = start_receiver(), make_unit("honest"), make_unit("thief")
    for unit in (honest, thief):
        assert unit.run_until(lambda unit=unit: is_online(unit))
    assert wait_until(lambda: len(units_of(tmp_path)) == 2, MARGIN_S, honest)
    victim = honest.config.device_id
    forged = sign_status(Status(device_id=victim, session=1, is_here=True), thief.identity.device_key.sign)
    assert thief.link.publish(status_topic(victim), forged, 7, 60)
    assert thief.run_until(lambda: thief.uplink.causes[LinkCause.NOT_AUTHORISED] == 1)
    assert thief.link.publish(status_topic(thief.config.device_id), forged, 8, 60)
    thief.put()
    assert thief.run_until(lambda: thief.outbox.count() == 0)
    receiver.stop()
    assert "rejected 1: other-device" in receiver.output.getvalue()
    assert set(units_of(tmp_path).values()) == {True}


def test_a_broker_whose_access_list_knows_no_status_takes_reads_all_the_same(
    broker, make_unit, start_receiver, fleet_path
):
    access = fleet_path / fleet_folder.BROKER_FOLDER / broker_files.ACCESS_NAME
    lines = [line for line in access.read_text().splitlines() if not line.endswith("/status")]
    broker.stop()
    access.write_text("\n".join(lines) + "\n")
    access.chmod(0o600)
    broker.start()
    receiver, unit = start_receiver(), make_unit()
    unit.put(3)
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    assert unit.uplink.causes == {LinkCause.NOT_AUTHORISED: 1}
    receiver.stop()
