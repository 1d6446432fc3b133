"""The options of `kestrel-provision site`: the file that says what differs from site to site.

A command loads what it needs when it runs: another one need not wait for that.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware.faults import ConfigRejected

if TYPE_CHECKING:
    from provisioning.site_files import SitePlan


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `site` and their options."""
    commands = parser.add_subparsers(title="command", required=True, metavar="new|check")
    new = commands.add_parser("new", help="write a site file with its defaults, to be changed in an editor")
    new.add_argument("out", type=Path, help="where it goes, such as north-gate.json")
    add_flags(new)
    new.add_argument("--survey", type=Path, metavar="JSON", help="take place and mount from this survey")
    new.set_defaults(command=_new)
    check = commands.add_parser("check", help="say whether a unit would take a site file")
    check.add_argument("site_file", type=Path, help="the site file")
    check.set_defaults(command=_check)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a command takes that wants to know the site: a file, or the short way without one."""
    parser.add_argument("--site", type=Path, metavar="FILE", help="the site file (`kestrel-provision site new`)")
    add_flags(parser)
    parser.add_argument(
        "--far", action="store_true", help="the place is meant, though the fleet's other sites are far away"
    )


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the short way of saying where a unit hangs."""
    parser.add_argument("--name", help="what people call the site, such as 'North gate'")
    parser.add_argument("--latitude", type=float, help="degrees (WGS 84), north is positive")
    parser.add_argument("--longitude", type=float, help="degrees (WGS 84), east is positive")
    parser.add_argument("--bearing", type=float, help="where the lens points, degrees from north (default: 0)")


def plan(options: argparse.Namespace) -> "SitePlan | None":
    """Return what the options say of the site, None if nothing. Raises ConfigRejected."""
    flags = _flags(options)
    if options.site is None:
        return _of_flags(flags) if flags else None
    if flags:
        raise ConfigRejected(
            "--site and --name, --latitude, --longitude or --bearing were given; leave one of the two ways out"
        )
    from provisioning import site_files  # noqa: PLC0415

    return site_files.load(options.site)


def _flags(options: argparse.Namespace) -> dict[str, Any]:
    given = {
        "name": options.name,
        "latitude_deg": options.latitude,
        "longitude_deg": options.longitude,
        "bearing_deg": options.bearing,
    }
    return {key: value for key, value in given.items() if value is not None}


def _of_flags(flags: dict[str, Any]) -> "SitePlan":
    if not {"name", "latitude_deg", "longitude_deg"} <= set(flags):
        raise ConfigRejected("a site needs --name, --latitude and --longitude; give all three, or --site FILE")
    import msgspec  # noqa: PLC0415

    from provisioning import site_files  # noqa: PLC0415

    return site_files.decode(msgspec.json.encode({"site": flags}), "the options")


def _new(options: argparse.Namespace) -> None:
    flags = _flags(options)
    if (options.survey is None) == (not flags):
        raise ConfigRejected(
            "a site file needs either --name, --latitude and --longitude, or --survey; give one of the two"
        )
    from provisioning import durable_files, fleet_sites, site_files  # noqa: PLC0415

    made = _of_flags(flags) if options.survey is None else site_files.of_survey(options.survey)
    fleet_sites.refuse_place(made.site, [], is_far_meant=False)
    if options.out.exists():
        raise ConfigRejected(f"{options.out} is there already, and it stays as it is; choose another name")
    durable_files.write(options.out, site_files.encode(made, shown=site_files.SHOWN))
    sys.stdout.write(
        f"Site file {options.out} written. Change in it what differs at this site, then `kestrel-provision site check "
        f"{options.out}`; what each key means and may be is in README's table of a unit's configuration.\n"
    )


def _check(options: argparse.Namespace) -> None:
    from provisioning import site_files  # noqa: PLC0415

    made = site_files.load(options.site_file)
    site_files.check(made, str(options.site_file))
    sys.stdout.write(f"{options.site_file} is a site file that a unit takes.\n")
