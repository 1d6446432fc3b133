"""The technician's command line: fleets, units, and the machine that a unit runs on."""

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cloud import broker_files, fleet_folder
from cloud.registry import Registry, State
from firmware import identity
from firmware.command_line import EXIT_FAULT, EXIT_STOPPED, ended
from firmware.config import SiteConfig, SuiteName, TokenConfig
from firmware.faults import ConfigRejected
from provisioning import (
    aim_command,
    durable_files,
    fleet,
    installed_broker,
    receivers,
    requests,
    retiring,
    revocation,
    signing,
    survey_command,
    unit,
)
from provisioning.card import commands as card
from provisioning.host import addresses


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 the disk refused, 2 usage or configuration."""
    options = _parser().parse_args(arguments)
    return ended("kestrel-provision", lambda: options.command(options))


def _fleet_init(options: argparse.Namespace) -> None:
    made = fleet.init(options.folder, host=options.host, port=options.port, now=_now(), suite=options.suite)
    sys.stdout.write(
        f"Fleet made in {options.folder}; its units will call {made.host} port {made.port}.\n"
        f"Copy {options.folder / fleet_folder.BROKER_FOLDER} to {fleet.INSTALLED_FOLDER} on the broker's machine, "
        "owned by mosquitto.\n"
        f"Keep {options.folder / fleet_folder.OPENING_FOLDER} safe: its key opens every read, and nothing else does.\n"
    )


def _fleet_add_key(options: argparse.Namespace) -> None:
    overlap = dt.timedelta(days=options.overlap_days)
    made, key = fleet.add_key(options.folder, options.suite, _now(), replaces=options.replaces, overlap=overlap)
    sys.stdout.write(
        f"Opening key {key.key_id.hex()} made; keep {options.folder / fleet_folder.opening_key_path(key)} safe, "
        "and start the receiver again.\n"
        f"New units seal to {len(made.agency_keys)} keys; units that are out need agency_keys of "
        f"{options.folder / fleet_folder.FLEET_NAME} in their config.json.\n"
    )


def _fleet_add_receiver(options: argparse.Namespace) -> None:
    name = receivers.add(options.folder, _now())
    access_list = options.folder / fleet_folder.BROKER_FOLDER / broker_files.ACCESS_NAME
    sys.stdout.write(
        f"Receiver {name} made. Copy {access_list} to the broker's machine and run `systemctl reload mosquitto` there; "
        f"then start `kestrel-cloud receive --folder {options.folder} --name {name}`.\n"
    )


def _fleet_list(options: argparse.Namespace) -> None:
    fleet_folder.load(options.folder)
    units = Registry(options.folder / fleet_folder.REGISTRY_FOLDER).units()
    for entry in units:
        ended = f"  ({entry.ended_utc}: {entry.reason})" if entry.ended_utc else ""
        sys.stdout.write(f"{entry.device_id:<12} {entry.state:<8} {entry.enrolled_utc}  {entry.site_name}{ended}\n")
    sys.stdout.write(f"{len(units)} {'unit' if len(units) == 1 else 'units'}\n")
    warning = revocation.warning(options.folder, _now())
    if warning:
        sys.stderr.write(f"kestrel-provision: {warning}\n")


def _fleet_revoke(options: argparse.Namespace) -> None:
    revocation.end(options.folder, options.unit, State.REVOKED, options.reason, _now())
    sys.stdout.write(f"{options.unit} is revoked: the receiver rejects whatever it sends from now on.\n")
    _renew_broker(options)


def _fleet_retire(options: argparse.Namespace) -> int:
    notice = retiring.command(options.folder, options.unit, _now(), wait_s=options.wait)
    if notice is None:
        sys.stderr.write(
            f"kestrel-provision: {options.unit} has not answered in {options.wait:g} s; it hears the command when it "
            "comes back within a day of its last connection, else do this again, or revoke it\n"
        )
        return EXIT_FAULT
    revocation.end(options.folder, options.unit, State.RETIRED, options.reason, _now())
    sys.stdout.write(f"{options.unit} erases itself and is out of the fleet.\n")
    _renew_broker(options)
    return EXIT_STOPPED


def _renew_broker(options: argparse.Namespace) -> None:
    """Let the broker on this machine know, or say how the broker on another one gets to know."""
    if options.broker is not None:
        installed_broker.renew(options.folder, options.broker)
        sys.stdout.write("The broker on this machine has been told: the unit is silent and does not get in again.\n")
        return
    folder = options.folder / fleet_folder.BROKER_FOLDER
    sys.stdout.write(
        f"The broker does not know yet: copy {folder / broker_files.REVOKED_NAME} and "
        f"{folder / broker_files.ACCESS_NAME} to {fleet.INSTALLED_FOLDER} on its machine, owned by mosquitto, and run "
        "`systemctl reload mosquitto` there.\n"
    )


def _unit_new(options: argparse.Namespace) -> None:
    made = unit.enrol(
        options.fleet_folder, options.unit_folder, _site(options), _now(), device_id=options.id, token=_token(options)
    )
    sys.stdout.write(
        f"{made.device_id} made in {options.unit_folder}; move it to /var/lib/kestrel on the unit's card, "
        "and leave no copy of it here: its key is the unit.\n"
    )


def _unit_request(options: argparse.Namespace) -> None:
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


def _unit_sign(options: argparse.Namespace) -> None:
    request = requests.load_request(options.request)
    answer = signing.sign(options.fleet_folder, request, _now(), site=None if options.name is None else _site(options))
    durable_files.write(options.out, requests.encode(answer))
    sys.stdout.write(
        f"{answer.device_id} is registered with its new key; take {options.out}, which holds no secret, to the unit: "
        "`kestrel-provision unit install`.\n"
    )


def _unit_install(options: argparse.Namespace) -> None:
    answer = requests.load_answer(options.answer)
    unit.install(options.unit_folder, answer)
    sys.stdout.write(f"{answer.device_id} has its certificate; (re)start its service.\n")


def _unit_rotate(options: argparse.Namespace) -> None:
    unit.rotate(options.fleet_folder, options.unit_folder, _now())
    sys.stdout.write(
        f"The unit in {options.unit_folder} has a new key; restart its service. What it signed before is still taken.\n"
    )


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


def _host_addresses(options: argparse.Namespace) -> None:
    sys.stdout.write(f"{addresses.fill(options.places)} addresses in the firewall\n")


def _unit_retire(options: argparse.Namespace) -> None:
    device_id = retiring.by_hand(options.fleet_folder, options.unit_folder, options.reason, _now())
    sys.stdout.write(f"{device_id} is erased and out of the fleet.\n")
    options.folder = options.fleet_folder
    _renew_broker(options)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kestrel-provision",
        description="Makes fleets and units: keys, certificates, configuration.",
        epilog="Exit codes: 0 done, 1 the disk refused, 2 usage or configuration.",
    )
    subjects = parser.add_subparsers(title="what to work on", required=True, metavar="fleet|unit|card|host|aim|survey")
    _add_fleet_commands(subjects.add_parser("fleet", help="make and list fleets, take units out"))
    _add_unit_commands(subjects.add_parser("unit", help="make and retire units"))
    card.add_to(subjects.add_parser("card", help="make a card a unit's: programs, service, firewall, radios off"))
    _add_host_commands(subjects.add_parser("host", help="what a unit does to itself"))
    aim_command.add_to(subjects)
    survey_command.add_to(subjects)
    return parser


def _add_fleet_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(
        title="command", required=True, metavar="init|add-key|add-receiver|list|revoke|retire"
    )
    init = commands.add_parser("init", help="make a fleet: authority, agency keys, broker and receiver files")
    init.add_argument("folder", type=Path, help="where; the office keeps it, no unit ever sees it")
    init.add_argument("--host", required=True, help="name or address of the broker, as the units can reach it")
    init.add_argument("--port", type=int, default=8883, help="the broker's port (default: %(default)s)")
    init.set_defaults(command=_fleet_init)
    add_key = commands.add_parser("add-key", help="make one more key that opens reads, beside or in place of another")
    add_key.add_argument("folder", type=Path, help="the fleet's folder")
    add_key.add_argument("--replaces", metavar="KEY_ID", help="the key that shall end (default: none)")
    add_key.add_argument(
        "--overlap-days", type=int, default=60, help="how long units still seal to that one (default: %(default)s)"
    )
    add_key.set_defaults(command=_fleet_add_key)
    for command in (init, add_key):
        command.add_argument(
            "--suite",
            type=SuiteName,
            choices=list(SuiteName),
            default=SuiteName.X25519,
            help="x-wing: closed to quantum computers too, and 1,088 bytes more a read (default: %(default)s)",
        )
    add_receiver = commands.add_parser(
        "add-receiver", help="make one more receiver, to share the reads with the others"
    )
    add_receiver.add_argument("folder", type=Path, help="the fleet's folder")
    add_receiver.set_defaults(command=_fleet_add_receiver)
    listing = commands.add_parser("list", help="list the units of a fleet")
    listing.add_argument("folder", type=Path, help="the fleet's folder")
    listing.set_defaults(command=_fleet_list)
    revoke = commands.add_parser("revoke", help="shut a unit out that is lost or stolen; it need not be reachable")
    revoke.set_defaults(command=_fleet_revoke)
    retire = commands.add_parser("retire", help="tell a unit to erase itself, and shut it out when it has said that")
    retire.add_argument("--wait", type=float, default=60.0, help="seconds for its answer (default: %(default)s)")
    retire.set_defaults(command=_fleet_retire)
    for command in (revoke, retire):
        command.add_argument("folder", type=Path, help="the fleet's folder")
        command.add_argument("unit", help="the unit's name, k-...")
        _add_ending(command)


def _add_ending(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", required=True, help="for the registry, such as 'stolen'; at most 80 characters")
    parser.add_argument(
        "--broker", type=Path, metavar="CONF", help="the mosquitto.conf of a broker on this machine, to tell it at once"
    )


def _add_unit_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(title="command", required=True, metavar="new|request|sign|install|rotate|retire")
    new = commands.add_parser("new", help="make a unit: key, certificate, configuration; and register it")
    new.add_argument("fleet_folder", type=Path, help="the fleet's folder")
    new.add_argument("unit_folder", type=Path, help="where the unit's files go")
    _add_site_options(new, is_required=True)
    _add_key_options(new)
    new.set_defaults(command=_unit_new)
    request = commands.add_parser("request", help="on the unit: make its key, or a new one; ask for a certificate")
    request.add_argument("unit_folder", type=Path, help="the unit's folder")
    request.add_argument("--out", type=Path, required=True, help="where the request goes")
    _add_key_options(request)
    request.set_defaults(command=_unit_request)
    sign = commands.add_parser("sign", help="in the office: check a request, certify and register the key")
    sign.add_argument("fleet_folder", type=Path, help="the fleet's folder")
    sign.add_argument("request", type=Path, help="the unit's request")
    sign.add_argument("--out", type=Path, required=True, help="where the answer goes")
    _add_site_options(sign, is_required=False)
    sign.set_defaults(command=_unit_sign)
    install = commands.add_parser("install", help="on the unit: take the answer into use")
    install.add_argument("unit_folder", type=Path, help="the unit's folder")
    install.add_argument("answer", type=Path, help="the answer to the unit's request")
    install.set_defaults(command=_unit_install)
    rotate = commands.add_parser("rotate", help="give a unit a new key, where both folders are: request, sign, install")
    rotate.add_argument("fleet_folder", type=Path, help="the fleet's folder")
    rotate.add_argument("unit_folder", type=Path, help="the unit's folder")
    rotate.set_defaults(command=_unit_rotate)
    retire = commands.add_parser("retire", help="erase a unit whose folder is here, and take it out of the fleet")
    retire.add_argument("fleet_folder", type=Path, help="the fleet's folder")
    retire.add_argument("unit_folder", type=Path, help="the unit's folder")
    _add_ending(retire)
    retire.set_defaults(command=_unit_retire)


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


def _add_host_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(title="command", required=True, metavar="addresses")
    filling = commands.add_parser(
        "addresses", help="put the addresses of names in the firewall; the unit does it itself"
    )
    filling.add_argument("places", type=addresses.parsed, nargs="*", metavar="HOST:PORT", help="what the unit calls")
    filling.set_defaults(command=_host_addresses)


if __name__ == "__main__":
    sys.exit(main())
