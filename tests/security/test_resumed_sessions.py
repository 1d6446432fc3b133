"""A TLS session that is resumed saves bytes, costs no connection where a broker trips over it, and is no way in."""

import contextlib
import socket
import threading

import msgspec
import pytest
from impostors import LoopbackServer, server_context
from loopback_fleet import CLOCK

from cloud import broker_files, fleet_folder
from firmware import config, identity
from firmware.board.mqtt_link import MqttLink
from firmware.faults import FaultCode
from firmware.link_causes import LinkCause
from firmware.records import Connected, Lost
from hw_sim.broker import ADDRESS, free_port
from provisioning import durable_files, installed_broker
from provisioning.__main__ import main
from tests.fuzz.streams import CONNACK, SUBACK

ALERT = b"\x15\x03\x03\x00\x02\x02\x28"  # a fatal handshake_failure
FULL_HELLO_BYTES = 600  # a ClientHello that offers a session is longer: the ticket holds our certificate


def reconnect(unit):
    """End the unit's connection as a cell does, and let it come back; return whether it resumed its TLS session."""
    connections = unit.uplink.causes.total()
    unit.cut_connection()
    assert unit.run_until(lambda: unit.uplink.causes.total() > connections)
    assert unit.run_until(lambda: unit.uplink._connected is not None, 30.0)
    return unit.link._session._is_resumed


def test_a_reconnect_resumes_and_receipts_are_heard_all_the_same(broker, make_unit, start_receiver):
    start_receiver()
    unit = make_unit()
    for _ in range(3):
        unit.put()
        assert unit.run_until(lambda: unit.outbox.count() == 0)
        assert reconnect(unit)
    unit.put()
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    assert unit.uplink.causes == {LinkCause.LOST: 3}


def test_a_broker_that_was_started_again_costs_a_full_handshake_and_no_attempt(broker, make_unit, start_receiver):
    start_receiver()
    unit = make_unit()
    assert unit.run_until(lambda: unit.uplink._connected is not None)
    broker.kill()
    broker.start()
    assert unit.run_until(lambda: unit.uplink.causes.total() == 1)
    assert unit.run_until(lambda: unit.uplink._connected is not None, 30.0)
    assert not unit.link._session._is_resumed
    # what comes before the receiver is back, this Mosquitto takes and forgets: it would go again after two minutes
    assert unit.run_until(lambda: broker.log_path.read_text().count("as receiver") == 2)
    unit.put()
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    assert set(unit.uplink.causes) == {LinkCause.LOST}
    assert reconnect(unit)


class Door:
    """A relay to the broker that does something else with whoever wants to resume a session."""

    def __init__(self, broker_port, refuse):
        self.port, self.refused = free_port(), 0
        self._broker_port, self._refuse = broker_port, refuse
        self._listener = socket.create_server((ADDRESS, self.port))
        self._sockets = [self._listener]
        self._threads = [threading.Thread(target=self._serve, name="door")]

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                hello = near.recv(4096)
                if len(hello) > FULL_HELLO_BYTES:
                    self.refused += 1
                    self._refuse(near)
                    near.close()
                    continue
                far = socket.create_connection((ADDRESS, self._broker_port))
                self._sockets += [near, far]
                far.sendall(hello)
                for one, other in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._pump, args=(one, other), name="door"))
                    self._threads[-1].start()

    def _pump(self, one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_RDWR)


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def behind(folder, port):
    """Let the unit of `folder` call another port."""
    made = config.load(folder / "config.json")
    uplink = msgspec.structs.replace(made.uplink, port=port)
    (folder / "config.json").write_bytes(config.encode(msgspec.structs.replace(made, uplink=uplink)))


@pytest.mark.parametrize(
    "refuse", [lambda near: near.sendall(ALERT), reset, lambda _near: None], ids=["alert", "reset", "closed"]
)
def test_a_broker_that_trips_over_a_session_is_connected_fully_at_once(broker, make_unit, tmp_path, refuse):
    make_unit("unit").close()
    with Door(broker.port, refuse) as door:
        behind(tmp_path / "unit", door.port)
        unit = make_unit("unit")
        assert unit.run_until(lambda: unit.uplink._connected is not None)
        assert not reconnect(unit)
        assert door.refused == 1
        assert unit.uplink.causes == {LinkCause.LOST: 1}
        unit.close()


