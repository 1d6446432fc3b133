"""A second receiver: each has a session of its own, they share the reads, and a store takes each read once."""

import io
import threading

import pytest
from loopback_fleet import NOW, SITE, Unit

from cloud import fleet_folder
from cloud.__main__ import main as cloud
from cloud.receiver import Receiver, ReceiverSettings
from cloud.store import ReadStore
from hw_sim.broker import Broker
from provisioning import revocation, unit
from provisioning.__main__ import main as provision


class Half:
    """One of several receivers, on a thread of the test."""

    def __init__(self, folder, name, store_path):
        made = fleet_folder.load(folder)
        settings = ReceiverSettings(
            folder=folder, host=made.host, port=made.port, store_path=store_path, count=None, name=name
        )
        self.output = io.StringIO()
        self._stopping = threading.Event()
        self._receiver = Receiver(settings, self._stopping, self.output)
        self._thread = threading.Thread(target=self._receiver.run, name=name)
        self._thread.start()
        assert self._receiver.is_receiving.wait(20)

    def stop(self):
        self._stopping.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    @property
    def stored(self):
        """How many reads it has stored, by its own summary."""
        return int(self.output.getvalue().splitlines()[-1].split()[0])


@pytest.fixture
def second(fleet_path):
    assert provision(["fleet", "add-receiver", str(fleet_path)]) == 0
    return "receiver-2"


def test_two_receivers_share_the_reads_and_each_is_stored_once(fleet_path, second, tmp_path, make_unit):
    path = tmp_path / "reads.db"
    with Broker(fleet_path, tmp_path):
        halves = [Half(fleet_path, name, path) for name in ("receiver", second)]
        try:
            sender = make_unit()
            sender.put(60)
            assert sender.run_until(lambda: sender.outbox.count() == 0), "a unit adds up the receipts of both"
        finally:
            for half in halves:
                half.stop()
    assert all(half.stored > 5 for half in halves)
    assert sum(half.stored for half in halves) == 60
    with ReadStore(path) as store:
        assert (store.count(), store.counters()) == (60, {})


def test_a_receiver_that_goes_leaves_its_share_to_the_other(fleet_path, second, tmp_path):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW)
    path = tmp_path / "reads.db"
    with Broker(fleet_path, tmp_path):
        first, other = (Half(fleet_path, name, path) for name in ("receiver", second))
        sender = Unit(tmp_path / "unit")
        try:
            sender.put(20)
            assert sender.run_until(lambda: sender.outbox.count() == 0)
            other.stop()
            sender.put(20)
            assert sender.run_until(lambda: sender.outbox.count() == 0), "nothing waits for the one that has gone"
        finally:
            sender.close()
            first.stop()
            other.stop()
    with ReadStore(path) as store:
        assert store.count() == 40


def test_every_receiver_has_a_certificate_and_its_lines_in_the_access_list(fleet_path, second, capsys):
    assert provision(["fleet", "add-receiver", str(fleet_path)]) == 0
    assert "--name receiver-3" in capsys.readouterr().out
    assert fleet_folder.receivers(fleet_path) == ["receiver", second, "receiver-3"]
    blocks = (fleet_path / "broker" / "access.acl").read_text().split("\n\n")
    rights = {block.splitlines()[0]: block.splitlines()[1:] for block in map(str.strip, blocks)}
    assert rights["user receiver"] == rights["user receiver-2"] == rights["user receiver-3"]
    assert "topic write kestrel/v1/+/receipt" in rights["user receiver"]
    keys = {(fleet_path / name / "receiver.key").read_bytes() for name in fleet_folder.receivers(fleet_path)}
    assert len(keys) == 3


def test_shutting_a_unit_out_leaves_every_receiver_in_the_access_list(fleet_path, second):
    revocation.renew(fleet_path, NOW)
    assert "user receiver-2\n" in (fleet_path / "broker" / "access.acl").read_text()


@pytest.mark.parametrize("name", ["receiver-7", "../receiver", "authority"])
def test_a_receiver_that_the_fleet_does_not_have_is_named(name, fleet_path, capsys):
    assert cloud(["receive", "--folder", str(fleet_path), "--name", name]) == 2
    assert "add-receiver" in capsys.readouterr().err
