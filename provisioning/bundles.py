"""A bundle: all that one unit needs, in one file that only this unit can open. Pure: bytes in, bytes out.

The file is `kestrel-bundle/1` and a line feed, the length of what follows (4 bytes, big endian), and a CBOR array
`[device id, key id, ciphertext]`. Whoever finds it learns the unit's random name and nothing of places, names or
brokers. The ciphertext is HPKE (RFC 9180, base mode, single shot, the suite of firmware.agency_keys) to the unit's key,
with the device id in `info`. It opens to a CBOR array `[authority, signature, body]`: the fleet's certificate (DER),
its ECDSA signature (P-256, SHA-256) over the prefix below and the body, and the body, JSON. Nothing of the body is read
before the signature is good.

The unit's key for bundles is X25519, and no key of its own lies on the disk for it: HKDF-SHA256 (RFC 5869) makes it of
the seed of device.key, under a name that nothing else uses. So it is erased, replaced and swapped in with that key, by
the same renames, and lasts until the unit is given another: later bundles are for the same key.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Meta

from firmware import agency_keys, strict_json, wire
from firmware.agency_keys import SuiteNumber
from firmware.config import DEVICE_ID_PATTERN, key_bytes
from firmware.faults import ConfigRejected, DocumentRejected
from provisioning.certificates import Authority
from provisioning.requests import UnitAnswer

MAGIC: Final = b"kestrel-bundle/1\n"
LENGTH_BYTES: Final = 4
INFO_PREFIX: Final = b"kestrel/bundle/v1\x00"
SIGNATURE_PREFIX: Final = b"kestrel/bundle-body/v1\x00"
KEY_INFO: Final = b"kestrel/bundle-key/v1"
FILE_BYTES_AT_MOST: Final = len(MAGIC) + LENGTH_BYTES + wire.MAX_DOCUMENT_BYTES

FETCH_AGAIN: Final = "copy it again from where it was made"


class Contents(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a bundle says. `settings` lack the site where the depot did not know it."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    answer: UnitAnswer  # certificates and authority; its configuration is in `settings`
    settings: dict[str, Any]  # a configuration as JSON has it, perhaps without its site
    region: tuple[Annotated[int, Meta(ge=-90, le=90)], Annotated[int, Meta(ge=-180, le=180)]] | None  # whole degrees
    update_root: str | None = None  # the root of trust for updates, JSON as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle that is whole, still closed."""

    device_id: str
    key_id: bytes
    ciphertext: bytes = field(repr=False)


def bundle_key(device_key: Ed25519PrivateKey) -> X25519PrivateKey:
    """Return the key that opens bundles for the unit with this key in its file `device.key`."""
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=KEY_INFO).derive(device_key.private_bytes_raw())
    return X25519PrivateKey.from_private_bytes(derived)


def public_text(device_key: Ed25519PrivateKey) -> str:
    """Return the public half of the same key as a request has it: raw, base64."""
    return base64.b64encode(bundle_key(device_key).public_key().public_bytes_raw()).decode()


def sealed(contents: Contents, device_id: str, public_key: str, authority: Authority) -> bytes:
    """Return `contents`, signed by the fleet's authority and encrypted to the unit's key, as the bytes of a file.

    Raises ConfigRejected if nothing can be encrypted to that key, or there is too much.
    """
    body = msgspec.json.encode(contents)
    signature = authority.key.sign(SIGNATURE_PREFIX + body, ec.ECDSA(hashes.SHA256()))
    plaintext = wire.encode([authority.certificate.public_bytes(Encoding.DER), signature, body])
    raw = key_bytes(public_key)
    try:
        key = X25519PublicKey.from_public_bytes(raw)
        ciphertext = _suite().encrypt(plaintext, key, info=_info(device_id))
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigRejected(
            "nothing can be encrypted to the request's key; make the request again on the unit"
        ) from None
    document = wire.encode([device_id, agency_keys.key_id(raw), ciphertext])
    if len(document) > wire.MAX_DOCUMENT_BYTES or len(body) > strict_json.MAX_BYTES:
        raise ConfigRejected(f"a bundle would be longer than {wire.MAX_DOCUMENT_BYTES} bytes; shorten the site file")
    return MAGIC + len(document).to_bytes(LENGTH_BYTES, "big") + document


