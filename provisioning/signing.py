"""The fleet's side: checks what a unit asks for, certifies its public keys, keeps the registry; sees no private key.

A unit that gets a new key keeps the earlier one in its registry entry, because reads that it signed may still lie in
its outbox: signing them again would mean to change sealed rows on the disk of a unit that may lose power. The receiver
takes the earlier key until its certificate has run out and the longest retention besides, so that nothing depends on
when the unit came to take its new key into use.
"""

import base64
import datetime as dt
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloud import fleet_folder, registry
from cloud.registry import UTC_FORMAT, EarlierKey, Registry, State, Unit, moment
from firmware import config
from firmware.config import DeviceConfig, SealConfig, SiteConfig, TokenConfig, UplinkConfig
from firmware.faults import ConfigRejected
from firmware.signed_document import is_signed
from provisioning import certificates, durable_files, fleet, requests
from provisioning.requests import UnitAnswer, UnitRequest

LONGEST_RETENTION: Final = dt.timedelta(days=31)
"""UplinkConfig.retention_days at most, and a day for clocks: after that a unit has forgotten what it had sealed."""


def sign(fleet_path: Path, request: UnitRequest, now: dt.datetime, *, site: SiteConfig | None = None) -> UnitAnswer:
    """Certify the keys of `request` and register them; return the answer. `site` is for a new unit, and makes it one.

    Raises ConfigRejected if a proof fails, a key is of another kind or another unit's, the name is taken (new) or
    unknown (not new), and OSError. The same request again gets an answer again.
    """
    units = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)
    asked = _checked(request)
    _refuse_registered(units, request.device_id, asked)
    known = _active(units.find(request.device_id))
    if site is None:
        known = _vouched_for(known, request, asked)
    elif known is not None and known.public_key != base64_of(asked[-1]):
        raise _taken(request.device_id)
    settings = None if site is None else settings_of(fleet_path, request.device_id, site, request.token)
    authority = fleet.signing_authority(fleet_path, now)
    made = [
        certificates.client_certificate(authority, one, request.device_id, now, certificates.UNIT_DAYS) for one in asked
    ]
    entry = _entry(request.device_id, made, now, known, site.name if site else "")
    durable_files.write(units.path(request.device_id), registry.encode(entry))
    return UnitAnswer(
        device_id=request.device_id,
        certificates=tuple(certificates.certificate_pem(one).decode() for one in made),
        authority=certificates.certificate_pem(authority.certificate).decode(),
        config=settings,
    )


def settings_of(fleet_path: Path, device_id: str, site: SiteConfig, token: TokenConfig | None) -> DeviceConfig:
    """Return the configuration of a new unit, checked by the unit's very reader. Raises ConfigRejected."""
    shared = fleet_folder.load(fleet_path)
    settings = DeviceConfig(
        version=1,
        device_id=device_id,
        site=site,
        seal=SealConfig(
            agency_keys=shared.agency_keys, receipt_key=shared.receipt_key, retirement_key=shared.retirement_key
        ),
        uplink=UplinkConfig(host=shared.host, port=shared.port),
        token=token,
    )
    return config.decode(msgspec.json.encode(settings), "the unit's configuration")


def refuse_taken(fleet_path: Path, device_id: str) -> None:
    """Return if no unit of the fleet has this name, which has been checked. Raises ConfigRejected."""
    if Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).path(device_id).exists():
        raise _taken(device_id)


def _taken(device_id: str) -> ConfigRejected:
    return ConfigRejected(f"{device_id}: the fleet has a unit of this name; choose another, or none")


def _checked(request: UnitRequest) -> list[x509.CertificateSigningRequest]:
    """Return the signing requests, each of an Ed25519 key that signed it, bound by the proof. Raises ConfigRejected."""
    asked = request.requests()
    if len(asked) != (1 if request.token is None else 2):
        raise ConfigRejected("the request has not one key for each use; make it again on the unit")
    for one in asked:
        if not isinstance(one.public_key(), Ed25519PublicKey):
            raise ConfigRejected("the request is for a key that is not Ed25519; make it again on the unit")
        if not one.is_signature_valid:
            raise ConfigRejected("the request is not signed by the key that it names; make it again on the unit")
        if one.subject != certificates.name_of(request.device_id):
            raise ConfigRejected(
                f"the request names another subject than {request.device_id}; make it again on the unit"
            )
    if len({base64_of(one) for one in asked}) < len(asked):
        raise ConfigRejected("the request names one key twice; make it again on the unit")
    if not _is_proven(request, asked, request.proof, base64_of(asked[-1])):
        raise ConfigRejected("the request was altered after it was made; make it again on the unit")
    return asked


