"""Servers that are not the unit's broker, or not as they should be, and the certificates that they show.

Each counts what it is told: what a unit sends to the wrong machine is lost and may be read.
"""

import contextlib
import datetime as dt
import ipaddress
import shutil
import socket
import ssl
import subprocess
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from loopback_fleet import NOW

from firmware.board.linux import LinuxClock
from hw_sim.broker import ADDRESS, is_listening
from provisioning import certificates
from provisioning.certificates import Authority

START_LIMIT_S = 10.0
CLOCK = LinuxClock()


def server_files(
    folder,
    signer,
    *,
    host="localhost",
    names=("localhost",),
    begins=NOW,
    days=10,
    purpose=ExtendedKeyUsageOID.SERVER_AUTH,
    chain=(),
):
    """Write broker.crt (then `chain`) and broker.key and return the certificate. `signer` None: it signs itself."""
    key = certificates.new_tls_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.certificate.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - dt.timedelta(days=1))
        .not_valid_after(begins + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if signer:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.certificate.public_key())
        builder = builder.add_extension(issuer, critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
    signing_key = signer.key if signer else key
    made = builder.sign(signing_key, hashes.SHA256())
    folder.mkdir(exist_ok=True)
    (folder / "broker.crt").write_bytes(b"".join(certificates.certificate_pem(one) for one in (made, *chain)))
    (folder / "broker.key").write_bytes(certificates.key_pem(key))
    return made


def revocation_list(path, authority, *revoked, issued=NOW, days=30):
    """Write the authority's list of revoked certificates, as a fleet's office does."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(issued - dt.timedelta(days=1))
        .next_update(issued + dt.timedelta(days=days))
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.certificate.public_key()), critical=False
        )
    )
    for certificate in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(issued)
        builder = builder.add_revoked_certificate(entry.build())
    path.write_bytes(builder.sign(authority.key, hashes.SHA256()).public_bytes(certificates.Encoding.PEM))


def stolen_authority(signer):
    """Return a unit's key and certificate as a thief would use them: to sign certificates."""
    key = certificates.new_tls_key()
    request = certificates.signing_request(key, "k-stolen01")
    made = certificates.client_certificate(signer, request, "k-stolen01", NOW, 10)
    return Authority(key=key, certificate=made)


def _name(host):
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class LoopbackServer:
    """A server on a thread of its own. `answer` gets one connection after the other. World face: how many came."""

    def __init__(self, port):
        self.calls = 0
        self._stopping = threading.Event()
        self._listener = socket.create_server((ADDRESS, port))
        self._thread = threading.Thread(target=self._serve, name="impostor")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()
        assert not self._thread.is_alive()

    def answer(self, connection):
        """Do what this server does with a TCP connection; OSError ends it, and it is closed afterwards."""
        raise NotImplementedError

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.calls += 1
            with contextlib.closing(connection), contextlib.suppress(OSError):
                self.answer(connection)


class Impostor(LoopbackServer):
    """One that listens. World face: what it heard in the clear or after TLS.

    `tls` None: it takes the connection without TLS, says `banner` and nothing else.
    """

    def __init__(self, port, tls=None, *, banner=b""):
        super().__init__(port)
        self.heard = b""
        self._tls, self._banner = tls, banner

    def answer(self, connection):
        connection.settimeout(5)
        with contextlib.ExitStack() as held:  # the caller hangs up when it sees who answers
            if self._tls is not None:
                connection = held.enter_context(self._tls.wrap_socket(connection, server_side=True))
            connection.sendall(self._banner)
            connection.settimeout(0.05)
            while not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    more = connection.recv(65536)
                    self.heard += more
                    if not more:
                        return


def server_context(folder, authority_path, *, asks=True, newest=ssl.TLSVersion.TLSv1_3):
    """Return a server's context with the files of `folder`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    context.load_cert_chain(folder / "broker.crt", folder / "broker.key")
    if asks:
        context.load_verify_locations(cafile=authority_path)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextlib.contextmanager
def mosquitto(folder, port, *lines, newest="TLSv1.3"):
    """Run a Mosquitto of its own configuration, with an OpenSSL that goes up to `newest`; yield the path of its log."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    configuration = folder / "impostor.conf"
    said = [
        f"listener {port} {ADDRESS}",
        *lines,
        "allow_anonymous true",
        "user root",
        "log_dest stderr",
        "log_type all",
    ]
    configuration.write_text("\n".join(said) + "\n")
    openssl = folder / "openssl.cnf"
    openssl.write_text(
        f"openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = limits\n[limits]\nMaxProtocol = {newest}\n"
    )
    log = folder / "impostor.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [program, "-c", configuration],
            stdout=output,
            stderr=output,
            process_group=0,
            env={"OPENSSL_CONF": str(openssl)},
        ) as process,
    ):
        try:
            deadline_s = CLOCK.monotonic_s() + START_LIMIT_S
            while not is_listening(port):
                assert process.poll() is None
                assert CLOCK.monotonic_s() < deadline_s
            yield log
        finally:
            process.kill()
            process.wait()
