"""The meeting of the holders of a fleet's root keys: the first root, the next one, and the signatures of both.

All of it may be killed at any moment and done again. A key is made once; a root that is not signed by enough holders
waits in a file of its own, to which one holder after the other adds a signature, and counts from when it is whole.
"""

import base64
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import SSlibKey
from tuf.api.metadata import Metadata, Root

from cloud import fleet_folder
from firmware.faults import ConfigRejected
from provisioning import root_keys, update_documents
from provisioning.update_place import HOLDER_KEYS, HOLDERS_AT_MOST, Holder, Holders, UpdatePlace

DEFAULT_THRESHOLD: Final = 2


class Passphrases(Protocol):
    """Where the passphrases come from: the holders at a terminal, or files. Both methods raise ConfigRejected."""

    def known(self, holder: str) -> str:
        """Return the passphrase of a key that is there."""
        ...

    def chosen(self, holder: str) -> str:
        """Return the passphrase for a key that is made now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What became of a root: its version, its end, who has signed it, who may, and how many signatures are missing."""

    version: int
    expires: dt.datetime
    signed: tuple[str, ...]
    may_sign: tuple[str, ...]
    missing: int
    is_in_use: bool
    files: tuple[tuple[str, Path], ...]  # holder, and the key file that is to be carried away


def begin(
    fleet_path: Path, names: Sequence[str], threshold: int | None, now: dt.datetime, ask: Passphrases
) -> Progress:
    """Make the root keys of these holders, and the first root signed by all who are there; go on with what was begun.

    Without `names` what was begun is gone on with. Raises ConfigRejected and OSError.
    """
    place = UpdatePlace(fleet_path, now)
    if place.root is not None:
        raise ConfigRejected(
            f"{place.path(fleet_folder.UPDATE_ROOT.name)}: the fleet has its root already; make "
            "the next one with `kestrel-provision fleet root rotate`"
        )
    place.make_folders()
    plan = _planned(place, names, threshold)
    opened: dict[int, Ed25519PrivateKey] = {}
    for holder in plan.holders:
        plan = _with_key(place, plan, holder, opened, ask)
    waiting = place.waiting()
    if waiting is None:
        public = _public(place.new_online_keys(1))
        waiting = update_documents.new_root(None, [one.key() for one in plan.holders], plan.threshold, public, now)
        place.write_waiting(waiting)
    for key in opened.values():
        update_documents.sign(waiting, key)
    for holder in plan.holders:  # keys of an attempt that was killed: no more of them than must be
        standing, path = update_documents.standing(None, waiting), place.path(HOLDER_KEYS / holder.file_name())
        if path.exists() and not standing.is_whole and holder.key().keyid not in standing.signed_by:
            update_documents.sign(waiting, root_keys.load(path, ask.known(holder.name)))
    place.write_waiting(waiting)
    return _concluded(place, waiting)


def rotate(
    fleet_path: Path, now: dt.datetime, ask: Passphrases, *, leaver: str | None, newcomer: str | None, online: bool
) -> Progress:
    """Make the next root, which waits for signatures: a new year, and if asked for another holder or other online keys.

    `newcomer` takes the place of `leaver`. Raises ConfigRejected and OSError.
    """
    place = UpdatePlace(fleet_path, now)
    root, plan = place.needed_root(), place.holders()
    if place.waiting() is not None:
        raise ConfigRejected(
            f"{place.waiting_path}: a root waits for signatures already; sign it with `kestrel-provision fleet "
            "root sign`, or remove this file to give it up"
        )
    if (leaver is None) != (newcomer is None):
        raise ConfigRejected("a root key passes from one holder to another; give both, with --leaves and --joins")
    key_ids = list(root.signed.roles[Root.type].keyids)
    kept = [one for one in plan.holders if one.public_key is not None and one.key().keyid in key_ids]
    if leaver is not None and newcomer is not None:
        if leaver not in [one.name for one in kept]:
            raise ConfigRejected(f"{leaver} holds no root key; name one of {', '.join(one.name for one in kept)}")
        place.make_folders()
        plan, joined = _joined(place, plan, newcomer, [one.name for one in kept], ask)
        kept = [one for one in kept if one.name != leaver] + [joined]
    version = root.signed.version
    made = place.new_online_keys(version + 1) if online else place.online_keys(root)
    waiting = update_documents.new_root(root, [one.key() for one in kept], plan.threshold, _public(made), now)
    place.write_waiting(waiting)
    return _concluded(place, waiting)


def sign(fleet_path: Path, key_path: Path, now: dt.datetime, ask: Passphrases) -> Progress:
    """Add the signature of the key at `key_path` to the root that waits; take that into use if it is whole with it.

    Raises ConfigRejected, also if nothing waits or the key counts in neither root, and OSError.
    """
    place = UpdatePlace(fleet_path, now)
    waiting = place.waiting()
    if waiting is None:
        raise ConfigRejected(
            f"{place.waiting_path}: no root waits for a signature; make one with `kestrel-provision fleet root rotate`"
        )
    plan = place.holders()
    numbered = {one.file_name(): one.name for one in plan.holders}
    key = root_keys.load(key_path, ask.known(numbered.get(key_path.name, f"the holder of {key_path.name}")))
    roots = [one for one in (place.root, waiting) if one is not None]
    if update_documents.key_of(key.public_key()).keyid not in _root_key_ids(roots):
        raise ConfigRejected(f"{key_path}: this key counts neither in the present root nor in the next; bring another")
    update_documents.sign(waiting, key)
    place.write_waiting(waiting)
    return _concluded(place, waiting)