def parsed(data: bytes, name: str) -> Bundle:
    """Return the bundle in the bytes of a file; `name` is what errors call it. Raises ConfigRejected."""
    if not MAGIC.startswith(data[: len(MAGIC)]):
        raise ConfigRejected(f"{name} is no bundle; bring the file that `kestrel-provision unit bundle` made")
    begin = len(MAGIC) + LENGTH_BYTES
    length = int.from_bytes(data[len(MAGIC) : begin], "big")
    if len(data) < begin or len(data) - begin < length:
        raise ConfigRejected(f"{name} ends in the middle: it was copied or written only in part; {FETCH_AGAIN}")
    try:
        parts = wire.decode(data[begin:], "the bundle")
    except DocumentRejected:
        parts = None
    match parts:
        case [str() as device_id, bytes() as key_id, bytes() as ciphertext]:
            if wire.encode(parts) == data[begin:] and re.fullmatch(DEVICE_ID_PATTERN, device_id):
                return Bundle(device_id=device_id, key_id=key_id, ciphertext=ciphertext)
    raise altered(name)


def altered(name: str) -> ConfigRejected:
    """Return the refusal of a bundle that is not as its fleet made it."""
    return ConfigRejected(f"{name} was altered or damaged after it was made; {FETCH_AGAIN}")


def opened(
    bundle: Bundle, keys: Sequence[Ed25519PrivateKey], authority: x509.Certificate | None, name: str
) -> Contents:
    """Return what `bundle` says, opened with one of the unit's keys and signed by `authority`.

    None: the unit is of no fleet yet, and takes the word of whoever had its request; its label says which fleet that
    should be. Raises ConfigRejected, as for `parsed`.
    """
    for key in map(bundle_key, keys):
        if agency_keys.key_id(key.public_key().public_bytes_raw()) == bundle.key_id:
            return _opened(bundle, key, authority, name)
    raise ConfigRejected(
        f"{name} is for a key that this unit has no more, or never had; make a request on the unit, and a bundle of it"
    )


def _opened(bundle: Bundle, key: X25519PrivateKey, expected: x509.Certificate | None, name: str) -> Contents:
    try:
        plaintext = _suite().decrypt(bundle.ciphertext, key, info=_info(bundle.device_id))
    except (InvalidTag, ValueError):
        raise altered(name) from None
    try:
        match wire.decode(plaintext, "the bundle"):
            case [bytes() as authority, bytes() as signature, bytes() as body]:
                if expected is not None and expected.public_bytes(Encoding.DER) != authority:
                    raise ConfigRejected(
                        f"{name} is of another fleet than this unit; bring the one that this unit's office made"
                    )
                _check_signature(authority, signature, body, name)
            case _:
                raise altered(name)
        contents = strict_json.decoded(body, Contents)
    except DocumentRejected as error:
        raise ConfigRejected(f"{name}: {error}; make it again with the same release of this tool") from error
    if (
        contents.answer.parsed_authority().public_bytes(Encoding.DER) != authority
        or contents.answer.device_id != bundle.device_id
    ):
        raise altered(name)
    return contents


def _check_signature(authority: bytes, signature: bytes, body: bytes, name: str) -> None:
    """Return if the authority of this certificate signed `body`. Raises ConfigRejected."""
    try:
        key = x509.load_der_x509_certificate(authority).public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise altered(name)
        key.verify(signature, SIGNATURE_PREFIX + body, ec.ECDSA(hashes.SHA256()))
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        raise ConfigRejected(
            f"{name} is not signed by the fleet whose certificate it holds; bring the one that the fleet's office made"
        ) from None


def _info(device_id: str) -> bytes:
    return INFO_PREFIX + device_id.encode()


def _suite() -> Any:
    return agency_keys.hpke_suite(SuiteNumber.X25519)
