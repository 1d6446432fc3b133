"""The agency's private keys that open reads: several at a time, found by the key id that a read names.

A key that units no longer seal to stays in the ring for as long as a read sealed to it may still come or be asked for.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from firmware import agency_keys
from firmware.agency_keys import SuiteNumber
from firmware.faults import ConfigRejected

if TYPE_CHECKING:  # the fleet's folder is read without what travels in it
    from firmware.records import Recipient

SECRET_BYTES: Final = 32
MLKEM768_SEED_BYTES: Final = 64  # FIPS 203: d and z

_X_WING_BEGIN: Final = b"-----BEGIN X-WING PRIVATE KEY-----\n"
_X_WING_END: Final = b"\n-----END X-WING PRIVATE KEY-----\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningKey:
    """One private key of the agency, and its raw public one."""

    suite: SuiteNumber
    public_bytes: bytes = field(repr=False)
    private_key: X25519PrivateKey | MLKEM768X25519PrivateKey = field(repr=False)
    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls, suite: SuiteNumber) -> Self:
        """Return a new key."""
        return cls.from_secret(suite, secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def from_secret(cls, suite: SuiteNumber, secret: bytes) -> Self:
        """Return the key of 32 secret bytes: X25519's scalar (RFC 7748), or the seed of X-Wing.

        The seed becomes SHAKE256(seed, 96): ML-KEM-768's d and z, then X25519's scalar (draft-connolly-cfrg-xwing-kem,
        section 5.2). Raises ValueError for another length.
        """
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"an opening key is {SECRET_BYTES} bytes")
        if suite is SuiteNumber.X25519:
            key = X25519PrivateKey.from_private_bytes(secret)
            return cls(suite=suite, public_bytes=key.public_key().public_bytes_raw(), private_key=key, secret=secret)
        expanded = hashlib.shake_256(secret).digest(MLKEM768_SEED_BYTES + SECRET_BYTES)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:MLKEM768_SEED_BYTES])
        x25519 = X25519PrivateKey.from_private_bytes(expanded[MLKEM768_SEED_BYTES:])
        return cls(
            suite=suite,
            public_bytes=mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw(),
            private_key=MLKEM768X25519PrivateKey(mlkem, x25519),
            secret=secret,
        )

    @classmethod
    def from_pem(cls, data: bytes) -> Self:
        """Return the key in a file: PKCS #8 PEM for X25519, the seed in PEM's dress for X-Wing.

        Raises ValueError or TypeError for anything else.
        """
        if data.startswith(_X_WING_BEGIN) and data.endswith(_X_WING_END):
            try:
                secret = base64.b64decode(data[len(_X_WING_BEGIN) : -len(_X_WING_END)], validate=True)
            except binascii.Error:
                raise ValueError("not base64 between the two lines") from None
            return cls.from_secret(SuiteNumber.X_WING, secret)
        match load_pem_private_key(data, password=None):
            case X25519PrivateKey() as key:
                return cls.from_secret(SuiteNumber.X25519, key.private_bytes_raw())
            case _:
                raise ValueError("neither an X25519 nor an X-Wing key")

    def to_x_wing_pem(self) -> bytes:
        """Return the file content of an X-Wing key, for which PKCS #8 has no registered form."""
        return _X_WING_BEGIN + base64.b64encode(self.secret) + _X_WING_END

    @property
    def key_id(self) -> bytes:
        """What a read calls this key."""
        return agency_keys.key_id(self.public_bytes)


class OpeningKeys:
    """The ring of an agency's private keys."""

    def __init__(self, keys: Iterable[OpeningKey]) -> None:
        """Take the keys. Raises ConfigRejected if there are none."""
        self._by_id = {key.key_id: key for key in keys}
        if not self._by_id:
            raise ConfigRejected("there is no opening key; bring the agency's own from where it is kept")

    def match(self, recipients: "Iterable[Recipient]") -> "tuple[OpeningKey, Recipient] | None":
        """Return the first recipient whose key is here, with that key; None if a read is sealed to others only."""
        for recipient in recipients:
            key = self._by_id.get(recipient.key_id)
            if key is not None and key.suite == recipient.suite:
                return key, recipient
        return None
