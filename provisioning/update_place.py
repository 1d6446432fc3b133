"""The folder `update` of a fleet: which file is what, and in which order they change.

root.json           the newest root that enough holders signed; what a unit gets. Without it there are no updates
waiting-root.json   the next one, while it waits for signatures
holders.json        who has or had a root key, by number
holders/            the holders' key files, until they are carried away
online/VERSION/     keys of targets, snapshot and timestamp as that root names them; the office's own
metadata/ targets/  what a web server shows to units
"""

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Meta
from securesystemslib.signer import SSlibKey
from tuf.api.metadata import Metadata, Root

from cloud import fleet_folder
from firmware import strict_json
from firmware.config import Base64Key, key_bytes
from firmware.faults import ConfigRejected, DocumentRejected
from provisioning import certificates, durable_files, fleet, update_documents
from provisioning.update_documents import ONLINE_ROLES, TIMESTAMP

HOLDERS_NAME: Final = "holders.json"
WAITING_NAME: Final = "waiting-root.json"
HOLDER_KEYS, ONLINE, METADATA, TARGET_FILES = Path("holders"), Path("online"), Path("metadata"), Path("targets")

HOLDERS_AT_MOST: Final = 10


class Holder(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Somebody who has a root key, in the file of this number. The key is unknown until that file is made."""

    number: Annotated[int, Meta(ge=1)]
    name: Annotated[str, Meta(min_length=1, max_length=80)]
    public_key: Base64Key | None = None  # Ed25519, raw

    def file_name(self) -> str:
        """Return what the file of the key is called: a file name tells nobody's name."""
        return f"root-{self.number}.p12"

    def key(self) -> SSlibKey:
        """Return the public key. Raises ConfigRejected if it was never made."""
        if self.public_key is None:
            raise ConfigRejected(f"{self.name} has no key yet; go on with `kestrel-provision fleet root begin`")
        return update_documents.key_of(Ed25519PublicKey.from_public_bytes(key_bytes(self.public_key)))


class Holders(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """All who hold or held a root key of the fleet, and how many must sign. For the office: no unit gets names."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    threshold: Annotated[int, Meta(ge=1, le=HOLDERS_AT_MOST)]
    holders: Annotated[tuple[Holder, ...], Meta(min_length=1)]

    def names(self, key_ids: frozenset[str]) -> list[str]:
        """Return the names that belong to these key ids, in the order of the file."""
        return [one.name for one in self.holders if one.public_key is not None and one.key().keyid in key_ids]


class UpdatePlace:
    """The files of one fleet's updates, at the time `now`. Each is written whole or not at all."""

    def __init__(self, fleet_path: Path, now: dt.datetime) -> None:
        """Look at what is there. Raises ConfigRejected, also for a clock that cannot be right."""
        fleet_folder.load(fleet_path)
        fleet.signing_authority(fleet_path, now)
        self._folder = fleet_path / fleet_folder.UPDATE_FOLDER
        self._now = now
        self.waiting_path = self._folder / WAITING_NAME
        self.holders_path = self._folder / HOLDERS_NAME
        self.root = self._document(fleet_path / fleet_folder.UPDATE_ROOT, Root.type)

    def path(self, name: str | Path) -> Path:
        """Return where the file of this name lies."""
        return self._folder / name

    def make_folders(self) -> None:
        """Make the folders, and erase what an attempt that was killed left half written. Raises OSError."""
        for part in (Path(), HOLDER_KEYS, ONLINE, METADATA, TARGET_FILES):
            durable_files.make_folder(self._folder / part)
            durable_files.erase_unfinished(self._folder / part)

    def needed_root(self) -> Metadata[Root]:
        """Return the root that is in use. Raises ConfigRejected if there is none."""
        if self.root is None:
            raise ConfigRejected(
                f"{self.path(fleet_folder.UPDATE_ROOT.name)}: the fleet has no root yet; make it with "
                "`kestrel-provision fleet root begin`"
            )
        return self.root

    def waiting(self) -> Metadata[Root] | None:
        """Return the root that waits for signatures, or None; one that is in use already does not wait."""
        found = self._document(self.waiting_path, Root.type)
        if found is not None and self.root is not None and found.signed.version <= self.root.signed.version:
            return None
        return found

    def write_waiting(self, waiting: Metadata[Root]) -> None:
        """Keep the root that waits, with the signatures that it has. Raises OSError."""
        durable_files.write(self.waiting_path, update_documents.encode(waiting))

    def holders(self) -> Holders:
        """Return who has or had a root key. Raises ConfigRejected."""
        try:
            return strict_json.read(self.holders_path, Holders)
        except OSError as error:
            hint = "begin with `kestrel-provision fleet root begin`, or bring the fleet's own file"
            raise ConfigRejected(f"{self.holders_path}: cannot be read ({error.strerror}); {hint}") from error
        except DocumentRejected as error:
            raise ConfigRejected(f"{self.holders_path}: {error}; bring the fleet's own file") from error

    def write_holders(self, holders: Holders) -> None:
        """Keep who has or had a root key. Raises ConfigRejected for names that could not be read back, and OSError."""
        try:
            msgspec.convert(msgspec.to_builtins(holders), Holders)
        except msgspec.ValidationError as error:
            raise ConfigRejected(f"{error}; give each holder a name of 1 to 80 characters") from error
        content = msgspec.json.format(msgspec.json.encode(holders), indent=2) + b"\n"
        durable_files.write(self.holders_path, content)

    def new_online_keys(self, version: int) -> dict[str, Ed25519PrivateKey]:
        """Return the office's keys by role, for a root of this version; made unless they were. Raises OSError."""
        folder = self._folder / ONLINE / str(version)
        durable_files.make_folder(folder)
        durable_files.erase_unfinished(folder)
        for role in ONLINE_ROLES:
            path = folder / f"{role}.key"
            if not path.exists():
                durable_files.write(path, certificates.key_pem(Ed25519PrivateKey.generate()))
        return {role: _key(folder / f"{role}.key") for role in ONLINE_ROLES}

    def online_keys(self, root: Metadata[Root]) -> dict[str, Ed25519PrivateKey]:
        """Return the office's keys by role, as `root` names them. Raises ConfigRejected if one is gone."""
        keys = {}
        for role in ONLINE_ROLES:
            wanted = root.signed.roles[role].keyids
            made = [_key(path) for path in sorted((self._folder / ONLINE).glob(f"*/{role}.key"))]
            fitting = [key for key in made if update_documents.key_of(key.public_key()).keyid in wanted]
            if not fitting:
                raise ConfigRejected(
                    f"{self._folder / ONLINE}: the key of {role} is gone; bring it back from a copy, or let the "
                    "holders replace it with `kestrel-provision fleet root rotate --new-online-keys`"
                )
            keys[role] = fitting[0]
        return keys

    def take_into_use(self, root: Metadata[Root]) -> None:
        """Make `root`, which is whole, the one that counts; what it no longer lets count is signed anew.

        Raises ConfigRejected and OSError; after any of them the same again goes on.
        """
        data = update_documents.encode(root)
        durable_files.write(self._folder / METADATA / f"{root.signed.version}.root.json", data)
        is_first = not (self._folder / METADATA / f"{TIMESTAMP}.json").exists()
        if is_first or self.root is None or _online_ids(root) != _online_ids(self.root):
            self.write_repository(root)
        durable_files.write(self._folder / fleet_folder.UPDATE_ROOT.name, data)
        durable_files.remove(self.waiting_path)

    def write_repository(self, root: Metadata[Root]) -> None:
        """Sign targets, snapshot and timestamp anew, as `root` lets them count. Raises ConfigRejected and OSError."""
        before = {role: self._newest(role) for role in ONLINE_ROLES}
        known = {role: document for role, document in before.items() if document is not None}
        for name, content in update_documents.repository(root, self.online_keys(root), known, self._now).items():
            durable_files.write(self._folder / METADATA / name, content)

    def _newest(self, role: str) -> Metadata[Any] | None:
        if role == TIMESTAMP:
            return self._document(self._folder / METADATA / f"{role}.json", role)
        made = (self._folder / METADATA).glob(f"*.{role}.json")
        paths = {int(path.name.partition(".")[0]): path for path in made if path.name.partition(".")[0].isdigit()}
        return self._document(paths[max(paths)], role) if paths else None

    def _document(self, path: Path, kind: str) -> Metadata[Any] | None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        return update_documents.decode(data, kind, str(path))


def _online_ids(root: Metadata[Root]) -> dict[str, list[str]]:
    return {role: list(root.signed.roles[role].keyids) for role in ONLINE_ROLES}


def _key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        raise ConfigRejected(f"{path}: holds no private key; bring the fleet's own file") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigRejected(f"{path}: holds a key of another kind; bring the fleet's own file")
    return key
