"""The unit's key in a secure element, through PKCS #11 (OASIS, Cryptographic Token Interface 2.40 and 3.0).

The key is made in the token with CKA_SENSITIVE and without CKA_EXTRACTABLE: it can sign and be ended, and never comes
out. The token must know CKM_EC_EDWARDS_KEY_PAIR_GEN and CKM_EDDSA (Ed25519), for that is what signs an envelope:
SoftHSM 2.6 does, and a token that knows P-256 alone is refused. The two places of the KeyStore port are two labels of
the private half, which is what one call changes; CKA_ID ties the public half to it.
"""

import contextlib
import secrets
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware import config
from firmware.config import TokenConfig
from firmware.faults import ConfigRejected, DeviceFault, FaultCode
from firmware.identity import CONFIG_NAME
from firmware.key_files import KeyFiles

if TYPE_CHECKING:
    from firmware.ports import KeyStore

NEXT_SUFFIX: Final = ".next"

ED25519_PARAMETERS: Final = bytes.fromhex("06032b6570")
"""CKA_EC_PARAMS: the DER of the object identifier 1.3.101.112 (RFC 8410, section 3)."""

POINT_LENGTHS: Final = (32, 34, 35)
"""CKA_EC_POINT: raw (PKCS #11 3.0), or as DER OCTET STRING (2.40) or BIT STRING; the point is the last 32 bytes."""

ID_BYTES: Final = 16  # random: it says nothing about the key or the unit

CREDENTIALS: Final = Path("/run/credentials")
"""Where systemd lays a service's credentials, which it guards itself: for their mode bits it uses an ACL."""


def key_store(token: TokenConfig | None, folder: Path) -> "KeyStore":
    """Return where the key lies with which the unit in `folder` signs: in its token, or without one in a file.

    Raises ConfigRejected (library, PIN) and DeviceFault(KEY_UNUSABLE) for a token that does not answer.
    """
    return KeyFiles(folder) if token is None else TokenKeys(token)


def key_store_in(folder: Path) -> "KeyStore | None":
    """Return the key store of the unit in `folder`, or None if its configuration is gone or cannot be read.

    Raises as `key_store` does.
    """
    try:
        settings = config.load(folder / CONFIG_NAME)
    except ConfigRejected:
        return None
    return key_store(settings.token, folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One key pair as it lies in the token; the public half may be missing if its making was interrupted."""

    label: str
    private: Any
    publics: list[Any]
    public_key: Ed25519PublicKey | None

    def end(self) -> None:
        for part in (self.private, *self.publics):
            part.destroy()


class _Login:
    """The one session of this process with a token: PKCS #11 logs in the process and not the session (5.6 of 2.40)."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a session does one thing at a time
        self.session: Any = None

    def close(self) -> None:
        """Give up a session that failed, so that the next use logs in anew."""
        session, self.session = self.session, None
        if session is not None:
            with contextlib.suppress(_pkcs11().PKCS11Error):
                session.close()


_LOGINS: Final[dict[tuple[str, str], _Login]] = {}  # by module and token label


class TokenKeys:
    """The KeyStore port over one token. Safe to call from every thread."""

    def __init__(self, config: TokenConfig) -> None:
        """Load the module, find the token and log in. Raises ConfigRejected and DeviceFault(KEY_UNUSABLE)."""
        self._config = config
        self._label, self._next_label = config.key_label, config.key_label + NEXT_SUFFIX
        self._login = _LOGINS.setdefault((config.module, config.token_label), _Login())
        with self.session():
            pass

    def find(self, public_key: Ed25519PublicKey) -> Ed25519PrivateKey | None:
        """Return the private key of `public_key`, or None. Raises as `session`."""
        with self.session() as session:
            pair = next((pair for pair in self._pairs(session) if pair.public_key == public_key), None)
            if pair is None:
                return None
            _refuse_copyable(pair.private)
        return _TokenKey(self, public_key)

    def prepare(self, current: Ed25519PublicKey | None) -> Ed25519PrivateKey:
        """Return the key that waits beside `current` to be certified; make it if there is none. Raises as `session`."""
        if current is not None:
            self.settle(current)
        with self.session() as session:
            waiting = [pair for pair in self._pairs(session) if pair.label == self._next_label]
            whole = [pair.public_key for pair in waiting if pair.public_key is not None]
            if not whole:
                for half in waiting:
                    half.end()
                _make(session, self._next_label)
                whole = [
                    pair.public_key
                    for pair in self._pairs(session)
                    if pair.label == self._next_label and pair.public_key is not None
                ]
            key = self.find(whole[0]) if whole else None
        if key is None:
            raise _unusable("the token did not keep the key that it made")
        return key

    def settle(self, current: Ed25519PublicKey) -> None:
        """End the key that `current` has replaced, now that its certificate is in place. Raises as `session`."""
        with self.session() as session:
            pairs = self._pairs(session)
            winner = next((one for one in pairs if one.public_key == current and one.label == self._next_label), None)
            if winner is None:
                return
            for pair in pairs:
                if pair.label == self._label:
                    pair.end()
            winner.private[_pkcs11().Attribute.LABEL] = self._label

    def erase(self) -> None:
        """Destroy every key of the unit in the token. Raises as `session`."""
        with self.session() as session:
            for pair in self._pairs(session):
                pair.end()

    def count(self) -> int:
        """Return how many private keys of the unit the token has. Raises as `session`."""
        with self.session() as session:
            return len(self._pairs(session))

    def describe(self) -> str:
        """Return what kind of store this is."""
        return f"pkcs11: {self._config.token_label}"

    def sign(self, public_key: Ed25519PublicKey, data: bytes) -> bytes:
        """Return the signature (64 bytes) of `data` by the private key of `public_key`.

        Raises DeviceFault(KEY_UNUSABLE), also when that key has been ended.
        """
        with self.session() as session:
            for pair in self._pairs(session):
                if pair.public_key == public_key:
                    return bytes(pair.private.sign(data, mechanism=_pkcs11().Mechanism.EDDSA))
        raise _unusable("the token no longer has the unit's key")

    @contextlib.contextmanager
    def session(self) -> Iterator[Any]:
        """Yield the one session, logged in, for one caller at a time; a session that failed is not used again.

        Raises ConfigRejected (library, PIN) and DeviceFault(KEY_UNUSABLE).
        """
        pkcs11 = _pkcs11()
        with self._login.lock:
            try:
                if self._login.session is None:
                    self._login.session = _open(self._config)
                yield self._login.session
            except pkcs11.PinIncorrect:
                raise ConfigRejected(
                    f"{self._config.pin_file}: the token refuses this PIN; correct it before the token locks itself"
                ) from None
            except pkcs11.PKCS11Error as error:
                self._login.close()
                raise _unusable(f"the token says {type(error).__name__}") from error

    def _pairs(self, session: Any) -> list[_Pair]:
        """Return this unit's pairs, found by the private half."""
        pkcs11 = _pkcs11()
        pairs = []
        for label in (self._label, self._next_label):
            wanted = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.Attribute.LABEL: label}
            for private in list(session.get_objects(wanted)):
                same_id = {
                    pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY,
                    pkcs11.Attribute.ID: private[pkcs11.Attribute.ID],
                }
                publics = list(session.get_objects(same_id))
                key = _raw_public_key(publics[0][pkcs11.Attribute.EC_POINT]) if publics else None
                pairs.append(_Pair(label=label, private=private, publics=publics, public_key=key))
        return pairs


