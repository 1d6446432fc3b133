"""A unit that is lost: shut out from the fleet's side alone, at once, while the others go on. With a real Mosquitto."""

import contextlib
import datetime as dt
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from loopback_fleet import CLOCK, NOW

from cloud import broker_files, fleet_folder
from cloud.registry import Registry, State
from firmware import identity
from firmware.board.tls import tls_context
from firmware.faults import ConfigRejected, FaultCode
from firmware.topics import read_topic
from provisioning import certificates, durable_files, fleet, installed_broker, revocation
from provisioning.__main__ import main

SILENT_WITHIN_S = 2.0
MQTT_CONNECT = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00"  # MQTT 5, clean start, no name of its own


def is_online(unit):
    return unit.link.publish(read_topic(unit.config.device_id), b"", -1, 60)


def revoke(fleet_path, unit, *words):
    return main(["fleet", "revoke", str(fleet_path), unit.config.device_id, "--reason", "stolen", *words])


@pytest.fixture
def running(broker, tmp_path):
    """The configuration of the broker that runs on this machine."""
    return ["--broker", str(tmp_path / broker_files.CONFIGURATION_NAME)]


def test_a_connected_unit_is_silent_at_once_and_stays_out_while_another_goes_on(
    broker, running, make_unit, start_receiver, fleet_path
):
    receiver, lost, other = start_receiver(), make_unit("lost"), make_unit("other")
    for unit in (lost, other):
        unit.put()
        assert unit.run_until(lambda unit=unit: unit.outbox.count() == 0)
    assert revoke(fleet_path, lost, *running) == 0
    begun_s = CLOCK.monotonic_s()

    def is_silent():
        lost.put()
        return lost.fault_hint(FaultCode.BROKER_REFUSED)

    assert lost.run_until(is_silent, SILENT_WITHIN_S)
    assert CLOCK.monotonic_s() - begun_s < SILENT_WITHIN_S
    assert "Not authorized" in lost.fault_hint(FaultCode.BROKER_REFUSED)
    lost.faults.clear(FaultCode.BROKER_REFUSED)
    lost.link.disconnect()
    lost.link.connect()
    assert lost.run_until(lambda: lost.fault_hint(FaultCode.BROKER_REFUSED))
    assert "revoked" in lost.fault_hint(FaultCode.BROKER_REFUSED)  # in the check at least: an alert may be overtaken
    assert other.run_until(lambda: "certificate verify failed" in broker.log_path.read_text())  # it writes later
    other.put(3)
    assert other.run_until(lambda: other.outbox.count() == 0)
    assert other.fault_hint(FaultCode.BROKER_REFUSED) == ""
    receiver.stop()
    # what the broker took in the moment before it knew, the receiver has refused
    assert "5 stored, 0 duplicates" in receiver.output.getvalue()


def test_a_revoked_unit_stays_out_when_the_broker_starts_again(broker, make_unit, fleet_path, capsys):
    lost = make_unit("lost")
    assert lost.run_until(lambda: is_online(lost))
    assert revoke(fleet_path, lost) == 0
    assert "systemctl reload mosquitto" in capsys.readouterr().out
    broker.stop()
    broker.start()
    lost.skipped_s += 600.0
    assert lost.run_until(lambda: lost.fault_hint(FaultCode.BROKER_REFUSED))
    assert not is_online(lost)


def test_a_remembered_tls_session_is_no_way_in(broker, running, make_unit, fleet_path, tmp_path):
    """A resumed session shows no certificate: it works before the revocation, and must not after it."""
    lost, folder = make_unit("lost"), tmp_path / "lost"
    context = tls_context(
        folder / identity.AUTHORITY_NAME, folder / identity.CERTIFICATE_NAME, folder / identity.KEY_NAME
    )
    context.sslsocket_class = ssl.SSLSocket

    def entered(session):
        """Connect; return whether the broker lets in, whether the session was resumed, and the next session."""
        with contextlib.ExitStack() as held:
            plain = held.enter_context(socket.create_connection(("localhost", broker.port), timeout=5))
            connection = held.enter_context(context.wrap_socket(plain, server_hostname="localhost", session=session))
            try:
                connection.sendall(MQTT_CONNECT)
                answer = connection.recv(100)
            except OSError:
                answer = b""
            return answer[:1] == b"\x20", connection.session_reused, connection.session

    is_in, _, session = entered(None)
    assert is_in
    is_in, is_resumed, session = entered(session)
    assert (is_in, is_resumed) == (True, True)
    assert revoke(fleet_path, lost, *running) == 0
    assert lost.run_until(lambda: not entered(session)[0], SILENT_WITHIN_S)


def test_the_receiver_refuses_a_revoked_unit_that_the_broker_still_lets_in(
    broker, make_unit, start_receiver, stored, fleet_path
):
    receiver, lost, other = start_receiver(), make_unit("lost"), make_unit("other")
    lost.put()
    assert lost.run_until(lambda: lost.outbox.count() == 0)
    assert revoke(fleet_path, lost) == 0
    lost.put(2)
    assert lost.run_until(lambda: lost.outbox.next_due_s() < 1e18)
    other.put()
    assert other.run_until(lambda: other.outbox.count() == 0)
    receiver.stop()
    assert "rejected 2: not-active" in receiver.output.getvalue()
    assert lost.outbox.count() == 2
    assert stored() == 2


def test_the_list_lasts_as_long_as_the_authority_for_one_that_ran_out_lets_nobody_in(broker, make_unit, fleet_path):
    authority, before = fleet.load_authority(fleet_path), revocation.current(fleet_path)
    assert before.next_update_utc == authority.certificate.not_valid_after_utc
    ended = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(before.last_update_utc + dt.timedelta(seconds=1))
        .next_update(NOW - dt.timedelta(hours=1))
        .sign(authority.key, hashes.SHA256())
    )
    path = fleet_path / fleet_folder.BROKER_FOLDER / broker_files.REVOKED_NAME
    durable_files.write(path, certificates.revocation_list_pem(ended))
    broker.stop()
    broker.start()
    unit = make_unit()
    assert unit.run_until(lambda: unit.fault_hint(FaultCode.BROKER_REFUSED))
    assert not is_online(unit)


def test_a_broker_that_does_not_run_here_is_said_and_the_unit_is_revoked_all_the_same(
    broker, running, make_unit, fleet_path, capsys
):
    lost = make_unit("lost")
    broker.stop()
    assert revoke(fleet_path, lost, *running) == 2
    assert "names no process that runs" in capsys.readouterr().err
    units = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)
    assert units.unit(lost.config.device_id).state is State.REVOKED


def test_a_process_that_is_not_the_broker_is_left_alone(broker, make_unit, fleet_path, tmp_path):
    pid_file = tmp_path / "broker-state" / "mosquitto.pid"
    pid_file.write_text("1\n")
    with pytest.raises(ConfigRejected, match="not Mosquitto"):
        installed_broker.renew(fleet_path, tmp_path / broker_files.CONFIGURATION_NAME)