def _is_proven(request: UnitRequest, asked: list[x509.CertificateSigningRequest], proof: str, public_key: str) -> bool:
    """Say whether the key that the registry writes as `public_key` signed the whole request."""
    key = Ed25519PublicKey.from_public_bytes(config.key_bytes(public_key))
    proven = requests.proven_bytes(request.device_id, asked, request.token)
    return is_signed(requests.signature_bytes(proof), proven, key)


def _refuse_registered(units: Registry, device_id: str, asked: list[x509.CertificateSigningRequest]) -> None:
    """Return if nobody else has these keys and this unit did not lay them down. Raises ConfigRejected."""
    keys = {base64_of(one) for one in asked}
    for entry in units.units():
        if keys & {earlier.public_key for earlier in entry.earlier_keys}:
            raise ConfigRejected(f"{entry.device_id} signed with this key before; make a new one on the unit")
        if entry.device_id != device_id and entry.public_key in keys:
            raise ConfigRejected(
                f"{entry.device_id} has this key already; make a new one, or give that name if it is this unit's"
            )


def _vouched_for(known: Unit | None, request: UnitRequest, asked: list[x509.CertificateSigningRequest]) -> Unit:
    """Return `known`, whose registered key stands behind the request. Raises ConfigRejected."""
    if known is None:
        raise ConfigRejected(f"{request.device_id}: not a unit of this fleet; a new one is signed with its site's name")
    is_same_key = known.public_key == base64_of(asked[-1])  # an answer that was lost on its way
    if is_same_key:
        return known
    if request.proof_of_former is None or not _is_proven(request, asked, request.proof_of_former, known.public_key):
        raise ConfigRejected(
            f"{request.device_id}: the key that is registered does not stand behind this request; make it on the unit"
            " itself, or retire the unit and make it anew"
        )
    return known


def _active(known: Unit | None) -> Unit | None:
    """Return `known` if it is a unit that may send, or none at all. Raises ConfigRejected."""
    if known is not None and known.state is not State.ACTIVE:
        raise ConfigRejected(f"{known.device_id}: the unit is {known.state}; make a new one under another name")
    return known


def _entry(
    device_id: str, issued: list[x509.Certificate], now: dt.datetime, known: Unit | None, site_name: str
) -> Unit:
    """Return the registry entry with the key of the last of `issued` as the present one."""
    made = issued[-1]
    public_key = base64_of(made)
    serials = (*(f"{one.serial_number:x}" for one in issued), *(known.certificate_serials if known else ()))
    entry = Unit(
        device_id=device_id,
        public_key=public_key,
        certificate_serials=serials[: registry.SERIALS_AT_MOST],
        certificate_until_utc=made.not_valid_after_utc.strftime(UTC_FORMAT),
        site_name=known.site_name if known else site_name,
        enrolled_utc=known.enrolled_utc if known else now.strftime(UTC_FORMAT),
        earlier_keys=tuple(one for one in known.earlier_keys if moment(one.accepted_until_utc) > now) if known else (),
    )
    if known is None or known.public_key == public_key:
        return entry
    until = moment(known.certificate_until_utc) + LONGEST_RETENTION
    earlier = EarlierKey(public_key=known.public_key, accepted_until_utc=until.strftime(UTC_FORMAT))
    if len(entry.earlier_keys) == registry.EARLIER_KEYS_AT_MOST:
        raise ConfigRejected(
            f"{device_id}: too many earlier keys are still accepted; remove from its entry those that are not needed"
        )
    return msgspec.structs.replace(entry, earlier_keys=(earlier, *entry.earlier_keys))


def base64_of(named: x509.CertificateSigningRequest | x509.Certificate) -> str:
    """Return the public key as the registry writes it: raw, base64."""
    return base64.b64encode(named.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
