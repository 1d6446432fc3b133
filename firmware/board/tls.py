"""TLS for every connection of this product: version 1.3 only, the fleet's own authority, both sides with a certificate.

What is checked never depends on where the unit hangs or on what went wrong before: there is no second try with less.
Also what a connection that failed means, in words for a technician.
"""

import socket
import ssl
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from firmware.faults import ConfigRejected
from firmware.key_files import MAKE_AGAIN
from firmware.link_causes import LinkCause
from firmware.records import Lost, Refused

REVOKED_SUFFIX: Final = ".crl"
"""The fleet's list of revoked certificates lies beside its authority's certificate: fleet-ca.crt, fleet-ca.crl."""

BRING_LIST: Final = "bring the newest list from the fleet's folder"

_FLAWS: Final = {
    3: f"it cannot be checked with this fleet's list of revoked certificates; {BRING_LIST}",
    7: "its signature is wrong; check uplink.host, somebody else may answer there",
    8: f"the list of revoked certificates is not signed by this fleet; {BRING_LIST}",
    9: "it is not valid yet; set the clock of this machine, or that of the office when it made the certificate",
    10: "it has run out; give the broker a new one, or set the clock of this machine",
    11: f"the list of revoked certificates is not valid yet; set the clock of this machine, or {BRING_LIST}",
    12: f"the list of revoked certificates has run out; {BRING_LIST}, or set the clock of this machine",
    18: "it is signed by itself and not by fleet-ca.crt; check uplink.host, somebody else may answer there",
    19: "it is of another authority than fleet-ca.crt; check uplink.host, somebody else may answer there",
    20: "it is of another authority than fleet-ca.crt; check uplink.host, somebody else may answer there",
    23: "this fleet has revoked it; give the broker a new one, and find out who has the old one",
    79: "it was signed by a machine that may not sign; check uplink.host, a stolen unit may answer there",
    26: "it is not a broker's; check uplink.host, a stolen unit may answer there",
    62: "it is made out to another name; check uplink.host, or make the broker's certificate for this name",
    64: "it is made out to another address; check uplink.host, or make the broker's certificate for this address",
}
"""By verification code (openssl/x509_vfy.h, X509_V_ERR_...)."""

