"""What a failed connection means: waiting mends a loss, and does not mend a refusal."""

import socket
import ssl

import pytest

from firmware.board.tls import tls_context, unreachable
from firmware.faults import ConfigRejected
from firmware.records import Lost, Refused


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), Refused, "fleet-ca.crt"),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_PROTOCOL_VERSION]"), Refused, "refused TLS 1.3"),
        (ssl.SSLEOFError(8, "EOF occurred"), Lost, "in the middle of TLS"),
        (socket.gaierror(-2, "Name or service not known"), Lost, "check uplink.host"),
        (ConnectionRefusedError(111, "Connection refused"), Lost, "nothing listens at broker.example port 8883"),
        (TimeoutError(), Lost, "does not answer"),
        (OSError(101, "Network is unreachable"), Lost, "Network is unreachable"),
        (UnicodeError("label empty or too long"), Lost, "no name of the internet"),
    ],
)
def test_each_failure_is_a_sentence_of_its_kind(error, kind, hint):
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message = "self-signed certificate"
    outcome = unreachable("broker.example", 8883, error)
    assert isinstance(outcome, kind)
    assert hint in outcome.reason


def test_files_that_tls_cannot_use_are_refused_before_anything_is_sent(tmp_path):
    for name in ("ca", "crt", "key"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(ConfigRejected, match="TLS refuses"):
        tls_context(tmp_path / "ca", tmp_path / "crt", tmp_path / "key")
