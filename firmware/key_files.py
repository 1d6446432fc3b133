"""A unit's private key as a file that only its owner can read: the key store of a unit without a secure element.

Two places, `device.key` and, while a new key waits to be certified, `device.next.key` beside it. Which of the two is
the unit's key is not said here but by the certificate: the one whose public key it holds.
"""

import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from firmware import durable_files
from firmware.faults import ConfigRejected

KEY_NAME: Final = "device.key"
NEXT_KEY_NAME: Final = "device.next.key"

MAKE_AGAIN: Final = "make the unit's folder again with `kestrel-provision unit new`"


class KeyFiles:
    """The KeyStore port over the unit's folder."""

    def __init__(self, folder: Path) -> None:
        """Take the folder in which the files lie or will lie; nothing is read yet."""
        self._key_path, self._next_path = folder / KEY_NAME, folder / NEXT_KEY_NAME

    def find(self, public_key: Ed25519PublicKey) -> Ed25519PrivateKey | None:
        """Return the private key of `public_key`, or None. Raises ConfigRejected if a file is there and is no key."""
        path = self.path_of(public_key)
        return None if path is None else load_key(path)

    def path_of(self, public_key: Ed25519PublicKey) -> Path | None:
        """Return the file of the private key of `public_key`, which TLS reads by itself. Raises ConfigRejected."""
        paths = [path for path in (self._key_path, self._next_path) if path.exists()]
        refused: ConfigRejected | None = None
        for path in paths or [self._key_path]:
            try:
                if load_key(path).public_key() == public_key:
                    return path
            except ConfigRejected as error:  # the other may be the one
                refused = refused or error
        if refused is not None:
            raise refused
        return None

    def prepare(self, current: Ed25519PublicKey | None) -> Ed25519PrivateKey:
        """Return the key that waits beside `current` to be certified; make it if there is none.

        Raises ConfigRejected and OSError.
        """
        if current is not None:
            self.settle(current)
        if not self._next_path.exists():
            made = Ed25519PrivateKey.generate()
            pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            durable_files.write(self._next_path, pem)
        return load_key(self._next_path)

    def settle(self, current: Ed25519PublicKey) -> None:
        """End the key that `current` has replaced, now that its certificate is in place. Raises OSError."""
        if self._next_path.exists() and load_key(self._next_path).public_key() == current:
            durable_files.replace_and_erase(self._key_path, self._next_path)

    def erase(self) -> None:
        """Overwrite and remove every key. Raises OSError."""
        for path in (self._key_path, self._next_path):
            durable_files.erase(path)

    def describe(self) -> str:
        """Return what kind of store this is."""
        return "file"


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return the Ed25519 key at `path`. Raises ConfigRejected; anything but the owner's access is refused."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            data = file.read()
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); {MAKE_AGAIN}") from error
    if mode & 0o077:
        raise ConfigRejected(f"{path}: other users may read this key; run `chmod 600 {path}`")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):  # the last for some damaged keys
        raise ConfigRejected(f"{path}: holds no private key; {MAKE_AGAIN}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigRejected(f"{path}: holds a key of another kind; {MAKE_AGAIN}")
    return key
