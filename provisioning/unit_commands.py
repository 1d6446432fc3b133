"""The options of `kestrel-provision unit`, and what each of its commands says."""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from cloud import fleet_folder
from cloud.registry import Registry
from firmware import config, identity
from firmware.config import SiteConfig, TokenConfig
from firmware.faults import ConfigRejected
from provisioning import broker_notice, broker_proof, durable_files, requests, retiring, signing, unit
from provisioning.certificates import present


def add_to(subjects: Any) -> None:
    """Add the commands to the parser's subjects."""
    parser = subjects.add_parser("unit", help="make and retire units")
    commands = parser.add_subparsers(title="command", required=True, metavar="new|request|sign|install|rotate|retire")
    new = commands.add_parser("new", help="make a unit: key, certificate, configuration; and register it")
    new.add_argument("fleet_folder", type=Path, help="the fleet's folder")
    new.add_argument("unit_folder", type=Path, help="where the unit's files go")
    _add_site_options(new, is_required=True)
    _add_key_options(new)
    new.set_defaults(command=_new)
    request = commands.add_parser("request", help="on the unit: make its key, or a new one; ask for a certificate")
    request.add_argument("unit_folder", type=Path, help="the unit's folder")
    request.add_argument("--out", type=Path, required=True, help="where the request goes")
    _add_key_options(request)
    request.set_defaults(command=_request)
    sign = commands.add_parser("sign", help="in the office: check a request, certify and register the key")
    sign.add_argument("fleet_folder", type=Path, help="the fleet's folder")
    sign.add_argument("request", type=Path, help="the unit's request")
    sign.add_argument("--out", type=Path, required=True, help="where the answer goes")
    _add_site_options(sign, is_required=False)
    sign.set_defaults(command=_sign)
    install = commands.add_parser("install", help="on the unit: take the answer into use")
    install.add_argument("unit_folder", type=Path, help="the unit's folder")
    install.add_argument("answer", type=Path, help="the answer to the unit's request")
    install.set_defaults(command=_install)
    rotate = commands.add_parser("rotate", help="give a unit a new key, where both folders are: request, sign, install")
    rotate.add_argument("fleet_folder", type=Path, help="the fleet's folder")
    rotate.add_argument("unit_folder", type=Path, help="the unit's folder")
    broker_notice.add_proof_to(rotate)
    rotate.set_defaults(command=_rotate)
    retire = commands.add_parser("retire", help="erase a unit whose folder is here, and take it out of the fleet")
    retire.add_argument("fleet_folder", type=Path, help="the fleet's folder")
    retire.add_argument("unit_folder", type=Path, help="the unit's folder")
    broker_notice.add_to(retire)
    retire.set_defaults(command=_retire)


def _new(options: argparse.Namespace) -> None:
    made = unit.enrol(
        options.fleet_folder,
        options.unit_folder,
        _site(options),
        present(),
        device_id=options.id,
        token=_token(options),
    )
    sys.stdout.write(
        f"{made.device_id} made in {options.unit_folder}; move it to /var/lib/kestrel on the unit's card, "
        "and leave no copy of it here: its key is the unit.\n"
    )
    broker_notice.warn(options.fleet_folder, present())


def _request(options: argparse.Namespace) -> None:
    if (options.unit_folder / identity.CONFIG_NAME).exists():
        if options.id or _token(options):
            raise ConfigRejected(
                f"{options.unit_folder}: this unit has its name and its token; leave these options out"
            )
        request = unit.request_rotation(options.unit_folder)
    else:
        request = unit.request_new(options.unit_folder, device_id=options.id or unit.new_id(), token=_token(options))
    durable_files.write(options.out, requests.encode(request))
    sys.stdout.write(
        f"{request.device_id} asks in {options.out}, which holds no secret; take it to where the fleet's folder is: "
        "`kestrel-provision unit sign`.\n"
    )


def _sign(options: argparse.Namespace) -> None:
    request = requests.load_request(options.request)
    answer = signing.sign(
        options.fleet_folder, request, present(), site=None if options.name is None else _site(options)
    )
    durable_files.write(options.out, requests.encode(answer))
    sys.stdout.write(
        f"{answer.device_id} is registered with its new key; take {options.out}, which holds no secret, to the unit: "
        "`kestrel-provision unit install`.\n"
    )
    broker_notice.warn(options.fleet_folder, present())


