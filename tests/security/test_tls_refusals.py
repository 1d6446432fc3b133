"""Whom unit and receiver do not speak to: each refused with its reason in the log, and no read leaves or is lost."""

import datetime as dt
import io
import ssl
import threading
from dataclasses import dataclass, field

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from impostors import (
    Impostor,
    mosquitto,
    revocation_list,
    server_context,
    server_files,
    stolen_authority,
)
from loopback_fleet import CLOCK, NOW, SITE, RunningReceiver, Unit

from cloud import fleet_folder
from cloud.receiver import Receiver, ReceiverSettings
from cloud.store import ReadStore
from cloud.subscription import BrokerRefused
from firmware import identity
from firmware.board.tls import tls_context
from firmware.faults import ConfigRejected, FaultCode
from hw_sim.broker import Broker, free_port
from provisioning import certificates, fleet, unit

READS = 3
DAY = dt.timedelta(days=1)
REVOKED_LIST = "fleet-ca.crl"


@dataclass
class Place:
    """A fleet with one unit, and where its broker should be."""

    folder: object
    fleet: object
    unit: object
    port: int
    authority: object = field(repr=False)

    @property
    def authority_path(self):
        return self.fleet / fleet_folder.AUTHORITY_CERTIFICATE

    def files(self, signer=None, **how):
        """Make the impostor's files, of this fleet's authority unless another is given; return their folder."""
        server_files(self.folder / "impostor", signer or self.authority, **how)
        return self.folder / "impostor"

    def server(self, signer=None, *, asks=True, newest=ssl.TLSVersion.TLSv1_3, **how):
        return Impostor(
            self.port, server_context(self.files(signer, **how), self.authority_path, asks=asks, newest=newest)
        )


@pytest.fixture
def place(tmp_path):
    port = free_port()
    fleet.init(tmp_path / "fleet", host="localhost", port=port, now=NOW)
    unit.enrol(tmp_path / "fleet", tmp_path / "unit", SITE, NOW)
    authority = fleet.load_authority(tmp_path / "fleet")
    return Place(folder=tmp_path, fleet=tmp_path / "fleet", unit=tmp_path / "unit", port=port, authority=authority)


def of_another_fleet(place):
    return place.server(certificates.new_authority(NOW))


def self_signed(place):
    server_files(place.folder / "impostor", None)
    return Impostor(place.port, server_context(place.folder / "impostor", place.authority_path))


def run_out(place):
    return place.server(begins=NOW - 20 * DAY)


def not_valid_yet(place):
    return place.server(begins=NOW + 20 * DAY)


def of_another_name(place):
    return place.server(names=("broker.example",))


def named_by_its_common_name_alone(place):
    return place.server(names=())


def of_an_address_only(place):
    return place.server(names=("127.0.0.1",))


def of_a_unit(place):
    return place.server(purpose=ExtendedKeyUsageOID.CLIENT_AUTH)


def signed_by_a_stolen_unit(place):
    thief = stolen_authority(place.authority)
    return place.server(thief, chain=(thief.certificate,))


def tls_1_2_only(place):
    return place.server(newest=ssl.TLSVersion.TLSv1_2)


def that_lets_everybody_in(place):
    return place.server(asks=False)


def without_tls(place):
    return Impostor(place.port, banner=b"220 broker ready\r\n")


def revoked(place):
    made = server_files(place.folder / "impostor", place.authority)
    for folder in (place.unit, place.fleet / "receiver"):
        revocation_list(folder / REVOKED_LIST, place.authority, made)
    return Impostor(place.port, server_context(place.folder / "impostor", place.authority_path))


REFUSED = [
    (of_another_fleet, "of another authority than fleet-ca.crt"),
    (self_signed, "signed by itself"),
    (run_out, "has run out"),
    (not_valid_yet, "not valid yet; set the clock"),
    (of_another_name, "made out to another name"),
    (named_by_its_common_name_alone, "made out to another name"),
    (of_an_address_only, "made out to another name"),
    (of_a_unit, "not a broker's"),
    (signed_by_a_stolen_unit, "signed by a machine that may not sign"),
    (tls_1_2_only, "offers no TLS 1.3"),
    (that_lets_everybody_in, "lets in everybody"),
    (without_tls, "does not speak TLS"),
    (revoked, "this fleet has revoked it"),
]


def tokens(outbox):
    return [waiting.token for waiting in outbox.next_unsent(1000, 1e12)]


def wires(outbox):
    return [waiting.wire for waiting in outbox.next_unsent(1000, 1e12)]


