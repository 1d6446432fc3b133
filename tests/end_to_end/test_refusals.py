"""What the broker and the unit must refuse, each with a sentence that a technician can act on, and no read lost."""

import contextlib
import datetime as dt
import shutil
import socket
import ssl
import subprocess
import sys
import threading

import pytest
from loopback_fleet import CLOCK, NOW, SITE

from cloud import fleet_folder
from firmware import config, identity, sealing
from firmware.board.tls import tls_context
from firmware.faults import FaultCode
from firmware.key_files import load_key
from firmware.topics import read_topic, receipt_topic
from hw_sim.broker import Broker, BrokerAbsent, free_port, is_listening
from provisioning import certificates, durable_files, fleet, unit


@pytest.fixture
def other_fleet(tmp_path):
    path = tmp_path / "other-fleet"
    fleet.init(path, host="localhost", port=free_port(), now=NOW)
    return path


def give_certificate(unit_folder, authority, *, now=NOW, days=10):
    """Replace a unit's certificate by one that `authority` signs for the unit's own key."""
    key = load_key(unit_folder / identity.KEY_NAME)
    device_id = config.load(unit_folder / identity.CONFIG_NAME).device_id
    request = certificates.signing_request(key, device_id)
    made = certificates.client_certificate(authority, request, device_id, now, days)
    durable_files.write(unit_folder / identity.CERTIFICATE_NAME, certificates.certificate_pem(made))


def assert_refused_and_kept(made):
    made.put(2)
    assert made.run_until(lambda: made.fault_hint(FaultCode.BROKER_REFUSED))
    assert made.outbox.count() == 2
    return made.fault_hint(FaultCode.BROKER_REFUSED)


def test_a_certificate_of_another_fleet_is_refused(broker, fleet_path, other_fleet, make_unit, tmp_path):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW)
    give_certificate(tmp_path / "unit", fleet.load_authority(other_fleet))
    hint = assert_refused_and_kept(make_unit())
    assert "check that the unit's certificate is of this fleet" in hint


def test_a_certificate_that_has_run_out_is_refused(broker, fleet_path, make_unit, tmp_path):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW)
    give_certificate(tmp_path / "unit", fleet.load_authority(fleet_path), now=NOW - dt.timedelta(days=20))
    assert "valid today" in assert_refused_and_kept(make_unit())


def test_a_broker_of_another_fleet_is_refused_by_the_unit(fleet_path, other_fleet, make_unit, tmp_path):
    port = fleet_folder.load(fleet_path).port
    shutil.rmtree(other_fleet)
    fleet.init(other_fleet, host="localhost", port=port, now=NOW)
    with Broker(other_fleet, tmp_path):
        hint = assert_refused_and_kept(make_unit())
    assert "the certificate of localhost was not accepted" in hint
    assert "fleet-ca.crt" in hint


def test_a_broker_under_another_name_is_refused_by_the_unit(fleet_path, make_unit, tmp_path):
    port = fleet_folder.load(fleet_path).port
    shutil.rmtree(fleet_path)
    fleet.init(fleet_path, host="broker.example", port=port, now=NOW)
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW)
    path = tmp_path / "unit" / "config.json"
    path.write_bytes(path.read_bytes().replace(b"broker.example", b"localhost"))
    with Broker(fleet_path, tmp_path):
        assert "localhost" in assert_refused_and_kept(make_unit())


def test_another_unit_s_topic_is_refused_and_its_receipts_are_not_heard(broker, make_unit, start_receiver, stored):
    receiver = start_receiver()
    honest, thief = make_unit("honest"), make_unit("thief")
    victim = honest.config.device_id
    (sealed,) = honest.put()
    assert thief.run_until(lambda: thief.link.publish(read_topic(victim), sealing.to_wire(sealed), 7, 60))
    assert thief.run_until(lambda: "Not authorized" in thief.fault_hint(FaultCode.BROKER_REFUSED))
    thief.faults.clear(FaultCode.BROKER_REFUSED)
    assert thief.link.publish(receipt_topic(victim), b"forged", 8, 60)
    assert thief.run_until(lambda: "Not authorized" in thief.fault_hint(FaultCode.BROKER_REFUSED))
    assert honest.run_until(lambda: honest.outbox.count() == 0)
    receiver.stop()
    assert "1 stored, 0 duplicates, 0 rejected" in receiver.output.getvalue()


