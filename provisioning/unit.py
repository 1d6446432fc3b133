"""The unit's side: it makes its keys, asks for certificates, and takes them into use. No private key leaves it.

The unit's folder is what lies on its card under /var/lib/kestrel; a folder without config.json, which comes after all
that it needs, is no unit. A certificate decides which key is the unit's, so that a new pair is taken into use by one
rename: whoever pulls the plug finds the old pair or the new one, and the same command again goes on where it was.
"""

import base64
import datetime as dt
import secrets
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware import config, identity
from firmware.board.pkcs11_token import key_store
from firmware.config import DeviceConfig, SiteConfig, TokenConfig
from firmware.faults import ConfigRejected
from firmware.key_files import KeyFiles
from firmware.ports import KeyStore
from provisioning import certificates, durable_files, requests, signing
from provisioning.requests import UnitAnswer, UnitRequest

ID_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no i, l, o or u that a technician could mistake or read as a word."""

ID_CHARACTERS: Final = 8  # 40 bits: a fleet of 10,000 units meets a collision, which is refused, once in 22,000 fleets


def new_id() -> str:
    """Return a random name for a unit: it says nothing about serial, place or order."""
    return "k-" + "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_CHARACTERS))


def enrol(
    fleet_path: Path,
    unit_folder: Path,
    site: SiteConfig,
    now: dt.datetime,
    *,
    device_id: str | None = None,
    token: TokenConfig | None = None,
) -> DeviceConfig:
    """Make the unit's folder and register the unit, where both folders are at hand; return its configuration.

    Raises ConfigRejected if the folder holds a unit, the name is taken or a value is out of bounds, and OSError.
    """
    name = device_id or new_id()
    _refuse_unit(unit_folder)
    signing.settings_of(fleet_path, name, site, token)  # before a key is made that nobody would sign
    if not unit_folder.exists():  # one that is half made may be gone on with
        signing.refuse_taken(fleet_path, name)
    request = request_new(unit_folder, device_id=name, token=token)
    answer = signing.sign(fleet_path, request, now, site=site)
    install(unit_folder, answer)
    return config.load(unit_folder / identity.CONFIG_NAME)


def rotate(fleet_path: Path, unit_folder: Path, now: dt.datetime) -> Ed25519PublicKey:
    """Give the unit in `unit_folder` a new key and certificate, where both folders are at hand; return its public key.

    Raises ConfigRejected, DeviceFault(KEY_UNUSABLE) and OSError; after any of them the same call again goes on.
    """
    answer = signing.sign(fleet_path, request_rotation(unit_folder), now)
    install(unit_folder, answer)
    return identity.public_key_of(answer.parsed()[-1])


def request_new(unit_folder: Path, *, device_id: str, token: TokenConfig | None = None) -> UnitRequest:
    """Make the keys of a new unit in its folder and token; return the request for their certificates.

    Raises ConfigRejected if the folder holds a unit, DeviceFault(KEY_UNUSABLE) and OSError.
    """
    _refuse_unit(unit_folder)
    durable_files.make_folder(unit_folder)
    waiting = [store.prepare(None) for store in _stores(unit_folder, token)]
    return _request(device_id, token, waiting, None)


def request_rotation(unit_folder: Path) -> UnitRequest:
    """Make new keys beside those of the unit; return the request, which the present key vouches for.

    Raises ConfigRejected, DeviceFault(KEY_UNUSABLE) and OSError.
    """
    settings = config.load(unit_folder / identity.CONFIG_NAME)
    stores = _stores(unit_folder, settings.token)
    unit = identity.load(unit_folder, settings.device_id, stores[-1])
    present = identity.own_certificates(unit_folder, in_token=settings.token is not None).values()
    waiting = [
        store.prepare(identity.public_key_of(certificate)) for store, certificate in zip(stores, present, strict=True)
    ]
    return _request(settings.device_id, settings.token, waiting, unit.device_key)


def install(unit_folder: Path, answer: UnitAnswer) -> None:
    """Take the certificates of `answer` into use, and end the keys that they replace.

    Raises ConfigRejected if they are not of the keys that wait in this unit, DeviceFault(KEY_UNUSABLE) and OSError.
    """
    token = answer.config.token if answer.config else config.load(unit_folder / identity.CONFIG_NAME).token
    stores = _stores(unit_folder, token)
    names = identity.certificate_names(in_token=token is not None)
    made = answer.parsed()
    if len(made) != len(names):
        raise ConfigRejected("the answer has not one certificate for each key of this unit; make a new request")
    _check(unit_folder, answer, stores, made)
    if answer.config is not None:
        durable_files.write(unit_folder / identity.AUTHORITY_NAME, answer.authority.encode())
    for name, certificate in zip(names, made, strict=True):
        durable_files.write(unit_folder / name, certificates.certificate_pem(certificate))
    if answer.config is not None:
        durable_files.write(unit_folder / identity.CONFIG_NAME, config.encode(answer.config))
    for store, certificate in zip(stores, made, strict=True):
        store.settle(identity.public_key_of(certificate))


def _check(unit_folder: Path, answer: UnitAnswer, stores: list[KeyStore], made: list[x509.Certificate]) -> None:
    """Return if `answer` fits this unit whole. Raises ConfigRejected."""
    if answer.config is not None:
        _refuse_unit(unit_folder)
        authority = answer.authority.encode()
    else:
        authority = (unit_folder / identity.AUTHORITY_NAME).read_bytes()
        if config.load(unit_folder / identity.CONFIG_NAME).device_id != answer.device_id:
            raise ConfigRejected(f"the answer is for {answer.device_id}; bring the one for this unit")
    for store, certificate in zip(stores, made, strict=True):
        if identity.common_name(certificate) != answer.device_id:
            raise ConfigRejected("a certificate of the answer names another unit; bring the answer for this one")
        if store.find(identity.public_key_of(certificate)) is None:
            raise ConfigRejected("the answer is for another key than waits in this unit; make a new request")
        certificates.check_issued(certificate, authority)


def _stores(unit_folder: Path, token: TokenConfig | None) -> list[KeyStore]:
    """Return where the unit's keys lie: that of TLS first, that which signs reads last; without a token both in one."""
    files = KeyFiles(unit_folder)
    return [files] if token is None else [files, key_store(token, unit_folder)]


def _request(
    device_id: str, token: TokenConfig | None, keys: list[Ed25519PrivateKey], former: Ed25519PrivateKey | None
) -> UnitRequest:
    made = [certificates.signing_request(key, device_id) for key in keys]
    proven = requests.proven_bytes(device_id, made, token)
    request = UnitRequest(
        device_id=device_id,
        signing_requests=tuple(certificates.request_pem(one) for one in made),
        token=token,
        proof=base64.b64encode(keys[-1].sign(proven)).decode(),
        proof_of_former=base64.b64encode(former.sign(proven)).decode() if former else None,
    )
    return requests.decode_request(requests.encode(request), "the request")


def _refuse_unit(unit_folder: Path) -> None:
    if (unit_folder / identity.CONFIG_NAME).exists():
        raise ConfigRejected(f"{unit_folder}: there is a unit already; it stays as it is, choose another folder")
