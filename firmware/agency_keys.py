"""The agencies' public keys as a unit holds them: which suite each one has, and which of them a read is sealed to.

Owns the numbers of the suites and the names (key ids) of keys; sealing.py uses them, cloud.opening_keys holds the
other halves. The one idea: a key in the configuration may begin and end, so that a new key is on every unit before the
old one stops. An end is for an orderly change and takes no right away: a unit whose clock was never set seals to every
key of its configuration, because it cannot know which ones have begun. Whoever must no longer read is taken out of the
list.
"""

import datetime as dt
import enum
import hashlib
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PublicKey, Suite

from firmware.config import AgencyKeyConfig, SealConfig, SuiteName, key_bytes
from firmware.faults import ConfigRejected

KEY_ID_BYTES: Final = 8
CONTENT_KEY_BYTES: Final = 32
MLKEM768_PUBLIC_BYTES: Final = 1184  # FIPS 203, table 3
GCM_TAG_BYTES: Final = 16

PublicKey = X25519PublicKey | MLKEM768X25519PublicKey


class SuiteNumber(enum.IntEnum):
    """How a content key is sealed to one agency: HPKE (RFC 9180) in base mode, named on the wire by this number.

    Both have HKDF-SHA256 (0x0001) and AES-256-GCM (0x0002). X_WING is the hybrid of ML-KEM-768 and X25519, HPKE KEM
    0x647a in the IANA registry (draft-connolly-cfrg-xwing-kem): it stays closed to whoever records today and has a
    quantum computer later.
    """

    X25519 = 1  # DHKEM(X25519, HKDF-SHA256), 0x0020
    X_WING = 2  # 0x647a


SUITES: Final = {SuiteName.X25519: SuiteNumber.X25519, SuiteName.X_WING: SuiteNumber.X_WING}

_KEMS: Final = {SuiteNumber.X25519: KEM.X25519, SuiteNumber.X_WING: KEM.MLKEM768_X25519}

WRAPPED_KEY_BYTES: Final = {
    number: kem.enc_length() + CONTENT_KEY_BYTES + GCM_TAG_BYTES for number, kem in _KEMS.items()
}
"""What one recipient costs besides its entry in the header: 80 bytes for X25519, 1,168 for X-Wing."""


def hpke_suite(number: SuiteNumber) -> Suite:
    """Return the HPKE suite of a number."""
    return Suite(_KEMS[number], KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def key_id(public_bytes: bytes) -> bytes:
    """Return the 8 bytes by which a receiver finds its private key: the start of SHA-256 of the raw public key."""
    return hashlib.sha256(public_bytes).digest()[:KEY_ID_BYTES]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyKey:
    """One agency's public key, and from when until before when reads are sealed to it (None: no such limit)."""

    suite: SuiteNumber
    key_id: bytes
    public_key: PublicKey
    valid_from_utc_ms: int | None = None
    valid_until_utc_ms: int | None = None

    @classmethod
    def from_raw(
        cls, suite: SuiteNumber, raw: bytes, valid_from_utc_ms: int | None = None, valid_until_utc_ms: int | None = None
    ) -> Self:
        """Return the key in `raw`: 32 bytes for X25519, 1,216 for X-Wing (ML-KEM-768's 1,184, then X25519's 32).

        Raises ConfigRejected for bytes to which nothing can be sealed, such as a point of low order.
        """
        try:
            public_key = _public_key(suite, raw)
            hpke_suite(suite).encrypt(b"", public_key)
        except (ValueError, UnsupportedAlgorithm):
            raise ConfigRejected(
                f"agency key {key_id(raw).hex()}: nothing can be sealed to it; copy it again from fleet.json"
            ) from None
        return cls(
            suite=suite,
            key_id=key_id(raw),
            public_key=public_key,
            valid_from_utc_ms=valid_from_utc_ms,
            valid_until_utc_ms=valid_until_utc_ms,
        )

    def is_valid(self, utc_ms: int) -> bool:
        """Say whether a read of that moment is sealed to this key."""
        has_begun = self.valid_from_utc_ms is None or self.valid_from_utc_ms <= utc_ms
        return has_begun and (self.valid_until_utc_ms is None or utc_ms < self.valid_until_utc_ms)


def load(seal: SealConfig) -> tuple[AgencyKey, ...]:
    """Return the agencies' keys of a unit's configuration. Raises ConfigRejected."""
    return tuple(_loaded(entry) for entry in seal.agency_keys)


def recipients_at(keys: tuple[AgencyKey, ...], utc_ms: int, *, clock_trusted: bool) -> tuple[AgencyKey, ...]:
    """Return the keys that a read of that moment is sealed to, in order of their ids.

    That is every key if the clock had never been set, or if none is valid (the configuration leaves no such gap): a
    read that nobody can open would be a read lost.
    """
    valid = [key for key in keys if clock_trusted and key.is_valid(utc_ms)]
    return tuple(sorted(valid or keys, key=lambda key: key.key_id))


def _loaded(entry: AgencyKeyConfig) -> AgencyKey:
    return AgencyKey.from_raw(
        SUITES[entry.suite], key_bytes(entry.key), _utc_ms(entry.valid_from_utc), _utc_ms(entry.valid_until_utc)
    )


def _public_key(suite: SuiteNumber, raw: bytes) -> PublicKey:
    if suite is SuiteNumber.X25519:
        return X25519PublicKey.from_public_bytes(raw)
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(raw[:MLKEM768_PUBLIC_BYTES]),
        X25519PublicKey.from_public_bytes(raw[MLKEM768_PUBLIC_BYTES:]),
    )


def _utc_ms(moment: dt.datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
