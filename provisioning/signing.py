"""The fleet's side: checks what a unit asks for, certifies its public keys, keeps the registry; sees no private key.

A unit that gets a new key keeps the earlier one in its registry entry, because reads that it signed may still lie in
its outbox: signing them again would mean to change sealed rows on the disk of a unit that may lose power. The receiver
takes the earlier key until its certificate has run out and the longest retention besides, so that nothing depends on
when the unit came to take its new key into use.

Where a unit hangs is not the registry's to know: what a unit is given is kept beside it (provisioning.fleet_sites).
"""

import base64
import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloud import fleet_folder, registry
from cloud.registry import UTC_FORMAT, EarlierKey, Registry, State, Unit, moment
from firmware import config
from firmware.config import TokenConfig
from firmware.faults import ConfigRejected
from firmware.signed_document import is_signed
from provisioning import certificates, durable_files, fleet, fleet_sites, label_drawing, labels, requests, site_files
from provisioning.labels import Label
from provisioning.requests import UnitAnswer, UnitRequest
from provisioning.site_files import SitePlan

LONGEST_RETENTION: Final = dt.timedelta(days=31)
"""UplinkConfig.retention_days at most, and a day for clocks: after that a unit has forgotten what it had sealed."""


IN_STOCK: Final = "(in stock)"
"""The registry's name of a site that nobody knows yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What the office gives a unit: certificates in `answer`, and its configuration as JSON has it, maybe without site.

    `region`: the middle of the fleet's other sites in whole degrees, None if there are none.
    """

    answer: UnitAnswer
    settings: dict[str, Any] = field(repr=False)
    region: tuple[int, int] | None


def sign(
    fleet_path: Path,
    request: UnitRequest,
    now: dt.datetime,
    *,
    plan: SitePlan | None = None,
    is_far_meant: bool = False,
) -> UnitAnswer:
    """Certify the keys of `request` and register them; return the answer. `plan` is for a new unit, and makes it one.

    Raises ConfigRejected if a proof fails, a key is of another kind or another unit's, the name is taken (new) or
    unknown (not new), the place cannot be meant, and OSError. The same request again gets an answer again.
    """
    units = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)
    asked = _checked(request)
    _refuse_registered(units, request.device_id, asked)
    known = _active(units.find(request.device_id))
    if plan is None:
        return _certified(fleet_path, request, asked, now, known=_vouched_for(known, request, asked), site_name=None)
    if known is not None and known.public_key != base64_of(asked[-1]):
        raise _taken(request.device_id)
    settings = settings_of(fleet_path, request.device_id, plan, request.token, is_far_meant=is_far_meant)
    answer = _certified(fleet_path, request, asked, now, known=known, site_name=plan.site.name)
    fleet_sites.keep(fleet_path, request.device_id, settings)
    return msgspec.structs.replace(answer, config=site_files.completed(settings, None, "the unit's configuration"))


def issue(
    fleet_path: Path,
    request: UnitRequest,
    now: dt.datetime,
    *,
    plan: SitePlan | None = None,
    is_far_meant: bool = False,
) -> Issued:
    """Certify the keys of `request` as `sign` does; return all that goes into a bundle.

    A new unit may be for stock, without a site; a unit of the fleet keeps its site where `plan` names none, and gets
    what has changed in the fleet since, such as the agencies' keys. Raises ConfigRejected, and OSError.
    """
    units = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)
    asked = _checked(request)
    _refuse_registered(units, request.device_id, asked)
    known = _active(units.find(request.device_id))
    if known is not None and request.proof_of_former is None and known.public_key != base64_of(asked[-1]):
        raise _taken(request.device_id)
    if known is not None:
        known = _vouched_for(known, request, asked)
    settings = settings_of(fleet_path, request.device_id, plan, request.token, is_far_meant=is_far_meant)
    name = plan.site.name if plan else known.site_name if known else IN_STOCK
    answer = _certified(fleet_path, request, asked, now, known=known, site_name=name)
    fleet_sites.keep(fleet_path, request.device_id, settings)
    others = fleet_sites.places(fleet_path, but=request.device_id)
    return Issued(answer=answer, settings=settings, region=fleet_sites.middle(others))


def label_of(fleet_path: Path, request: UnitRequest) -> tuple[Label, bool]:
    """Return the label of the unit that asks, and whether its key is the first that it had. Raises ConfigRejected."""
    asked = _checked(request)
    known = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).find(request.device_id)
    is_first = known is None or (known.public_key == base64_of(asked[-1]) and not known.earlier_keys)
    return labels.of(request.device_id, _ed25519(asked[-1]), fleet.load_authority(fleet_path).certificate), is_first