def _install(options: argparse.Namespace) -> None:
    answer = requests.load_answer(options.answer)
    unit.install(options.unit_folder, answer)
    sys.stdout.write(f"{answer.device_id} has its certificate; (re)start its service.\n")


def _rotate(options: argparse.Namespace) -> None:
    units = Registry(options.fleet_folder / fleet_folder.REGISTRY_FOLDER)
    device_id = config.load(options.unit_folder / identity.CONFIG_NAME).device_id
    before = units.unit(device_id)
    unit.rotate(options.fleet_folder, options.unit_folder, present())
    after = units.unit(device_id)
    sys.stdout.write(
        f"The unit in {options.unit_folder} has a new key, good until {after.certificate_until_utc[:10]}; restart its "
        f"service. The old certificate ends on {before.certificate_until_utc[:10]}; what its key signed is taken until "
        f"{next((one.accepted_until_utc[:10] for one in after.earlier_keys), before.certificate_until_utc[:10])}.\n"
    )
    if options.prove:
        broker_notice.announce(options.fleet_folder)
        broker_proof.admitted(options.fleet_folder, device_id, retiring.unit_tls(options.unit_folder))
        sys.stdout.write(f"Proven: the broker lets {device_id} in with its new certificate.\n")


def _retire(options: argparse.Namespace) -> None:
    now = present()
    retired = retiring.by_hand(options.fleet_folder, options.unit_folder, options.reason, now)
    erased = retired.erased
    sys.stdout.write(
        f"{retired.device_id} is erased and out of the fleet.\n"
        f"{erased.overwritten_bytes} bytes of its keys are zeros now, {erased.removed_files} files are gone, and no "
        f"piece of a key is in the {erased.searched_files} files that are left in {options.unit_folder}.\n"
    )
    if erased.token_keys is not None:
        sys.stdout.write(f"Keys destroyed in its token: {erased.token_keys}; none is left there.\n")
    broker_notice.shut_out(options.fleet_folder, retired.device_id, options, now, retired.own)


def _site(options: argparse.Namespace) -> SiteConfig:
    if options.latitude is None or options.longitude is None:
        raise ConfigRejected("a new unit needs --name, --latitude and --longitude; give all three")
    return SiteConfig(
        name=options.name,
        latitude_deg=options.latitude,
        longitude_deg=options.longitude,
        bearing_deg=options.bearing,
    )


def _token(options: argparse.Namespace) -> TokenConfig | None:
    """Return where the key that signs is to lie, checked when the configuration is. Raises ConfigRejected."""
    given = {
        "module": options.token_module,
        "token_label": options.token_label,
        "pin_file": options.token_pin_file,
    }
    named = {name: value for name, value in given.items() if value is not None}
    if not named:
        return None
    try:
        return msgspec.convert(named, TokenConfig)
    except msgspec.ValidationError as error:
        raise ConfigRejected(f"{error}; give --token-module and --token-label, and --token-pin-file") from error


def _add_site_options(parser: argparse.ArgumentParser, *, is_required: bool) -> None:
    only = "" if is_required else "a new unit only: "
    parser.add_argument("--name", required=is_required, help=f"{only}what people call the site, such as 'North gate'")
    parser.add_argument("--latitude", type=float, required=is_required, help=f"{only}degrees (WGS 84)")
    parser.add_argument("--longitude", type=float, required=is_required, help=f"{only}degrees (WGS 84)")
    parser.add_argument("--bearing", type=float, default=0.0, help=f"{only}where the lens points, degrees from north")


def _add_key_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--id", help="a name of your own, k-..., 4 to 24 small letters and digits (default: random)")
    parser.add_argument("--token-module", help="PKCS #11 library of the secure element (default: the key is a file)")
    parser.add_argument("--token-label", help="label of the token in it")
    parser.add_argument("--token-pin-file", help="file with the token's PIN (default: systemd's credential)")