class ForgetfulBroker(LoopbackServer):
    """Speaks just enough to let a unit in, and hangs up, before CONNACK, on whoever comes with a resumed session."""

    def __init__(self, port, tls):
        super().__init__(port)
        self.resumed = self.full = 0
        self._tls = tls

    def answer(self, plain):
        with self._tls.wrap_socket(plain, server_side=True) as connection:
            connection.recv(4096)
            self.resumed += connection.session_reused
            self.full += not connection.session_reused
            if not connection.session_reused:
                connection.sendall(CONNACK + SUBACK)
                while connection.recv(4096):
                    pass


def test_a_session_that_is_taken_and_then_closed_is_not_offered_again(make_unit, fleet_path, tmp_path):
    make_unit("unit").close()
    folder = fleet_path / fleet_folder.BROKER_FOLDER
    tls = server_context(folder, folder / broker_files.AUTHORITY_NAME)
    port = fleet_folder.load(fleet_path).port
    own = config.load(tmp_path / "unit" / "config.json")
    with ForgetfulBroker(port, tls) as forgetful:
        link, wake = MqttLink(own.uplink, identity.load(tmp_path / "unit", own.device_id)), threading.Event()
        link.listen(wake)

        def outcome():
            link.connect()
            deadline_s = CLOCK.monotonic_s() + 10.0
            while CLOCK.monotonic_s() < deadline_s:
                for event in link.events():
                    return event
                wake.wait(0.05)
            return None

        assert isinstance(outcome(), Connected)
        lost = outcome()
        assert isinstance(lost, Lost)
        assert lost.cause is LinkCause.TLS_SESSION_REFUSED
        assert isinstance(outcome(), Connected)
        link.disconnect()
    assert (forgetful.full, forgetful.resumed) == (2, 1)


@pytest.fixture
def online_with_ticket(broker, make_unit, start_receiver):
    start_receiver()
    unit = make_unit("lost")
    unit.put()
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    assert reconnect(unit)
    return unit


def test_a_revoked_unit_does_not_get_in_by_a_session_that_it_remembers(online_with_ticket, fleet_path, tmp_path):
    lost = online_with_ticket
    where = ["--broker", str(tmp_path / broker_files.CONFIGURATION_NAME)]
    assert main(["fleet", "revoke", str(fleet_path), lost.config.device_id, "--reason", "stolen", *where]) == 0
    tls = lost.link._sessions.tls
    assert tls._session is not None
    lost.cut_connection()
    lost.put()
    for _ in range(3):
        lost.skipped_s += 3600.0
        assert lost.run_until(lambda: lost.fault_hint(FaultCode.BROKER_REFUSED))
        lost.faults.clear(FaultCode.BROKER_REFUSED)
        assert lost.outbox.count() == 1
    assert lost.uplink.causes[LinkCause.TLS_REFUSED] + lost.uplink.causes[LinkCause.NOT_AUTHORISED] >= 3


def test_where_the_access_list_alone_shuts_a_unit_out_a_resumed_session_carries_nothing(
    online_with_ticket, fleet_path, tmp_path
):
    lost = online_with_ticket
    path = fleet_path / fleet_folder.BROKER_FOLDER / broker_files.ACCESS_NAME
    durable_files.write(path, broker_files.access_list([lost.config.device_id]).encode())
    installed_broker.renew(fleet_path, tmp_path / broker_files.CONFIGURATION_NAME)
    assert not reconnect(lost)  # Mosquitto makes new keys for its tickets when it reads its files again
    lost.put()
    assert lost.run_until(lambda: "Not authorized" in lost.fault_hint(FaultCode.BROKER_REFUSED))
    lost.run_until(lambda: False, 2.0)
    assert lost.outbox.count() == 1
