"""What a failed connection means: waiting mends a loss, and does not mend a refusal."""

import datetime as dt
import socket
import ssl

import pytest

from firmware.board.tls import tls_context, unreachable
from firmware.faults import ConfigRejected
from firmware.records import Lost, Refused
from provisioning import certificates


@pytest.mark.parametrize(
    ("error", "reason", "kind", "hint"),
    [
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_PROTOCOL_VERSION]"), "TLSV1_ALERT_PROTOCOL_VERSION", Refused, "no TLS 1.3"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "WRONG_VERSION_NUMBER", Refused, "does not speak TLS"),
        (ssl.SSLError(1, "[SSL: BAD_ECPOINT]"), "BAD_ECPOINT", Refused, "refused TLS 1.3"),
        (ssl.SSLEOFError(8, "EOF occurred"), "EOF", Lost, "in the middle of TLS"),
        (ConnectionResetError(104, "Connection reset by peer"), None, Lost, "in the middle of TLS"),
        (socket.gaierror(-2, "Name or service not known"), None, Lost, "check uplink.host"),
        (ConnectionRefusedError(111, "Connection refused"), None, Lost, "nothing listens at broker.example port 8883"),
        (TimeoutError(), None, Lost, "does not answer"),
        (OSError(101, "Network is unreachable"), None, Lost, "Network is unreachable"),
        (UnicodeError("label empty or too long"), None, Lost, "no name of the internet"),
    ],
)
def test_each_failure_is_a_sentence_of_its_kind(error, reason, kind, hint):
    if isinstance(error, ssl.SSLError):
        error.reason = reason
    outcome = unreachable("broker.example", 8883, error)
    assert isinstance(outcome, kind)
    assert hint in outcome.reason


@pytest.mark.parametrize(
    ("code", "hint"), [(10, "it has run out"), (23, "has revoked it"), (65, "a flaw; check uplink.host")]
)
def test_each_flaw_of_a_certificate_is_a_sentence(code, hint):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "a flaw"
    outcome = unreachable("broker.example", 8883, error)
    assert isinstance(outcome, Refused)
    assert hint in outcome.reason


def test_files_that_tls_cannot_use_are_refused_before_anything_is_sent(tmp_path):
    for name in ("crt", "key"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(ConfigRejected, match="holds no certificate"):
        tls_context(tmp_path / "ca", tmp_path / "crt", tmp_path / "key")
    authority = certificates.new_authority(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)).certificate
    (tmp_path / "ca").write_bytes(certificates.certificate_pem(authority))
    with pytest.raises(ConfigRejected, match="TLS refuses"):
        tls_context(tmp_path / "ca", tmp_path / "crt", tmp_path / "key")
