"""The keys of a fleet's update root: one a holder, each in a file that its holder's passphrase alone opens.

A file is PKCS #12 (RFC 7292) with nothing in it but the key and its holder's name, so that OpenSSL opens it too:
AES-256, PBKDF2 with HMAC-SHA-256 and 600,000 rounds (OWASP, Password Storage Cheat Sheet), a tenth of a second.
"""

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

from firmware.faults import ConfigRejected
from provisioning import durable_files

ROUNDS: Final = 600_000
PASSPHRASE_CHARACTERS_MIN: Final = 12
FILE_BYTES_MAX: Final = 65_536


def check_passphrase(passphrase: str) -> None:
    """Return if nobody guesses this soon. Raises ConfigRejected."""
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise ConfigRejected(
            f"a passphrase needs {PASSPHRASE_CHARACTERS_MIN} characters at least, for whoever finds the file has time; "
            "take four words or more"
        )


def make(path: Path, holder: str, passphrase: str) -> Ed25519PrivateKey:
    """Make a key in the file at `path`, which is not there yet; return it as it is read back.

    Raises ConfigRejected for a short passphrase or a file that is there, and OSError.
    """
    check_passphrase(passphrase)
    if path.exists():
        raise ConfigRejected(f"{path}: there is a key already, and none is ever overwritten; move it away first")
    sealing = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(passphrase.encode())
    )
    key = Ed25519PrivateKey.generate()
    durable_files.write(path, pkcs12.serialize_key_and_certificates(holder.encode(), key, None, None, sealing))
    return load(path, passphrase)


def load(path: Path, passphrase: str) -> Ed25519PrivateKey:
    """Return the key in the file at `path`. Raises ConfigRejected for a wrong passphrase and for what is no key."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); bring the holder's key file") from error
    try:
        key = pkcs12.load_pkcs12(data, passphrase.encode()).key
    except ValueError:
        raise ConfigRejected(
            f"{path}: this passphrase does not open it, or it is no key file; try again, or bring the holder's own file"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigRejected(f"{path}: holds a key of another kind; bring the holder's own file")
    return key