def test_an_envelope_of_another_unit_on_an_own_topic_is_rejected(broker, make_unit, start_receiver, stored):
    receiver = start_receiver()
    honest, thief = make_unit("honest"), make_unit("thief")
    (sealed,) = honest.put()
    own_topic = read_topic(thief.config.device_id)
    assert thief.run_until(lambda: thief.link.publish(own_topic, sealing.to_wire(sealed), 7, 60))
    thief.put()
    assert thief.run_until(lambda: thief.outbox.count() == 0)
    receiver.stop()
    assert "rejected 1: other-device" in receiver.output.getvalue()
    assert stored() == 1


def context_of(folder):
    return tls_context(folder / identity.AUTHORITY_NAME, folder / identity.CERTIFICATE_NAME, folder / identity.KEY_NAME)


def handshake(port, context):
    with contextlib.ExitStack() as held:
        plain = held.enter_context(socket.create_connection(("localhost", port), timeout=5))
        return held.enter_context(context.wrap_socket(plain, server_hostname="localhost")).version()


def test_tls_1_2_is_refused(broker, make_unit, tmp_path):
    make_unit()
    context = context_of(tmp_path / "unit")
    assert handshake(broker.port, context) == "TLSv1.3"
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        handshake(broker.port, context)


def test_a_client_without_a_certificate_is_refused(broker, fleet_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=fleet_path / fleet_folder.AUTHORITY_CERTIFICATE)
    plain = socket.create_connection(("localhost", broker.port), timeout=5)
    with (
        contextlib.closing(context.wrap_socket(plain, server_hostname="localhost")) as connection,
        pytest.raises(ssl.SSLError, match=r"CERTIFICATE_REQUIRED|EOF"),  # the alert may be overtaken by the end
    ):
        connection.recv(1)  # TLS 1.3 tells a client only after the handshake


def test_with_no_broker_reads_wait_and_the_technician_hears_why(make_unit):
    made = make_unit()
    made.put()

    def hint_after_a_longer_back_off():
        made.skipped_s += 10.0
        return made.fault_hint(FaultCode.BROKER_UNREACHABLE)

    assert made.run_until(hint_after_a_longer_back_off)
    assert "nothing listens at localhost" in made.fault_hint(FaultCode.BROKER_UNREACHABLE)
    assert made.outbox.count() == 1


def test_a_stop_does_not_hang_with_reads_unacknowledged_and_leaves_no_thread(broker, make_unit):
    made = make_unit()
    made.put(50)
    assert made.run_until(lambda: made.link.publish("kestrel/v1/nobody/read", b"x" * 50_000, 1, 60))
    begun_s = CLOCK.monotonic_s()
    made.close()
    assert CLOCK.monotonic_s() - begun_s < 5
    assert not [thread for thread in threading.enumerate() if thread.name == "mqtt"]


def test_the_broker_says_when_its_port_is_taken(broker, fleet_path, tmp_path):
    with pytest.raises(BrokerAbsent, match="is in use"):
        Broker(fleet_path, tmp_path).start()
    assert is_listening(broker.port)


def test_the_receiver_says_when_the_broker_refuses_it(broker, fleet_path, other_fleet, tmp_path):
    shutil.rmtree(fleet_path / "receiver")
    shutil.copytree(other_fleet / "receiver", fleet_path / "receiver")
    authority = (fleet_path / fleet_folder.AUTHORITY_CERTIFICATE).read_bytes()
    (fleet_path / fleet_folder.RECEIVER_AUTHORITY).write_bytes(authority)
    command = [sys.executable, "-m", "cloud", "receive", "--folder", str(fleet_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "check that the receiver's certificate is of this fleet" in done.stderr
    assert "Traceback" not in done.stderr