def assert_all_arrive(place, device, count):
    """The right broker comes back: everything that was kept is delivered, once."""
    broker = Broker(place.fleet, place.folder)
    broker.start()
    try:
        receiver = RunningReceiver(place.fleet, place.folder / "reads.db", count)
        device.skipped_s += 1000.0
        assert device.run_until(lambda: device.outbox.count() == 0)
        receiver.stop()
    finally:
        broker.kill()
    with ReadStore(place.folder / "reads.db") as store:
        assert store.count() == count


@pytest.fixture
def device(place):
    """Make a unit whose outbox holds reads; its files may still be changed before."""
    made = []

    def make():
        made.append(Unit(place.unit))
        made[0].put(READS)
        return made[0]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize(("server", "sentence"), REFUSED, ids=[server.__name__ for server, _ in REFUSED])
def test_the_unit_says_nothing_to_a_server(place, device, caplog, server, sentence):
    with server(place) as impostor:
        made = device()
        kept = tokens(made.outbox)
        sent_nothing = wires(made.outbox)
        assert made.run_until(lambda: made.fault_hint(FaultCode.BROKER_REFUSED))
        made.uplink.close()
    assert sentence in made.fault_hint(FaultCode.BROKER_REFUSED)
    assert [record for record in caplog.records if sentence in record.getMessage() and record.levelname == "WARNING"]
    assert impostor.calls == 1
    assert b"MQTT" not in impostor.heard
    assert not [wire for wire in sent_nothing if wire in impostor.heard]
    if server is not without_tls:
        assert impostor.heard == b""  # not one byte after TLS
    assert len(kept) == READS
    assert tokens(made.outbox) == kept
    assert_all_arrive(place, made, READS)


@pytest.mark.parametrize(("server", "sentence"), REFUSED, ids=[server.__name__ for server, _ in REFUSED])
def test_the_receiver_says_nothing_to_a_server(place, server, sentence):
    settings = ReceiverSettings(
        folder=place.fleet, host="localhost", port=place.port, store_path=place.folder / "reads.db", count=None
    )
    with server(place) as impostor, pytest.raises(BrokerRefused) as refused:
        Receiver(settings, threading.Event(), io.StringIO()).run()
    assert sentence in str(refused.value)
    assert impostor.calls == 1
    assert b"MQTT" not in impostor.heard
    if server is not without_tls:
        assert impostor.heard == b""


def listener_lines(folder, authority_path, line):
    return f"cafile {authority_path}", f"certfile {folder}/broker.crt", f"keyfile {folder}/broker.key", line


STRICT = "require_certificate true"
MOSQUITTOS = {
    "asks for no certificate": ({}, "require_certificate false", "TLSv1.3", "lets in everybody"),
    "tls 1.2 only": ({}, STRICT, "TLSv1.2", "offers no TLS 1.3"),
    "run out": ({"begins": NOW - 20 * DAY}, STRICT, "TLSv1.3", "has run out"),
    "other name": ({"names": ("b.example",)}, STRICT, "TLSv1.3", "another name"),
}


@pytest.mark.parametrize("name", MOSQUITTOS)
def test_a_mosquitto_that_is_not_as_it_should_be_hears_no_client(place, device, name):
    how, line, newest, sentence = MOSQUITTOS[name]
    lines = listener_lines(place.files(**how), place.authority_path, line)
    made = device()
    with mosquitto(place.folder, place.port, *lines, newest=newest) as log:
        assert made.run_until(lambda: made.fault_hint(FaultCode.BROKER_REFUSED))
    assert sentence in made.fault_hint(FaultCode.BROKER_REFUSED)
    assert "New client connected" not in log.read_text()
    assert "CONNECT" not in log.read_text()
    assert made.outbox.count() == READS
    assert_all_arrive(place, made, READS)


def test_the_same_mosquitto_as_it_should_be_is_spoken_to(place, device):
    """What the refusals above hang on is the one thing that differs."""
    lines = listener_lines(place.files(), place.authority_path, STRICT)
    made = device()
    with mosquitto(place.folder, place.port, *lines) as log:
        assert made.run_until(lambda: "Received PUBLISH from" in log.read_text())


