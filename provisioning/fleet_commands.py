"""The options of `kestrel-provision fleet`, and what each of its commands says.

A command loads what it needs when it runs: another one need not wait for that.
"""

import argparse
import datetime as dt
import shutil
import sys
from pathlib import Path

from firmware.command_line import EXIT_FAULT, EXIT_STOPPED
from provisioning import broker_options, root_commands


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `fleet` and their options."""
    from firmware.config import SuiteName  # noqa: PLC0415

    commands = parser.add_subparsers(
        title="command", required=True, metavar="init|root|add-key|add-receiver|list|revoke|retire|prove"
    )
    init = commands.add_parser("init", help="make a fleet: authority, agency keys, broker and receiver files")
    init.add_argument("folder", type=Path, help="where; the office keeps it, no unit ever sees it")
    init.add_argument("--host", required=True, help="name or address of the broker, as the units can reach it")
    init.add_argument("--port", type=int, default=8883, help="the broker's port (default: %(default)s)")
    root_commands.add_options(init)
    init.add_argument("--no-update-keys", action="store_true", help="do not ask who holds the root keys, even here")
    init.set_defaults(command=_init)
    root_commands.add_to(commands)
    add_key = commands.add_parser("add-key", help="make one more key that opens reads, beside or in place of another")
    add_key.add_argument("folder", type=Path, help="the fleet's folder")
    add_key.add_argument("--replaces", metavar="KEY_ID", help="the key that shall end (default: none)")
    add_key.add_argument(
        "--overlap-days", type=int, default=60, help="how long units still seal to that one (default: %(default)s)"
    )
    add_key.set_defaults(command=_add_key)
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
    add_receiver.set_defaults(command=_add_receiver)
    listing = commands.add_parser("list", help="list the units of a fleet")
    listing.add_argument("folder", type=Path, help="the fleet's folder")
    listing.add_argument("--json", action="store_true", help="all that is known, for programs")
    listing.set_defaults(command=_list)
    prove = commands.add_parser("prove", help="knock at the broker for a unit that is out, and say what it does")
    prove.set_defaults(command=_prove)
    revoke = commands.add_parser("revoke", help="shut a unit out that is lost or stolen; it need not be reachable")
    revoke.set_defaults(command=_revoke)
    retire = commands.add_parser("retire", help="tell a unit to erase itself, and shut it out when it has said that")
    retire.add_argument("--wait", type=float, default=60.0, help="seconds for its answer (default: %(default)s)")
    retire.set_defaults(command=_retire)
    for command in (revoke, retire, prove):
        command.add_argument("folder", type=Path, help="the fleet's folder")
        command.add_argument("unit", help="the unit's name, k-...")
    for command in (revoke, retire):
        broker_options.add_to(command)


def _init(options: argparse.Namespace) -> None:
    from cloud import fleet_folder  # noqa: PLC0415
    from provisioning import fleet  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    folder, now = options.folder, present()
    # killed while the holders met: the same command goes on there
    if options.root_holders and (folder / fleet_folder.FLEET_NAME).exists():
        root_commands.hold(folder, options)
        return
    made = fleet.init(folder, host=options.host, port=options.port, now=now, suite=options.suite)
    sys.stdout.write(
        f"Fleet made in {folder}; its units will call {made.host} port {made.port}.\n"
        f"Copy {folder / fleet_folder.BROKER_FOLDER} to {fleet.INSTALLED_FOLDER} on the broker's machine, "
        "owned by mosquitto.\n"
        f"Keep {folder / fleet_folder.OPENING_FOLDER} safe: its key opens every read, and nothing else does.\n"
    )
    if not (options.root_holders or options.no_update_keys) and sys.stdin.isatty() and sys.stdout.isatty():
        options.root_holders = root_commands.asked_names()
    if options.root_holders:
        root_commands.hold(folder, options)
    else:
        sys.stdout.write(
            "Nobody vouches for updates yet: with the three people here who shall, do "
            f"`kestrel-provision fleet root begin {folder} --root-holders A,B,C`.\n"
        )


def _add_key(options: argparse.Namespace) -> None:
    from cloud import fleet_folder  # noqa: PLC0415
    from provisioning import fleet  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    overlap = dt.timedelta(days=options.overlap_days)
    made, key = fleet.add_key(options.folder, options.suite, present(), replaces=options.replaces, overlap=overlap)
    sys.stdout.write(
        f"Opening key {key.key_id.hex()} made; keep {options.folder / fleet_folder.opening_key_path(key)} safe, "
        "and start the receiver again.\n"
        f"New units seal to {len(made.agency_keys)} keys; units that are out need agency_keys of "
        f"{options.folder / fleet_folder.FLEET_NAME} in their config.json.\n"
    )


def _add_receiver(options: argparse.Namespace) -> None:
    from cloud import broker_files, fleet_folder  # noqa: PLC0415
    from provisioning import receivers  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    name = receivers.add(options.folder, present())
    access_list = options.folder / fleet_folder.BROKER_FOLDER / broker_files.ACCESS_NAME
    sys.stdout.write(
        f"Receiver {name} made. Copy {access_list} to the broker's machine and run `systemctl reload mosquitto` there; "
        f"then start `kestrel-cloud receive --folder {options.folder} --name {name}`.\n"
    )


def _list(options: argparse.Namespace) -> None:
    import msgspec  # noqa: PLC0415

    from provisioning import fleet_listing  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    now = present()
    found = fleet_listing.listing(options.folder, now)
    if options.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
        return
    count = len(found.units)
    columns = shutil.get_terminal_size((fleet_listing.COLUMNS, 24)).columns
    sys.stdout.write(f"{fleet_listing.table(found.units, now, columns)}{count} {'unit' if count == 1 else 'units'}\n")
    for warning in found.warnings:
        sys.stderr.write(f"kestrel-provision: {warning}\n")


def _prove(options: argparse.Namespace) -> None:
    from provisioning import broker_notice  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    broker_notice.prove(options.folder, options.unit, present())


def _revoke(options: argparse.Namespace) -> None:
    from cloud.registry import State  # noqa: PLC0415
    from provisioning import broker_notice, revocation  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    now = present()
    revocation.end(options.folder, options.unit, State.REVOKED, options.reason, now)
    sys.stdout.write(f"{options.unit} is revoked: the receiver rejects whatever it sends from now on.\n")
    broker_notice.shut_out(options.folder, options.unit, options, now)


def _retire(options: argparse.Namespace) -> int:
    sys.stdout.write(f"Telling {options.unit} to erase itself; its answer may take {options.wait:g} s ...\n")
    sys.stdout.flush()
    from cloud.registry import State  # noqa: PLC0415
    from provisioning import broker_notice, retiring, revocation  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415
    from provisioning.check_progress import moving  # noqa: PLC0415

    now = present()
    with moving():
        notice = retiring.command(options.folder, options.unit, now, wait_s=options.wait)
    if notice is None:
        sys.stderr.write(
            f"kestrel-provision: {options.unit} has not answered in {options.wait:g} s; wait, for it hears the command "
            "when it comes back within a day of its last connection, else do this again, or revoke it\n"
        )
        return EXIT_FAULT
    revocation.end(options.folder, options.unit, State.RETIRED, options.reason, now)
    sys.stdout.write(f"{options.unit} erases itself and is out of the fleet.\n")
    broker_notice.shut_out(options.folder, options.unit, options, now)
    return EXIT_STOPPED
