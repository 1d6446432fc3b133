"""The unit's side: it makes its keys, asks for certificates, and takes them into use. No private key leaves it.

The unit's folder is what lies on its card under /var/lib/kestrel; a folder without config.json, which comes after all
that it needs, is no unit. A certificate decides which key is the unit's, so that a new pair is taken into use by one
rename: whoever pulls the plug finds the old pair or the new one, and the same command again goes on where it was. A
unit that has asked and has no configuration yet keeps its request beside its keys, and so knows its name.
"""

import base64
import datetime as dt
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware import config, identity
from firmware.board.pkcs11_token import key_store
from firmware.config import DeviceConfig, SiteConfig, TokenConfig
from firmware.faults import ConfigRejected
from firmware.key_files import KeyFiles
from provisioning import bundles, certificates, durable_files, requests, signing
from provisioning.requests import UnitAnswer, UnitRequest
from provisioning.site_files import SitePlan

if TYPE_CHECKING:
    from firmware.ports import KeyStore

ID_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no i, l, o or u that a technician could mistake or read as a word."""

ID_CHARACTERS: Final = 8  # 40 bits: a fleet of 10,000 units meets a collision, which is refused, once in 22,000 fleets


REQUEST_NAME: Final = "request.json"
"""What waits for its answer; gone once there is a configuration."""


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
    others: Mapping[str, Any] | None = None,
    is_far_meant: bool = False,
) -> DeviceConfig:
    """Make the unit's folder and register the unit, where both folders are at hand; return its configuration.

    `others` are a site file's other sections. One that is half made is gone on with. Raises ConfigRejected if the
    folder holds a unit, the name is taken, the place cannot be meant or a value is out of bounds, and OSError.
    """
    if _is_unfinished(unit_folder):
        return _finished(unit_folder)
    _refuse_unit(unit_folder)
    name = _name(unit_folder, device_id)
    plan = SitePlan(site=site, others=others or {})
    # before a key is made that nobody would sign
    signing.settings_of(fleet_path, name, plan, token, is_far_meant=is_far_meant)
    if not unit_folder.exists():
        signing.refuse_taken(fleet_path, name)
    request = request_new(unit_folder, device_id=name, token=token)
    answer = signing.sign(fleet_path, request, now, plan=plan, is_far_meant=is_far_meant)
    install(unit_folder, answer, now)
    return config.load(unit_folder / identity.CONFIG_NAME)


def rotate(fleet_path: Path, unit_folder: Path, now: dt.datetime) -> Ed25519PublicKey:
    """Give the unit in `unit_folder` a new key and certificate, where both folders are at hand; return its public key.

    Raises ConfigRejected, DeviceFault(KEY_UNUSABLE) and OSError; after any of them the same call again goes on.
    """
    answer = signing.sign(fleet_path, request_rotation(unit_folder), now)
    install(unit_folder, answer, now)
    return identity.public_key_of(answer.parsed()[-1])


def request_new(unit_folder: Path, *, device_id: str | None = None, token: TokenConfig | None = None) -> UnitRequest:
    """Make the keys of a new unit in its folder and token; return the request for their certificates.

    Its name is the one given, else the one that it asked with before, else a random one. No clock is needed. Raises
    ConfigRejected if the folder holds a unit or one of another name, DeviceFault(KEY_UNUSABLE) and OSError.
    """
    _refuse_unit(unit_folder)
    name = _name(unit_folder, device_id)
    durable_files.make_folder(unit_folder)
    durable_files.erase_unfinished(unit_folder)
    keys = [store.prepare(None) for store in stores(unit_folder, token)]
    request = _request(name, token, keys, None)
    durable_files.write(unit_folder / REQUEST_NAME, requests.encode(request))
    return request


def waiting(unit_folder: Path) -> UnitRequest | None:
    """Return what a unit without a configuration has asked, None if nothing. Raises ConfigRejected."""
    path = unit_folder / REQUEST_NAME
    if (unit_folder / identity.CONFIG_NAME).exists() or not path.exists():
        return None
    return requests.load_request(path)


def _name(unit_folder: Path, device_id: str | None) -> str:
    """Return the name of a new unit: as given, as it asked with before, or a random one. Raises ConfigRejected."""
    asked = waiting(unit_folder)
    if asked is None:
        return device_id or new_id()
    if device_id not in {None, asked.device_id}:
        raise ConfigRejected(
            f"{unit_folder}: this unit is half made, as {asked.device_id}; go on without --id, or in another folder"
        )
    return asked.device_id


def request_rotation(unit_folder: Path) -> UnitRequest:
    """Make new keys beside those of the unit; return the request, which the present key vouches for.

    Raises ConfigRejected, DeviceFault(KEY_UNUSABLE) and OSError.
    """
    settings = config.load(unit_folder / identity.CONFIG_NAME)
    places = stores(unit_folder, settings.token)
    unit = identity.load(unit_folder, settings.device_id, places[-1])
    present = identity.own_certificates(unit_folder, in_token=settings.token is not None).values()
    keys = [
        store.prepare(identity.public_key_of(certificate)) for store, certificate in zip(places, present, strict=True)
    ]
    return _request(settings.device_id, settings.token, keys, unit.device_key)


def install(unit_folder: Path, answer: UnitAnswer, now: dt.datetime) -> None:
    """Take the certificates of `answer` into use, and end the keys that they replace; done again, it goes on.

    Raises ConfigRejected if they are not of the keys that wait in this unit or are not valid `now`,
    DeviceFault(KEY_UNUSABLE) and OSError.
    """
    asked = waiting(unit_folder)
    if asked is not None and asked.device_id != answer.device_id:
        raise ConfigRejected(f"the answer is for {answer.device_id} and this is {asked.device_id}; bring its own")
    path = unit_folder / identity.CONFIG_NAME
    if answer.config is not None and path.exists() and config.load(path) != answer.config:
        _refuse_unit(unit_folder)
    take(unit_folder, answer, now)


def take(unit_folder: Path, answer: UnitAnswer, now: dt.datetime) -> None:
    """Take certificates, and the configuration if there is one, into use: of a new unit, or in place of what it has.

    The configuration comes last: a folder without one is no unit. Raises as `install` does.
    """
    token = answer.config.token if answer.config else config.load(unit_folder / identity.CONFIG_NAME).token
    places = stores(unit_folder, token)
    names = identity.certificate_names(in_token=token is not None)
    made = answer.parsed()
    if len(made) != len(names):
        raise ConfigRejected("the answer has not one certificate for each key of this unit; make a new request")
    _check(unit_folder, answer, places, made)
    for certificate in made:
        _refuse_out_of_time(certificate, now)
    if answer.config is not None:
        durable_files.write(unit_folder / identity.AUTHORITY_NAME, answer.authority.encode())
    for name, certificate in zip(names, made, strict=True):
        durable_files.write(unit_folder / name, certificates.certificate_pem(certificate))
    if answer.config is not None:
        durable_files.write(unit_folder / identity.CONFIG_NAME, config.encode(answer.config))
    _settle(unit_folder, places, made)


def _settle(unit_folder: Path, places: "list[KeyStore]", certified: Iterable[x509.Certificate]) -> None:
    """End the keys that those of `certified` replace, what was killed while it was written, and what was asked.

    Raises OSError.
    """
    for store, certificate in zip(places, certified, strict=True):
        store.settle(identity.public_key_of(certificate))
    durable_files.erase_unfinished(unit_folder)
    if (unit_folder / REQUEST_NAME).exists():
        durable_files.remove(unit_folder / REQUEST_NAME)


def _is_unfinished(unit_folder: Path) -> bool:
    """Say whether the last step of making this unit was cut short: it is whole, and its request is still there."""
    return all((unit_folder / name).exists() for name in (identity.CONFIG_NAME, REQUEST_NAME))


def _finished(unit_folder: Path) -> DeviceConfig:
    """Go on with that last step; return the unit's configuration. Raises ConfigRejected, and OSError."""
    settings = config.load(unit_folder / identity.CONFIG_NAME)
    own = identity.own_certificates(unit_folder, in_token=settings.token is not None)
    _settle(unit_folder, stores(unit_folder, settings.token), own.values())
    return settings