def key_asked_for(request: UnitRequest) -> Ed25519PublicKey:
    """Return the key that is to sign reads, of a request that proves it. Raises ConfigRejected."""
    return _ed25519(_checked(request)[-1])


def settings_of(
    fleet_path: Path, device_id: str, plan: SitePlan | None, token: TokenConfig | None, *, is_far_meant: bool
) -> dict[str, Any]:
    """Return the configuration of a unit as JSON has it, as far as it is known, with the version that comes next.

    Checked by the unit's very reader, and its place against the fleet's other sites. Raises ConfigRejected.
    """
    shared = fleet_folder.load(fleet_path)
    parts = {
        "device_id": device_id,
        "seal": {
            "agency_keys": json.loads(msgspec.json.encode(shared.agency_keys)),
            "receipt_key": shared.receipt_key,
            "retirement_key": shared.retirement_key,
        },
        "uplink": {"host": shared.host, "port": shared.port},
        "token": msgspec.to_builtins(token),
    }
    site_files.refuse_bad_name(device_id)
    before = fleet_sites.last(fleet_path, device_id)
    sections = plan.sections() if plan else site_files.sections_of(before or {})
    if plan is not None:
        fleet_sites.refuse_place(plan.site, fleet_sites.places(fleet_path, but=device_id), is_far_meant=is_far_meant)
    merged = fleet_sites.numbered(site_files.merged(parts, sections), before)
    nowhere = None if "site" in merged else site_files.NOWHERE
    site_files.completed(merged, nowhere, "the unit's configuration")
    return merged


def refuse_taken(fleet_path: Path, device_id: str) -> None:
    """Return if no unit of the fleet has this name, which has been checked. Raises ConfigRejected."""
    if Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).path(device_id).exists():
        raise _taken(device_id)


def _taken(device_id: str) -> ConfigRejected:
    return ConfigRejected(f"{device_id}: the fleet has a unit of this name; choose another, or none")


def _certified(
    fleet_path: Path,
    request: UnitRequest,
    asked: list[x509.CertificateSigningRequest],
    now: dt.datetime,
    *,
    known: Unit | None,
    site_name: str | None,
) -> UnitAnswer:
    """Return the certificates of `request`, which has been checked, after registering them. None: the name as it is."""
    authority = fleet.signing_authority(fleet_path, now)
    made = [
        certificates.client_certificate(authority, one, request.device_id, now, certificates.UNIT_DAYS) for one in asked
    ]
    entry = _entry(request.device_id, made, now, known, site_name)
    if known is None:  # first, because the entry says that all of it is done
        label = labels.of(request.device_id, _ed25519(asked[-1]), authority.certificate)
        durable_files.make_folder(label_path(fleet_path, request.device_id).parent)
        durable_files.write(label_path(fleet_path, request.device_id), label_drawing.svg(label))
    units = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)
    durable_files.write(units.path(request.device_id), registry.encode(entry))
    return UnitAnswer(
        device_id=request.device_id,
        certificates=tuple(certificates.certificate_pem(one).decode() for one in made),
        authority=certificates.certificate_pem(authority.certificate).decode(),
    )


def label_path(fleet_path: Path, device_id: str) -> Path:
    """Return where the unit's label lies in the fleet's folder."""
    return fleet_path / fleet_folder.LABELS_FOLDER / f"{device_id}.svg"


def _ed25519(asked: x509.CertificateSigningRequest) -> Ed25519PublicKey:
    """Return the key of a request that has been checked."""
    return Ed25519PublicKey.from_public_bytes(config.key_bytes(base64_of(asked)))


def _checked(request: UnitRequest) -> list[x509.CertificateSigningRequest]:
    """Return the signing requests, each of an Ed25519 key that signed it, bound by the proof. Raises ConfigRejected."""
    asked = request.requests()
    if len(asked) != (1 if request.token is None else 2):
        raise ConfigRejected("the request has not one key for each use; make it again on the unit")
    for one in asked:
        if not isinstance(one.public_key(), Ed25519PublicKey):
            raise ConfigRejected("the request is for another kind of key; make it again on the unit")
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
    proven = requests.proven_bytes(request.device_id, asked, request.token, request.bundle_key)
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
        raise ConfigRejected(
            f"{request.device_id}: not a unit of this fleet; if it is a new one, give its site with --site FILE"
        )
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
    device_id: str, issued: list[x509.Certificate], now: dt.datetime, known: Unit | None, site_name: str | None
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
        site_name=site_name or (known.site_name if known else IN_STOCK),
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
