"""What passes between a unit and the fleet's authority: public keys in a request, certificates in an answer.

Both are JSON and public: neither holds a private key. A request has one certificate signing request (PKCS #10, RFC
2986) a key: first that of the TLS connection, last that of the key which signs reads. A unit without a token has one
for both. It also has the public key to which a bundle for this unit is encrypted (provisioning.bundles).
"""

import base64
import binascii
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Meta

from firmware import strict_json
from firmware.config import DEVICE_ID_PATTERN, Base64Key, DeviceConfig, TokenConfig
from firmware.faults import ConfigRejected, DocumentRejected

PROOF_PREFIX: Final = b"kestrel/unit-request/v2\x00"

T = TypeVar("T")
Pem = Annotated[str, Meta(max_length=4096)]
Signature = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{86}==\Z", description="64 bytes, base64")]


class UnitRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a unit asks for. The proofs bind all of it together, under the key that it names and the one it replaces."""

    version: Annotated[int, Meta(ge=2, le=2)] = 2
    device_id: Annotated[str, Meta(pattern=DEVICE_ID_PATTERN)]
    signing_requests: Annotated[tuple[Pem, ...], Meta(min_length=1, max_length=2)]
    token: TokenConfig | None
    bundle_key: Base64Key  # X25519, raw: what a bundle for this unit is encrypted to
    proof: Signature  # Ed25519 by the new key that signs reads, over `proven_bytes`
    proof_of_former: Signature | None = None  # the same by the key that it follows; none for a new unit

    def requests(self) -> list[x509.CertificateSigningRequest]:
        """Return the parsed signing requests. Raises ConfigRejected."""
        try:
            parsed = [x509.load_pem_x509_csr(one.encode()) for one in self.signing_requests]
            _ = [(one.subject, one.public_key()) for one in parsed]  # these are parsed only when asked for
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):  # TypeError for odd names
            raise ConfigRejected("a part of the request cannot be read; make it again on the unit") from None
        return parsed


class UnitAnswer(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What the authority answers. `config` is there for a new unit only."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    device_id: Annotated[str, Meta(pattern=DEVICE_ID_PATTERN)]
    certificates: Annotated[tuple[Pem, ...], Meta(min_length=1, max_length=2)]
    authority: Pem
    config: DeviceConfig | None = None

    def parsed(self) -> list[x509.Certificate]:
        """Return the parsed certificates, in the order of the request. Raises ConfigRejected."""
        try:
            parsed = [x509.load_pem_x509_certificate(one.encode()) for one in self.certificates]
            _ = [(one.subject, one.public_key()) for one in parsed]
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):  # TypeError for odd names
            raise ConfigRejected(
                "a certificate of the answer cannot be read; let the request be signed again"
            ) from None
        return parsed

    def parsed_authority(self) -> x509.Certificate:
        """Return the parsed certificate of the authority. Raises ConfigRejected."""
        try:
            parsed = x509.load_pem_x509_certificate(self.authority.encode())
            _ = parsed.public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
            raise ConfigRejected(
                "the fleet's certificate in the answer cannot be read; let the request be signed again"
            ) from None
        return parsed


def proven_bytes(
    device_id: str, requests: list[x509.CertificateSigningRequest], token: TokenConfig | None, bundle_key: str
) -> bytes:
    """Return what the proofs of a request sign: everything in it, each part with its length (4 bytes, big endian)."""
    parts = [
        device_id.encode(),
        msgspec.json.encode(token),
        bundle_key.encode(),
        *(one.public_bytes(Encoding.DER) for one in requests),
    ]
    return PROOF_PREFIX + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def signature_bytes(text: str) -> bytes:
    """Return the 64 bytes of a proof. Raises ConfigRejected."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ConfigRejected("a proof of the request cannot be read; make the request again on the unit") from None


def encode(document: UnitRequest | UnitAnswer) -> bytes:
    """Return the file content of a request or an answer."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def load_request(path: Path) -> UnitRequest:
    """Return the request at `path`. Raises ConfigRejected."""
    return _loaded(path, UnitRequest)


def load_answer(path: Path) -> UnitAnswer:
    """Return the answer at `path`. Raises ConfigRejected."""
    return _loaded(path, UnitAnswer)


def decode_request(data: bytes, name: str) -> UnitRequest:
    """Return the request in `data`; `name` says in an error where it came from. Raises ConfigRejected."""
    with _refused(name):
        return strict_json.decoded(data, UnitRequest)


def _loaded(path: Path, kind: type[T]) -> T:
    try:
        with _refused(str(path)):
            return strict_json.read(path, kind)
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); bring the file that was made") from error


@contextlib.contextmanager
def _refused(name: str) -> Iterator[None]:
    try:
        yield
    except DocumentRejected as error:
        raise ConfigRejected(f"{name}: {error}; correct it, or bring the file as it was made") from error
