"""The fleet's own certificate authority: who may speak to whom. Pure: keys and names in, certificates out.

The authority, the broker and the receiver have ECDSA P-256 keys, which every TLS library knows; a unit has one Ed25519
key for both TLS and signing. Profiles follow RFC 5280 and are strict enough for OpenSSL's X509_STRICT.
"""

import datetime as dt
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from firmware.faults import ConfigRejected

SubjectKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

AUTHORITY_DAYS: Final = 20 * 365
UNIT_DAYS: Final = 10 * 365  # the life of a unit: until certificates can be renewed over the air, none may run out
BROKER_DAYS: Final = 5 * 365
RECEIVER_DAYS: Final = 5 * 365
ONE_SECOND: Final = dt.timedelta(seconds=1)  # what a date in a certificate counts in
CLOCK_SLACK: Final = dt.timedelta(days=1)  # a machine whose clock is a little behind may still connect


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The fleet's authority: its key and its own certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def present() -> dt.datetime:
    """Return the time as certificates have it: UTC, whole seconds."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def new_tls_key() -> ec.EllipticCurvePrivateKey:
    """Return a new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: object) -> bytes:
    """Return a private key of the `cryptography` package as unencrypted PKCS #8 PEM."""
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[attr-defined]
    return pem


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def revocation_list_pem(revoked: x509.CertificateRevocationList) -> bytes:
    """Return a list of revoked certificates as PEM."""
    return revoked.public_bytes(Encoding.PEM)


def new_authority(now: dt.datetime, key: ec.EllipticCurvePrivateKey | None = None) -> Authority:
    """Return a new self-signed authority, of `key` or a new one, that can sign leaf certificates and nothing deeper."""
    key = key or new_tls_key()
    name = name_of("Kestrel fleet authority")
    builder = (
        _builder(name, name, key.public_key(), now, now + dt.timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Authority(key=key, certificate=builder.sign(key, hashes.SHA256()))


def signing_request(key: SubjectKey, common_name: str) -> x509.CertificateSigningRequest:
    """Return the request that leaves a unit: its name and public key, signed. The private key stays where it is."""
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return x509.CertificateSigningRequestBuilder().subject_name(name_of(common_name)).sign(key, algorithm)


def request_pem(request: x509.CertificateSigningRequest) -> str:
    """Return a signing request as PEM."""
    return request.public_bytes(Encoding.PEM).decode()


def check_issued(certificate: x509.Certificate, authority_pem: bytes) -> None:
    """Return if the authority of `authority_pem` issued `certificate`. Raises ConfigRejected."""
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority_pem))
    except (ValueError, TypeError, InvalidSignature):
        raise ConfigRejected(
            "a certificate of the answer is not of this unit's fleet; bring the right answer"
        ) from None


def client_certificate(
    authority: Authority,
    request: x509.CertificateSigningRequest,
    common_name: str,
    now: dt.datetime,
    days: int,
    *,
    serial: int | None = None,
) -> x509.Certificate:
    """Return a certificate with which a client may connect, with a new serial number unless one is given.

    Raises ValueError if the request is not signed by its own key or asks for another name than `common_name`.
    """
    if not request.is_signature_valid or request.subject != name_of(common_name):
        raise ValueError("the signing request is not what it should be")
    builder = _leaf(authority, request, now, days, ExtendedKeyUsageOID.CLIENT_AUTH, serial=serial)
    return builder.sign(authority.key, hashes.SHA256())


def server_certificate(
    authority: Authority, request: x509.CertificateSigningRequest, host: str, now: dt.datetime, days: int
) -> x509.Certificate:
    """Return the broker's certificate for `host`, a name or an address. Raises ValueError for a bad request."""
    if not request.is_signature_valid:
        raise ValueError("the signing request is not what it should be")
    builder = _leaf(authority, request, now, days, ExtendedKeyUsageOID.SERVER_AUTH)
    builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def revocation_list(
    authority: Authority,
    revoked: Mapping[int, dt.datetime],
    before: x509.CertificateRevocationList | None,
    now: dt.datetime,
) -> x509.CertificateRevocationList:
    """Return the list of revoked certificates: those of `before`, and `revoked` by serial number.

    What was revoked once stays so, whatever becomes of a unit's entry. The list is good for as long as the authority:
    it lies beside the broker until somebody brings a newer one, and one that ran out would lock every unit out. Each
    list is newer than `before` by a second at least, or OpenSSL would go on asking the old one.
    """
    issued = now - CLOCK_SLACK if before is None else max(now - CLOCK_SLACK, before.last_update_utc + ONE_SECOND)
    number = 1 if before is None else before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
    dates = dict(revoked) | {entry.serial_number: entry.revocation_date_utc for entry in before or ()}
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(issued)
        .next_update(authority.certificate.not_valid_after_utc)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_id(authority), critical=False)
    )
    for serial, date in sorted(dates.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(date)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(authority.key, hashes.SHA256())


def _authority_id(authority: Authority) -> x509.AuthorityKeyIdentifier:
    own_id = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_id)


def _leaf(
    authority: Authority,
    request: x509.CertificateSigningRequest,
    now: dt.datetime,
    days: int,
    purpose: x509.ObjectIdentifier,
    *,
    serial: int | None = None,
) -> x509.CertificateBuilder:
    public_key = request.public_key()
    # what outlives its authority is refused with it (RFC 5280, section 6.1), and the registry must know when
    until = min(now + dt.timedelta(days=days), authority.certificate.not_valid_after_utc)
    return (
        _builder(request.subject, authority.certificate.subject, public_key, now, until, serial=serial)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_authority_id(authority), critical=False)
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: CertificatePublicKeyTypes,
    now: dt.datetime,
    until: dt.datetime,
    *,
    serial: int | None = None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(until)
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def name_of(common_name: str) -> x509.Name:
    """Return the subject that has nothing but a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