def _check(unit_folder: Path, answer: UnitAnswer, places: "list[KeyStore]", made: list[x509.Certificate]) -> None:
    """Return if `answer` fits this unit whole. Raises ConfigRejected."""
    if answer.config is not None:
        authority = answer.authority.encode()
    else:
        authority = (unit_folder / identity.AUTHORITY_NAME).read_bytes()
        if config.load(unit_folder / identity.CONFIG_NAME).device_id != answer.device_id:
            raise ConfigRejected(f"the answer is for {answer.device_id}; bring the one for this unit")
    for store, certificate in zip(places, made, strict=True):
        if identity.common_name(certificate) != answer.device_id:
            raise ConfigRejected("a certificate of the answer names another unit; bring the answer for this one")
        if store.find(identity.public_key_of(certificate)) is None:
            raise ConfigRejected("the answer is for another key than waits in this unit; make a new request")
        certificates.check_issued(certificate, authority)


def _refuse_out_of_time(certificate: x509.Certificate, now: dt.datetime) -> None:
    """Return if `certificate` is valid `now`, by this machine's clock. Raises ConfigRejected.

    A Pi has no battery for its clock: without a network it starts in the past, or where it was switched off.
    """
    if now < certificate.not_valid_before_utc:
        raise ConfigRejected(
            f"this machine's clock says {now:%d %B %Y}, and the certificate begins on "
            f"{certificate.not_valid_before_utc:%d %B %Y}: the clock is behind; let it have a network for a minute, or "
            "set it with `sudo date -s`, and do this again"
        )
    if now > certificate.not_valid_after_utc:
        raise ConfigRejected(
            f"the certificate ran out on {certificate.not_valid_after_utc:%d %B %Y} and this machine's clock says "
            f"{now:%d %B %Y}; if the clock is right, make a new request and let it be signed, else set the clock"
        )


def stores(unit_folder: Path, token: TokenConfig | None) -> "list[KeyStore]":
    """Return where the unit's keys lie: that of TLS first, that which signs reads last; without a token both in one."""
    files = KeyFiles(unit_folder)
    return [files] if token is None else [files, key_store(token, unit_folder)]


def _request(
    device_id: str, token: TokenConfig | None, keys: list[Ed25519PrivateKey], former: Ed25519PrivateKey | None
) -> UnitRequest:
    made = [certificates.signing_request(key, device_id) for key in keys]
    bundle_key = bundles.public_text(keys[0])  # of the one in a file; a token's has no bytes to be read
    proven = requests.proven_bytes(device_id, made, token, bundle_key)
    request = UnitRequest(
        device_id=device_id,
        signing_requests=tuple(certificates.request_pem(one) for one in made),
        token=token,
        bundle_key=bundle_key,
        proof=base64.b64encode(keys[-1].sign(proven)).decode(),
        proof_of_former=base64.b64encode(former.sign(proven)).decode() if former else None,
    )
    return requests.decode_request(requests.encode(request), "the request")


def _refuse_unit(unit_folder: Path) -> None:
    if (unit_folder / identity.CONFIG_NAME).exists():
        raise ConfigRejected(f"{unit_folder}: there is a unit already, and it stays as it is; choose another folder")
