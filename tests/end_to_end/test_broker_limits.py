"""The broker's configuration as it is shipped, in a real Mosquitto: each limit holds, and no read is lost by one.

Only what would take too long is made smaller here: the queue and the number of connections.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
from made_reads import PLATE
from mqtt_visitor import Visitor

from cloud import broker_files, fleet_folder
from firmware.topics import read_topic
from hw_sim.broker import Broker

DEBIAN_UNITS = Path("/usr/lib/systemd/system")


class NarrowBroker(Broker):
    """The shipped configuration with other numbers."""

    def __init__(self, fleet_path, folder, **numbers):
        super().__init__(fleet_path, folder)
        self._numbers = numbers

    def _write_configuration(self):
        path = super()._write_configuration()
        lines = path.read_text().splitlines()
        for name, number in self._numbers.items():
            (at,) = [at for at, line in enumerate(lines) if line.startswith(f"{name} ")]
            lines[at] = f"{name} {number}"
        path.write_text("\n".join(lines) + "\n")
        return path


@pytest.fixture
def visit(make_unit, tmp_path, fleet_path):
    visitors = []

    def come(name="visitor", **options):
        own_topic = read_topic(make_unit(name).config.device_id)
        visitors.append(Visitor(tmp_path / name, fleet_folder.load(fleet_path).port, **options))
        return visitors[-1], own_topic

    yield come
    for visitor in visitors:
        visitor.leave()


def test_a_broker_tells_its_limits_when_a_unit_connects(broker, visit):
    visitor, _ = visit(keepalive_s=3600)
    told = visitor.connack_properties
    assert (told.MaximumPacketSize, told.ReceiveMaximum) == (131_072, 100)
    assert (told.RetainAvailable, told.MaximumQoS, told.ServerKeepAlive) == (0, 1, 1800)


@pytest.mark.parametrize(
    ("forbidden", "reason"),
    [
        ({"payload": bytes(200_000)}, "Packet too large"),
        ({"payload": b"x", "retain": True}, "Retain not supported"),
        ({"payload": b"x", "qos": 2}, "QoS not supported"),
    ],
)
@pytest.mark.usefixtures("broker")
def test_who_exceeds_a_limit_is_cut_off_and_the_others_go_on(visit, make_unit, start_receiver, forbidden, reason):
    receiver, unit = start_receiver(), make_unit()
    visitor, own_topic = visit()
    assert visitor.publish(own_topic, b"no envelope") == "Success"
    assert visitor.publish(own_topic, **forbidden) is None
    # what was still being sent may overtake the reason: the connection is reset
    assert visitor.goodbye == reason or len(forbidden["payload"]) > 1
    unit.put(3)
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    receiver.stop()
    assert "3 stored, 0 duplicates, 1 rejected" in receiver.output.getvalue()


def test_a_unit_hears_nothing_of_others_and_takes_no_share_of_what_receivers_share(
    broker, visit, make_unit, start_receiver, stored
):
    start_receiver()
    unit, (visitor, _) = make_unit(), visit()
    device_id = unit.config.device_id
    visitor.subscribe(
        "#", "$SYS/#", "kestrel/v1/#", read_topic(device_id), f"kestrel/v1/{device_id}/receipt",
        "$share/receivers/kestrel/v1/+/read", "$share/receivers/#",
    )  # fmt: skip
    unit.put(20)
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    visitor.serve_until(lambda: visitor.heard, limit_s=0.5)
    assert visitor.heard == []
    assert stored() == 20
    assert visitor.publish(f"kestrel/v1/{device_id}/read", b"x") == "Not authorized"
    assert visitor.publish("anything/else", b"x") == "Not authorized"


def test_what_a_full_queue_drops_the_units_send_again(fleet_path, make_unit, start_receiver, stored, tmp_path):
    with NarrowBroker(fleet_path, tmp_path, max_queued_messages=51):  # 50 reads, and that the unit is here
        start_receiver().stop()  # it is known from now on, and away
        unit = make_unit()
        unit.put(120)

        def all_acknowledged():
            return unit.outbox.next_unsent(1000, -1.0) == [] and unit.outbox.next_due_s() < 1e9

        assert unit.run_until(all_acknowledged)  # the broker says of none that it was dropped
        assert unit.outbox.count() == 120
        receiver = start_receiver()
        assert unit.run_until(lambda: unit.outbox.count() <= 70)
        assert (unit.outbox.count(), stored()) == (70, 50)
        unit.skipped_s += 130.0  # past the patience for receipts
        assert unit.run_until(lambda: unit.outbox.count() == 0)
        receiver.stop()
    assert "120 stored, 0 duplicates" in receiver.output.getvalue()
    assert stored() == 120


def test_who_comes_too_many_is_let_in_when_another_has_left(fleet_path, visit, tmp_path):
    with NarrowBroker(fleet_path, tmp_path, max_connections=2):
        first, _ = visit("first")
        visit("second")
        with pytest.raises(OSError, match=r"EOF|closed|reset"):
            visit("third")
        first.leave()
        third, _ = visit("third")
        assert third.connack == "Success"


def test_the_log_names_no_topic_and_nothing_of_a_message(broker, visit, make_unit, start_receiver):
    start_receiver()
    unit, (visitor, own_topic) = make_unit(), visit()
    unit.put(2)
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    visitor.subscribe("kestrel/v1/#")
    visitor.publish(read_topic(unit.config.device_id), b"a forged envelope")
    visitor.publish(own_topic, bytes(200_000))
    unit.link.disconnect()
    log = broker.log_path.read_text()
    assert unit.config.device_id in log  # who came and went, and from where
    assert not [word for word in ("kestrel/v1", "envelope", PLATE) if word in log]


def test_systemd_understands_what_the_broker_s_machine_is_given(fleet_path, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed; `make tools` installs it")
    root = tmp_path / "machine"
    shutil.copytree(DEBIAN_UNITS, root / "usr/lib/systemd/system", symlinks=True)
    (root / "lib").symlink_to("usr/lib")
    for program in ("usr/sbin/mosquitto", "bin/mkdir", "bin/chown", "bin/kill"):
        (root / program).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("/usr/bin/true", root / program)
    settings = root / "etc/systemd/system/mosquitto.service.d/kestrel.conf"
    settings.parent.mkdir(parents=True)
    shutil.copy(fleet_path / fleet_folder.BROKER_FOLDER / broker_files.SERVICE_NAME, settings)

    def judged():
        words = ["systemd-analyze", "verify", "--recursive-errors=yes", "--man=no", f"--root={root}"]
        done = subprocess.run([*words, "mosquitto.service"], capture_output=True, text=True, check=False, timeout=30)
        return [line for line in done.stderr.splitlines() if "mosquitto" in line]

    assert judged() == []
    with settings.open("a") as file:
        file.write("[Service]\nProtectEverything=yes\n")
    assert "ProtectEverything" in judged()[0]


def test_open_files_suffice_for_the_connections_that_are_let_in():
    numbers = dict(
        line.replace("=", " ").split()
        for name in ("mosquitto.conf.in", broker_files.SERVICE_NAME)
        for line in (Path(broker_files.__file__).parent / name).read_text().splitlines()
        if line.startswith(("max_connections", "LimitNOFILE"))
    )
    assert int(numbers["LimitNOFILE"]) >= int(numbers["max_connections"]) + 100