_NO_TLS_1_3: Final = {"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "PROTOCOL_VERSION", "VERSION_TOO_LOW"}
_NO_TLS: Final = {
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "UNEXPECTED_MESSAGE",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
}


class FleetContext(ssl.SSLContext):
    """A client's context, and the newest TLS session that may be resumed: in memory only, and for its own broker.

    A ticket of TLS 1.3 comes after the handshake (RFC 8446, section 4.6.1), so whoever has read something of the broker
    calls `remember`, and whoever was refused with it calls `forget`. The session is resumed with a fresh key exchange
    (psk_dhe_ke), and not for longer than the broker said, seven days at most.
    """

    _session: ssl.SSLSession | None = None

    def remember(self, connection: object) -> None:
        """Keep the newest session of a connection whose broker has let us in."""
        if isinstance(connection, ssl.SSLSocket) and connection.session is not None and connection.session.has_ticket:
            self._session = connection.session

    def forget(self) -> bool:
        """Connect fully the next time; return whether there was a session to be resumed."""
        was_there, self._session = self._session is not None, None
        return was_there

    def offer(self, connection: ssl.SSLSocket) -> None:
        """Offer the remembered session, if there is one, in the handshake to come."""
        if self._session is not None:
            connection.session = self._session


class NoCertificateAsked(ssl.SSLError):
    """The other end of a TLS connection lets everybody in: it did not ask who we are."""


def tls_context(authority: Path, certificate: Path, key: Path) -> FleetContext:
    """Return a client context: TLS 1.3 only, this one authority, names checked, this certificate shown.

    If the fleet's list of revoked certificates (RFC 5280, section 5) lies beside `authority`, a server that it names is
    refused, and so is every server when the list has run out. Raises ConfigRejected if a file is not what it should be.
    """
    context = FleetContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and host name
    context.sslsocket_class = _MutualSocket
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.hostname_checks_common_name = False  # RFC 9525, section 6.3: the common name is no identity of a server
    # The ssl module tells nowhere else whether a server asked; without this hook `was_asked` stays false, and nobody is
    # spoken to.
    context._msg_callback = _note_request  # type: ignore[attr-defined]
    context.load_verify_locations(cadata=_only_certificate(authority))
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigRejected(f"{certificate.parent}: TLS refuses key or certificate ({error}); {MAKE_AGAIN}") from error
    revoked = authority.with_suffix(REVOKED_SUFFIX)
    if revoked.exists():
        _check_list(revoked)
        context.load_verify_locations(cafile=revoked)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    return context


def _only_certificate(path: Path) -> str:
    """Return the one certificate of a file as PEM: a second one in it would be a second authority, unseen.

    Not as DER, after whose end the ssl module takes any older error that OpenSSL still remembers for its own, and a
    PKCS #11 library in this process leaves some.
    """
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (ValueError, OSError, x509.InvalidVersion):
        raise ConfigRejected(f"{path}: holds no certificate; {MAKE_AGAIN}") from None
    if len(certificates) != 1:
        raise ConfigRejected(f"{path}: holds {len(certificates)} certificates in place of one; {MAKE_AGAIN}")
    return certificates[0].public_bytes(Encoding.PEM).decode()


def _check_list(path: Path) -> None:
    """Return if the file holds a list and nothing else. Raises ConfigRejected."""
    try:
        content = path.read_bytes()
        x509.load_pem_x509_crl(content)
    except (ValueError, OSError):
        raise ConfigRejected(f"{path}: not a list of revoked certificates; {BRING_LIST}") from None
    if content.count(b"-----BEGIN ") != 1:  # OpenSSL would trust a certificate that it finds there
        raise ConfigRejected(f"{path}: holds more than a list of revoked certificates; {BRING_LIST}")


class _MutualSocket(ssl.SSLSocket):
    """A TLS socket whose handshake fails, and which closes itself, unless the server has asked for our certificate.

    A TLS 1.3 handshake with a server that does not care who calls looks like any other (RFC 8446, section 4.3.2). One
    that resumes a session asks nobody again; it has asked in the handshake from which that session comes. paho would
    leave the socket of a failed handshake to the garbage collector.
    """

    was_asked = False

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  the ssl module's own signature
        try:
            if isinstance(self.context, FleetContext):
                self.context.offer(self)
            super().do_handshake(block)
            if not (self.was_asked or self.session_reused):
                raise NoCertificateAsked("no certificate was asked for")
        except OSError:
            self.close()
            raise


def _note_request(connection: Any, direction: str, _version: Any, _content_type: Any, message: Any, _data: Any) -> None:
    """Note a CertificateRequest; called by the ssl module for each message of a handshake."""
    if direction == "read" and message is ssl._TLSMessageType.CERTIFICATE_REQUEST:  # type: ignore[attr-defined]
        connection.was_asked = True


def unreachable(host: str, port: int, error: OSError | UnicodeError) -> Refused | Lost:
    """Return what a failed connection means, in a sentence that tells a technician what to check.

    Refused for what waiting does not mend (certificates, TLS versions), Lost for everything else.
    """
    match error:
        case ssl.SSLCertVerificationError():
            flaw = _FLAWS.get(error.verify_code, f"{error.verify_message}; check uplink.host and fleet-ca.crt")
            return _refused(f"the certificate of {host} was not accepted: {flaw}")
        case NoCertificateAsked():
            return _refused(
                f"{host} lets in everybody without a certificate; set require_certificate in the broker's file"
            )
        case ssl.SSLError() if error.reason in _NO_TLS_1_3:
            return _refused(f"{host} port {port} offers no TLS 1.3; bring the broker and its OpenSSL up to date")
        case ssl.SSLError() if error.reason in _NO_TLS:
            return _refused(f"{host} port {port} does not speak TLS; check uplink.port and the broker's listener")
        case ssl.SSLError() if not isinstance(error, ssl.SSLEOFError):
            detail = error.strerror or type(error).__name__
            return _refused(f"{host} refused TLS 1.3 ({detail}); check the broker's log and this unit's certificate")
        case _:
            cause = LinkCause.SILENT if isinstance(error, TimeoutError) else LinkCause.UNREACHABLE
            return Lost(_cause_of_loss(host, port, error), cause)


def _refused(reason: str) -> Refused:
    return Refused(None, reason, LinkCause.TLS_REFUSED)


def _cause_of_loss(host: str, port: int, error: OSError | UnicodeError) -> str:
    match error:
        case ssl.SSLEOFError() | ConnectionResetError():
            return (
                f"{host} port {port} closed the connection in the middle of TLS; "
                "check the modem's signal, and that this is the broker's port for TLS"
            )
        case socket.gaierror():
            return f"the name {host} is not known; check uplink.host and the modem's connection"
        case ConnectionRefusedError():
            return f"nothing listens at {host} port {port}; check uplink.port and that the broker runs"
        case TimeoutError():
            return f"{host} port {port} does not answer; check the modem's signal and the broker's firewall"
        case OSError():
            return f"{host} port {port} cannot be reached ({error.strerror or type(error).__name__}); check the modem"
        case UnicodeError():  # what Python says to a name with an empty or overlong part
            return f"{host} is no name of the internet; check uplink.host"