class _TokenKey(Ed25519PrivateKey):
    """A private key that stays in its token: it signs there, and nothing else can be had of it."""

    def __init__(self, keys: TokenKeys, public_key: Ed25519PublicKey) -> None:
        self._keys, self._public_key = keys, public_key

    def public_key(self) -> Ed25519PublicKey:
        return self._public_key

    def sign(self, data: bytes | bytearray | memoryview) -> bytes:
        return self._keys.sign(self._public_key, bytes(data))

    def private_bytes(self, *_: object) -> bytes:
        raise TypeError("a key in a token has no bytes")

    def private_bytes_raw(self) -> bytes:
        raise TypeError("a key in a token has no bytes")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: dict[Any, Any]) -> Self:
        return self


def _pkcs11() -> Any:
    """Return the library, which a unit without a token need not have. Raises ConfigRejected."""
    try:
        import pkcs11  # noqa: PLC0415
    except ImportError:
        raise ConfigRejected(
            "the library python-pkcs11 is missing; run `pip install 'kestrel-camera[pkcs11]'`"
        ) from None
    return pkcs11


def _open(config: TokenConfig) -> Any:
    """Return a new session, logged in as the user."""
    pkcs11 = _pkcs11()
    pin = _pin(Path(config.pin_file))
    try:
        library = pkcs11.lib(config.module)
    except (RuntimeError, OSError):
        raise ConfigRejected(
            f"{config.module}: not the library of a secure element; install the token's own or correct token.module"
        ) from None
    try:
        token = library.get_token(token_label=config.token_label)
    except pkcs11.NoSuchToken:
        raise _unusable(f"no token is labelled {config.token_label}") from None
    return token.open(rw=True, user_pin=pin)


def _pin(path: Path) -> str:
    """Return the PIN in the file at `path`, which only its owner or systemd's credentials may hold."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        pin = path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "not text"
        raise ConfigRejected(f"{path}: the token's PIN cannot be read ({what}); put it there, mode 0600") from None
    if mode & 0o077 and not path.is_relative_to(CREDENTIALS):
        raise ConfigRejected(f"{path}: other users may read the token's PIN; run `chmod 600 {path}`")
    return pin


def _make(session: Any, label: str) -> None:
    """Make an Ed25519 pair in the token that can sign and cannot leave."""
    pkcs11 = _pkcs11()
    attribute = pkcs11.Attribute
    parameters = session.create_domain_parameters(
        pkcs11.KeyType.EC_EDWARDS, {attribute.EC_PARAMS: ED25519_PARAMETERS}, local=True
    )
    _, private = parameters.generate_keypair(
        store=True,
        label=label,
        id=secrets.token_bytes(ID_BYTES),
        mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
        capabilities=pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY,
        private_template={attribute.SENSITIVE: True, attribute.EXTRACTABLE: False},
    )
    _refuse_copyable(private)


def _refuse_copyable(private: Any) -> None:
    """Return if the token says that this key was made in it and never could leave it."""
    attribute = _pkcs11().Attribute
    stays = private[attribute.LOCAL] and private[attribute.ALWAYS_SENSITIVE] and private[attribute.NEVER_EXTRACTABLE]
    if not stays:
        raise _unusable("the key in the token could have been copied")


def _raw_public_key(point: bytes) -> Ed25519PublicKey | None:
    return Ed25519PublicKey.from_public_bytes(bytes(point)[-32:]) if len(point) in POINT_LENGTHS else None


def _unusable(what: str) -> DeviceFault:
    hint = f"{what}; check that the secure element is connected, or give the unit a new key"
    return DeviceFault(FaultCode.KEY_UNUSABLE, hint)
