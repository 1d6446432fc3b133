"""The options of `kestrel-provision accept` and `verify`; what they do is loaded when it is asked for."""

import argparse
import sys
from pathlib import Path

from provisioning.host import UNIT_FOLDER


def add_to(accept: argparse.ArgumentParser) -> None:
    """Add the options of `accept`."""
    accept.add_argument(
        "unit", type=Path, nargs="?", default=Path("/") / UNIT_FOLDER, help="the unit's folder (default: %(default)s)"
    )
    accept.add_argument("--by", required=True, metavar="NAME", help="who accepts the unit")
    accept.add_argument(
        "--rear-plates-only",
        choices=["yes", "no"],
        default="no",
        help="yes: you have seen that the camera shows the rears of vehicles, and no fronts and no faces",
    )
    accept.add_argument(
        "--photo",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a photo of the unit, JPEG or PNG; once for each, six at most; what it says of place and owner is removed",
    )
    accept.add_argument(
        "--despite", default="", metavar="REASON", help="why it is accepted although something is amiss"
    )
    accept.add_argument("--out", type=Path, metavar="DIR", help="write the record there too, to hand it on")
    accept.add_argument("--board", choices=["pi", "sim"], default="pi", help="sim: a simulated unit on this machine")
    accept.add_argument("--models", type=Path, help="folder of the networks (default: the product's own)")
    accept.add_argument(
        "--seconds", type=float, default=60.0, help="how long to wait for the receiver (default: %(default)g)"
    )
    accept.set_defaults(command=_accept)


def add_verify_to(verify: argparse.ArgumentParser) -> None:
    """Add the options of `verify`."""
    verify.add_argument("record", type=Path, help="the record, a file that ends in .json")
    verify.add_argument(
        "--page", type=Path, metavar="PDF", help="its page (default: the PDF of the same name beside it)"
    )
    whose = verify.add_mutually_exclusive_group()
    whose.add_argument("--fleet", type=Path, metavar="FLEET", help="the fleet's folder, which knows its units' keys")
    whose.add_argument("--unit-certificate", type=Path, metavar="CRT", help="the certificate of the unit that signed")
    verify.set_defaults(command=_verify)


def _accept(options: argparse.Namespace) -> None:
    sys.stdout.write("Reading what was surveyed, checked and aimed.\n")
    sys.stdout.flush()  # what is loaded now takes a second or two
    from provisioning import accept_session  # noqa: PLC0415

    accept_session.run(options)


def _verify(options: argparse.Namespace) -> None:
    from provisioning import verify_session  # noqa: PLC0415

    verify_session.run(options)
