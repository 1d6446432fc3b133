"""Whether a hand-over record and its page are whole and belong together, and whose signature they bear."""

import argparse
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cloud import fleet_folder, handover
from cloud.handover import SignedHandover
from cloud.registry import Registry
from firmware import identity, strict_json
from firmware.faults import ConfigRejected, DocumentRejected
from firmware.log_lines import printable
from firmware.papers import MAX_DOCUMENT_BYTES


def run(options: argparse.Namespace) -> None:
    """Say who signed. Raises DocumentRejected if nobody whom the options name did, and ConfigRejected."""
    path: Path = options.record
    page_path: Path = options.page or path.with_suffix(".pdf")
    data, page = _read(path, strict_json.MAX_BYTES), _read(page_path, MAX_DOCUMENT_BYTES)
    try:
        signed = handover.decode(data)
        key = handover.verify(signed, page, *_keys(options, signed))
    except DocumentRejected as rejected:
        hint = (
            "take the files from the unit's folder `handover`, or from the office: `kestrel-cloud handovers --out DIR`"
        )
        raise DocumentRejected(f"{path}: {rejected}; {hint}") from None
    record = signed.record
    sys.stdout.write(
        f"{path} is whole, and {page_path} is its page.\n"
        f"It says that {record.device_id} was accepted by {printable(record.accepted_by)} at {record.accepted_utc}.\n"
        f"{_whose(options, record.device_id)} Its key has the SHA-256 {handover.fingerprint(key)}.\n"
    )
    if record.despite:
        sys.stdout.write(f"It names shortcomings despite which it was accepted: {len(record.despite)}.\n")


def _keys(options: argparse.Namespace, signed: SignedHandover) -> list[Ed25519PublicKey]:
    """Return the keys with which the unit may have signed. Raises ConfigRejected and DocumentRejected."""
    if options.unit_certificate is not None:
        return [identity.public_key_of(identity.load_certificate(options.unit_certificate))]
    if options.fleet is not None:
        fleet_folder.load(options.fleet)
        unit = Registry(options.fleet / fleet_folder.REGISTRY_FOLDER).unit(signed.record.device_id)
        return [key for key, _ in unit.verifying_keys()]
    return [handover.own_key(signed)]


def _whose(options: argparse.Namespace, device_id: str) -> str:
    if options.unit_certificate is not None:
        return f"{options.unit_certificate} is the certificate of the key that signed it."
    if options.fleet is not None:
        return f"{device_id} of the fleet in {options.fleet} signed it."
    return "Whose key signed it is not known here; give --fleet FLEET or --unit-certificate CRT."


def _read(path: Path, bytes_at_most: int) -> bytes:
    """Return the content of a file. Raises ConfigRejected."""
    try:
        with path.open("rb") as file:
            return file.read(bytes_at_most + 1)
    except OSError as error:
        raise ConfigRejected(
            f"{path}: cannot be read ({error.strerror}); name the record, and its page with --page"
        ) from error