def test_a_broker_without_tls_is_a_loss_that_is_told_and_nothing_is_sent(place, device, caplog):
    caplog.set_level("INFO")
    made = device()

    def told():
        made.skipped_s += 10.0
        return made.fault_hint(FaultCode.BROKER_UNREACHABLE)

    with mosquitto(place.folder, place.port) as log:
        assert made.run_until(told)
    assert "in the middle of TLS" in made.fault_hint(FaultCode.BROKER_UNREACHABLE)
    assert "the broker's port for TLS" in caplog.text
    assert "New client connected" not in log.read_text()
    assert made.outbox.count() == READS
    assert_all_arrive(place, made, READS)


def test_a_server_that_takes_the_call_and_says_nothing_is_given_up(place, device, caplog):
    caplog.set_level("INFO")
    made = device()
    begun_s = CLOCK.monotonic_s()
    with Impostor(place.port) as impostor:
        assert made.run_until(lambda: "does not answer" in caplog.text, limit_s=25)
    assert 10 < CLOCK.monotonic_s() - begun_s < 20
    assert b"MQTT" not in impostor.heard
    assert not [wire for wire in wires(made.outbox) if wire in impostor.heard]
    assert made.outbox.count() == READS
    assert_all_arrive(place, made, READS)


def test_a_broker_that_falls_silent_after_tls_hears_no_read(place, device, caplog):
    caplog.set_level("INFO")
    made = device()
    with place.server() as impostor:
        assert made.run_until(lambda: b"MQTT" in impostor.heard)
        made.skipped_s += 61.0
        assert made.run_until(lambda: "the broker did not answer in time" in caplog.text)
    assert len(impostor.heard) < 200  # the CONNECT packet with its will
    assert not [wire for wire in wires(made.outbox) if wire in impostor.heard]
    assert made.outbox.count() == READS
    assert_all_arrive(place, made, READS)


@pytest.mark.parametrize(
    ("signer", "issued", "sentence"),
    [("own", NOW - 60 * DAY, "list of revoked certificates has run out"),
     ("own", NOW + 60 * DAY, "list of revoked certificates is not valid yet"),
     ("other", NOW, "list of revoked certificates")],
)  # fmt: skip
def test_a_list_that_does_not_serve_lets_nobody_in(place, device, signer, issued, sentence):
    authority = place.authority if signer == "own" else certificates.new_authority(NOW)
    revocation_list(place.unit / REVOKED_LIST, authority, issued=issued)
    made = device()
    with Broker(place.fleet, place.folder):
        assert made.run_until(lambda: made.fault_hint(FaultCode.BROKER_REFUSED))
    assert sentence in made.fault_hint(FaultCode.BROKER_REFUSED)
    assert made.outbox.count() == READS


def test_a_list_that_does_not_name_the_broker_lets_it_in(place, device):
    other = server_files(place.folder / "other", place.authority)
    for folder in (place.unit, place.fleet / "receiver"):
        revocation_list(folder / REVOKED_LIST, place.authority, other)
    assert_all_arrive(place, device(), READS)


def context_of(folder):
    return tls_context(folder / identity.AUTHORITY_NAME, folder / identity.CERTIFICATE_NAME, folder / identity.KEY_NAME)


def test_what_is_checked_cannot_be_weakened_from_outside(place, monkeypatch):
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.setenv(name, str(place.folder / "outside"))
    context = context_of(place.unit)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.hostname_checks_common_name
    assert context.keylog_filename is None
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize("name", [identity.AUTHORITY_NAME, REVOKED_LIST])
def test_a_second_authority_in_a_file_is_refused(place, name):
    revocation_list(place.unit / REVOKED_LIST, place.authority)
    other = certificates.certificate_pem(certificates.new_authority(NOW).certificate)
    path = place.unit / name
    path.write_bytes(path.read_bytes() + other)
    with pytest.raises(ConfigRejected, match=r"holds (2 certificates|more than)"):
        context_of(place.unit)


def test_a_list_that_is_none_is_refused(place):
    (place.unit / REVOKED_LIST).write_bytes(b"nothing")
    with pytest.raises(ConfigRejected, match="not a list of revoked certificates"):
        context_of(place.unit)


def refusals(device):
    return sum(report.count for report in device.faults.reports() if report.code is FaultCode.BROKER_REFUSED)


def test_each_new_reason_is_in_the_log_once(place, device, caplog):
    """A technician who mends one thing reads in the log what is wrong then."""
    made = device()
    for server in (run_out, run_out, of_another_name, of_another_name):
        before = refusals(made)
        made.skipped_s += 1000.0
        with server(place):
            assert made.run_until(lambda before=before: refusals(made) > before)
    assert [record.getMessage().split(": ")[2].split(";")[0] for record in caplog.records] == [
        "it has run out",
        "it is made out to another name",
    ]