def waiting_root(fleet_path: Path, now: dt.datetime) -> Progress | None:
    """Return how far the root is that waits, or None. Raises ConfigRejected."""
    place = UpdatePlace(fleet_path, now)
    waiting = place.waiting()
    return None if waiting is None else _progress(place, waiting, is_in_use=False)


def refresh(fleet_path: Path, now: dt.datetime) -> dt.datetime:
    """Sign targets, snapshot and timestamp anew, with the office's own keys; return when the first of them runs out.

    Raises ConfigRejected and OSError.
    """
    place = UpdatePlace(fleet_path, now)
    place.write_repository(place.needed_root())
    return now + dt.timedelta(days=min(update_documents.SNAPSHOT_DAYS, update_documents.TIMESTAMP_DAYS))


def _planned(place: UpdatePlace, names: Sequence[str], threshold: int | None) -> Holders:
    path = place.holders_path
    if path.exists():
        begun = place.holders()
        if (names and [one.name for one in begun.holders] != list(names)) or threshold not in {None, begun.threshold}:
            raise ConfigRejected(
                f"{path}: root keys were begun for {', '.join(one.name for one in begun.holders)}, and "
                f"{begun.threshold} of them must sign; go on with these, by leaving the names out"
            )
        return begun
    if not 1 <= len(names) <= HOLDERS_AT_MOST or len(set(names)) != len(names):
        raise ConfigRejected(f"root keys have 1 to {HOLDERS_AT_MOST} different holders; name them, separated by commas")
    needed = min(DEFAULT_THRESHOLD, len(names)) if threshold is None else threshold
    if not 1 <= needed <= len(names):
        raise ConfigRejected(
            f"a root with {len(names)} holders cannot need {needed} signatures; ask for 1 to {len(names)}"
        )
    plan = Holders(
        threshold=needed, holders=tuple(Holder(number=at, name=name) for at, name in enumerate(names, start=1))
    )
    place.write_holders(plan)
    return plan


def _with_key(
    place: UpdatePlace, plan: Holders, holder: Holder, opened: dict[int, Ed25519PrivateKey], ask: Passphrases
) -> Holders:
    """Return `plan` with the public key of `holder`, whose key is made unless it was; note a key that was opened."""
    if holder.public_key is not None:
        return plan
    path = place.path(HOLDER_KEYS / holder.file_name())
    if path.exists():  # killed between the key and the note of it
        key = root_keys.load(path, ask.known(holder.name))
    else:
        key = root_keys.make(path, holder.name, ask.chosen(holder.name))
    opened[holder.number] = key
    known = msgspec.structs.replace(holder, public_key=base64.b64encode(key.public_key().public_bytes_raw()).decode())
    others = tuple(known if one.number == holder.number else one for one in plan.holders)
    plan = msgspec.structs.replace(plan, holders=others)
    place.write_holders(plan)
    return plan


def _joined(
    place: UpdatePlace, plan: Holders, name: str, kept: Sequence[str], ask: Passphrases
) -> tuple[Holders, Holder]:
    """Return `plan` with a new holder of this name, whose key is made unless an attempt before this one did."""
    if name in kept:
        raise ConfigRejected(f"{name} holds a root key already; name somebody else")
    root = place.needed_root()
    begun = [
        one
        for one in plan.holders
        if one.name == name and (one.public_key is None or one.key().keyid not in root.signed.keys)
    ]
    holder = begun[-1] if begun else Holder(number=max(one.number for one in plan.holders) + 1, name=name)
    if not begun:
        plan = msgspec.structs.replace(plan, holders=(*plan.holders, holder))
        place.write_holders(plan)
    plan = _with_key(place, plan, holder, {}, ask)
    return plan, next(one for one in plan.holders if one.number == holder.number)


def _public(keys: Mapping[str, Ed25519PrivateKey]) -> dict[str, SSlibKey]:
    return {role: update_documents.key_of(key.public_key()) for role, key in keys.items()}


def _concluded(place: UpdatePlace, waiting: Metadata[Root]) -> Progress:
    is_whole = update_documents.standing(place.root, waiting).is_whole
    progress = _progress(place, waiting, is_in_use=is_whole)
    if is_whole:
        place.take_into_use(waiting)
    return progress


def _progress(place: UpdatePlace, waiting: Metadata[Root], *, is_in_use: bool) -> Progress:
    plan, standing = place.holders(), update_documents.standing(place.root, waiting)
    roots = [one for one in (place.root, waiting) if one is not None]
    files = [(one.name, place.path(HOLDER_KEYS / one.file_name())) for one in plan.holders]
    return Progress(
        version=waiting.signed.version,
        expires=waiting.signed.expires,
        signed=tuple(plan.names(standing.signed_by)),
        may_sign=tuple(plan.names(_root_key_ids(roots))),
        missing=standing.missing,
        is_in_use=is_in_use,
        files=tuple((name, path) for name, path in files if path.exists()),
    )


def _root_key_ids(roots: Sequence[Metadata[Root]]) -> frozenset[str]:
    return frozenset(key_id for root in roots for key_id in root.signed.roles[Root.type].keyids)
