"""TLS for every connection of this product: version 1.3 only, the fleet's own authority, both sides with a certificate.

Also what a connection that failed means, in words for a technician.
"""

import socket
import ssl
from pathlib import Path

from firmware.faults import ConfigRejected
from firmware.key_files import MAKE_AGAIN
from firmware.records import Lost, Refused


def tls_context(authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a client context: TLS 1.3 only, this one authority, names checked, this certificate shown.

    Raises ConfigRejected if the files do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and host name
    context.sslsocket_class = _ClosedWhenRefused
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(cafile=authority)
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigRejected(f"{certificate.parent}: TLS refuses key or certificate ({error}); {MAKE_AGAIN}") from error
    return context


class _ClosedWhenRefused(ssl.SSLSocket):
    """A TLS socket that closes itself if its handshake fails: paho would leave it to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  the ssl module's own signature
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def unreachable(host: str, port: int, error: OSError | UnicodeError) -> Refused | Lost:
    """Return what a failed connection means, in a sentence that tells a technician what to check.

    Refused for what waiting does not mend (certificates, TLS versions), Lost for everything else.
    """
    match error:
        case ssl.SSLCertVerificationError():
            return Refused(
                None,
                f"the certificate of {host} was not accepted ({error.verify_message}); "
                "check uplink.host, fleet-ca.crt and the date of this unit",
            )
        case ssl.SSLError() if not isinstance(error, ssl.SSLEOFError):
            detail = error.strerror or type(error).__name__
            return Refused(
                None, f"{host} refused TLS 1.3 ({detail}); check the broker's log and this unit's certificate"
            )
        case _:
            return Lost(_cause_of_loss(host, port, error))


def _cause_of_loss(host: str, port: int, error: OSError | UnicodeError) -> str:
    match error:
        case ssl.SSLEOFError():
            return f"{host} closed the connection in the middle of TLS; check the modem's signal and the broker"
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
