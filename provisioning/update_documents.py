"""The documents of The Update Framework (TUF 1.0, theupdateframework.github.io/specification) that a fleet signs. Pure.

Root says whose keys count, and is signed by people; targets, snapshot and timestamp say what there is to be had, and
are signed by the office. A unit believes the newest root that a threshold of the root before it, and of itself, signed.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from firmware.faults import ConfigRejected

ROOT_DAYS: Final = 365
"""Once a year the holders must meet, which shows that a threshold of keys and passphrases is still there: who finds out
when it is needed finds out too late. Units that were off for longer follow a chain of roots that have run out."""

TARGETS_DAYS: Final = 365
SNAPSHOT_DAYS: Final = 30
TIMESTAMP_DAYS: Final = 30
"""For so long somebody in the middle can hide from a unit that there is something new. Shorter is better where a
machine signs; here a person does, with `fleet root refresh`."""

TARGETS, SNAPSHOT, TIMESTAMP = "targets", "snapshot", "timestamp"
ONLINE_ROLES: Final = (TARGETS, SNAPSHOT, TIMESTAMP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a root has come: who signed it, by key id, and whether the thresholds of both roots are met."""

    signed_by: frozenset[str]
    is_whole: bool
    missing: int  # signatures, if each further holder is in both roots


def key_of(public_key: Ed25519PublicKey) -> SSlibKey:
    """Return a public key as TUF writes it; its key id is the SHA-256 of that."""
    return SSlibKey.from_crypto(public_key)


def new_root(
    before: Metadata[Root] | None,
    root_keys: Sequence[SSlibKey],
    threshold: int,
    online_keys: Mapping[str, SSlibKey],
    now: dt.datetime,
) -> Metadata[Root]:
    """Return an unsigned root that follows `before` (section 5.3.5: its version and one), or the first one.

    `online_keys` are by role. Raises ValueError for a threshold that the keys cannot meet.
    """
    root = Root(version=1 if before is None else before.signed.version + 1, expires=_later(now, ROOT_DAYS))
    for key in root_keys:
        root.add_key(key, Root.type)
    root.roles[Root.type].threshold = threshold
    for role in ONLINE_ROLES:
        root.add_key(online_keys[role], role)
    if not 1 <= threshold <= len(set(root.roles[Root.type].keyids)):
        raise ValueError("the threshold is out of reach")
    return Metadata(root)


def sign(document: Metadata[Root], key: Ed25519PrivateKey) -> None:
    """Add the signature of `key` to `document`, beside those that it has."""
    document.sign(CryptoSigner(key), append=True)


def standing(before: Metadata[Root] | None, root: Metadata[Root]) -> Standing:
    """Return how far `root` has come, which follows `before` (section 5.3.4: signed by thresholds of both)."""
    result = root.signed.get_root_verification_result(
        None if before is None else before.signed, root.signed_bytes, root.signatures
    )
    parts = (result.first, result.second)
    return Standing(
        signed_by=frozenset(result.signed), is_whole=result.verified, missing=max(part.missing for part in parts)
    )


def repository(
    root: Metadata[Root],
    keys: Mapping[str, Ed25519PrivateKey],
    before: Mapping[str, Metadata[Any]],
    now: dt.datetime,
) -> dict[str, bytes]:
    """Return targets, snapshot and timestamp anew, signed, by file name; with consistent snapshots (section 6.2).

    Those of `before`, by role, are followed: what there is to be had stays, versions count up. The timestamp is last,
    for it makes the others known.
    """
    targets, snapshot, timestamp = (
        _next(before.get(role), fresh, now, days)
        for role, fresh, days in (
            (TARGETS, Targets(), TARGETS_DAYS),
            (SNAPSHOT, Snapshot(), SNAPSHOT_DAYS),
            (TIMESTAMP, Timestamp(), TIMESTAMP_DAYS),
        )
    )
    snapshot.signed.meta["targets.json"] = MetaFile(version=targets.signed.version)
    timestamp.signed.snapshot_meta = MetaFile(version=snapshot.signed.version)
    files = {}
    for role, document in ((TARGETS, targets), (SNAPSHOT, snapshot), (TIMESTAMP, timestamp)):
        document.sign(CryptoSigner(keys[role]))
        root.signed.verify_delegate(role, document.signed_bytes, document.signatures)
        files[f"{role}.json" if role == TIMESTAMP else f"{document.signed.version}.{role}.json"] = encode(document)
    return files


def encode(document: Metadata[Any]) -> bytes:
    """Return the file content of a document."""
    return document.to_bytes(JSONSerializer(compact=False)) + b"\n"


def decode(data: bytes, kind: str, name: str) -> Metadata[Any]:
    """Return the document of this role in `data`; `name` says in an error where it came from. Raises ConfigRejected."""
    try:
        document = Metadata.from_bytes(data)
    except (DeserializationError, RepositoryError) as error:
        raise ConfigRejected(f"{name}: not a document of the update repository; bring the fleet's own file") from error
    if document.signed.type != kind:
        raise ConfigRejected(f"{name}: says {document.signed.type} in place of {kind}; bring the fleet's own file")
    return document


def _next(before: Metadata[Any] | None, fresh: Any, now: dt.datetime, days: int) -> Metadata[Any]:
    document = Metadata(fresh if before is None else before.signed)
    document.signed.version = 1 if before is None else before.signed.version + 1
    document.signed.expires = _later(now, days)
    return document


def _later(now: dt.datetime, days: int) -> dt.datetime:
    return (now + dt.timedelta(days=days)).replace(microsecond=0)
