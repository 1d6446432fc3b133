"""After a unit was erased: is anything of its key left? Looked for, not supposed.

A witness is taken before: it holds each key file open, so that its blocks can be read when it has no name any more,
and knows what the key looks like. It keeps that in memory, and only until it has looked.
"""

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from firmware import erasure, identity
from firmware.board.pkcs11_token import TokenKeys
from firmware.config import TokenConfig
from firmware.faults import DeviceFault, FaultCode
from firmware.key_files import KEY_NAME, NEXT_KEY_NAME

WINDOW_BYTES: Final = 8  # of a key: by chance they are nowhere else (2 ** -64 a place)
CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What was found: bytes of keys that are zeros now, files that are gone, files searched, keys out of the token."""

    overwritten_bytes: int
    removed_files: int
    searched_files: int
    token_keys: int | None  # None: the unit had no token


class Witness:
    """Of the unit in one folder, before it is erased. A context manager."""

    def __init__(self, folder: Path, token: TokenConfig | None) -> None:
        """Look at what is there. Raises OSError, ConfigRejected and DeviceFault(KEY_UNUSABLE) of the token."""
        self._folder = folder
        self._token = None if token is None else TokenKeys(token)
        self._token_keys = None if self._token is None else self._token.count()
        self._names = {path.name for path in folder.iterdir() if _is_unit_s(path)}
        self._held: list[int] = []
        self._windows: set[bytes] = set()
        for path in folder.iterdir():
            if any(name in path.name for name in (KEY_NAME, NEXT_KEY_NAME)) and stat.S_ISREG(path.lstat().st_mode):
                path.chmod(0o600)  # one that its owner may not read must not save the unit
                self._held.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
                self._windows |= _windows(path.read_bytes())

    def look(self) -> Erasure:
        """Return what became of it. Raises DeviceFault(STORAGE_REFUSED) if anything of it is left, and OSError."""
        sizes = [os.fstat(descriptor).st_size for descriptor in self._held]
        for descriptor, size in zip(self._held, sizes, strict=True):
            if os.pread(descriptor, size, 0).strip(b"\0"):
                raise self._left("a key file was removed and not overwritten")
        named = sorted(path.name for path in self._folder.iterdir() if _is_unit_s(path))
        if named:
            raise self._left(f"{', '.join(named)} is still there")
        others = [path for path in self._folder.rglob("*") if stat.S_ISREG(path.lstat().st_mode)]
        for path in others:
            if self._is_in(path):
                raise self._left(f"{path.name} holds a part of the key")
        if self._token is not None and self._token.count():
            raise self._left("the token still has a key of the unit")
        return Erasure(
            overwritten_bytes=sum(sizes),
            removed_files=len(self._names),
            searched_files=len(others),
            token_keys=self._token_keys,
        )

    def _is_in(self, path: Path) -> bool:
        before = b""
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                data = before + chunk
                if any(window in data for window in self._windows):
                    return True
                before = data[-(WINDOW_BYTES - 1) :]
        return False

    def _left(self, what: str) -> DeviceFault:
        hint = f"the unit in {self._folder} is not erased: {what}; do this again, or take its card out and destroy it"
        return DeviceFault(FaultCode.STORAGE_REFUSED, hint)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in self._held:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._held, self._windows = [], set()


def _is_unit_s(path: Path) -> bool:
    names = (KEY_NAME, NEXT_KEY_NAME, *erasure.OTHER_NAMES, identity.CONFIG_NAME)
    return any(name in path.name for name in names) and not stat.S_ISDIR(path.lstat().st_mode)


def _windows(pem: bytes) -> set[bytes]:
    """Return the pieces by which a key is known again: of its bytes, and of the text that PEM makes of them."""
    secret = b"".join(pem.splitlines()[1:-1])[-40:]  # what one key's PEM does not share with another's (RFC 8410)
    texts = [secret]
    with contextlib.suppress(ValueError, TypeError):  # a file that is damaged is known by its text only
        key = load_pem_private_key(pem, password=None)
        texts.append(key.private_bytes_raw())  # type: ignore[union-attr]
    return {text[at : at + WINDOW_BYTES] for text in texts for at in range(len(text) - WINDOW_BYTES + 1)}
