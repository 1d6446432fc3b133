"""The options of `kestrel-provision fleet root`, where the passphrases come from, and what each command says.

Loads the ceremony, and with it the libraries of The Update Framework, only when one of its commands runs.
"""

import argparse
import getpass
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware.faults import ConfigRejected
from provisioning import speaking

if TYPE_CHECKING:
    from provisioning.root_ceremony import Progress


def add_to(commands: Any) -> None:
    """Add `root` to the commands of `fleet`."""
    parser = commands.add_parser("root", help="the keys that vouch for updates: made, signed with, renewed")
    steps = parser.add_subparsers(title="command", required=True, metavar="begin|sign|rotate|refresh")
    begin = steps.add_parser("begin", help="with all holders here: make their keys and the first root; may go on")
    begin.add_argument("folder", type=Path, help="the fleet's folder")
    add_options(begin)
    begin.set_defaults(command=_begin)
    sign = steps.add_parser("sign", help="add one holder's signature to the root that waits")
    sign.add_argument("folder", type=Path, help="the fleet's folder")
    sign.add_argument("key", type=Path, help="the holder's key file, root-N.p12")
    sign.set_defaults(command=_sign)
    rotate = steps.add_parser("rotate", help="make the next root, for another year or with another holder")
    rotate.add_argument("folder", type=Path, help="the fleet's folder")
    rotate.add_argument("--leaves", metavar="NAME", help="the holder whose key shall count no more")
    rotate.add_argument("--joins", metavar="NAME", help="who gets a key in that place")
    rotate.add_argument(
        "--new-online-keys", action="store_true", help="new keys of targets, snapshot and timestamp too"
    )
    rotate.set_defaults(command=_rotate)
    for command in (sign, rotate):
        _add_passphrases(command)
    refresh = steps.add_parser("refresh", help="sign what is there to be had anew, before it runs out; no passphrase")
    refresh.add_argument("folder", type=Path, help="the fleet's folder")
    refresh.set_defaults(command=_refresh)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add who holds the root keys, and where their passphrases come from."""
    parser.add_argument(
        "--root-holders", type=_names, metavar="A,B,C", help="names of those who get a root key, separated by commas"
    )
    parser.add_argument("--root-keys", type=int, metavar="N", help="how many that must be (default: as many as named)")
    parser.add_argument(
        "--root-threshold", type=int, metavar="M", help="how many of them must sign a root (default: 2 of 3)"
    )
    _add_passphrases(parser)


def hold(fleet_path: Path, options: argparse.Namespace) -> None:
    """Make the root keys of those whom the options name, and say which file goes to whom.

    Raises ConfigRejected and OSError.
    """
    sys.stdout.write("Making the root keys ...\n")
    sys.stdout.flush()
    from provisioning import root_ceremony  # noqa: PLC0415  slow to load
    from provisioning.certificates import present  # noqa: PLC0415

    names = options.root_holders or ()
    if names and options.root_keys not in {None, len(names)}:
        raise ConfigRejected(
            f"--root-holders names {len(names)} people and --root-keys says {options.root_keys}; give as "
            "many names as keys"
        )
    progress = root_ceremony.begin(fleet_path, names, options.root_threshold, present(), _passphrases(options))
    _tell(fleet_path, progress)


def asked_names() -> tuple[str, ...]:
    """Ask at the terminal who holds the root keys; nobody, if that is left for later."""
    sys.stdout.write("Who shall vouch for updates? Three people who are here now, each with a stick to take away.\n")
    try:
        return _names(input("Their names, separated by commas (nothing: later): "))
    except (EOFError, KeyboardInterrupt):
        return ()


def _begin(options: argparse.Namespace) -> None:
    hold(options.folder, options)


def _sign(options: argparse.Namespace) -> None:
    speaking.begin("Looking at the root that waits ...")
    from provisioning import root_ceremony  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    waiting = root_ceremony.waiting_root(options.folder, present())
    if waiting is not None:
        sys.stdout.write(
            f"Root {waiting.version}, good until {waiting.expires:%Y-%m-%d}; signed by "
            f"{_listed(waiting.signed)} so far; {_listed(waiting.may_sign)} may sign.\n"
        )
        sys.stdout.flush()
    _tell(options.folder, root_ceremony.sign(options.folder, options.key, present(), _passphrases(options)))


def _rotate(options: argparse.Namespace) -> None:
    speaking.begin("Making the next root ...")
    from provisioning import root_ceremony  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    progress = root_ceremony.rotate(
        options.folder,
        present(),
        _passphrases(options),
        leaver=options.leaves,
        newcomer=options.joins,
        online=options.new_online_keys,
    )
    _tell(options.folder, progress)


def _refresh(options: argparse.Namespace) -> None:
    speaking.begin("Signing anew what units are shown ...")
    from cloud import fleet_folder  # noqa: PLC0415
    from provisioning import root_ceremony  # noqa: PLC0415
    from provisioning.certificates import present  # noqa: PLC0415

    until = root_ceremony.refresh(options.folder, present())
    sys.stdout.write(
        f"Signed anew, good until {until:%Y-%m-%d}: copy {options.folder / fleet_folder.UPDATE_FOLDER / 'metadata'} to "
        "the web server that units ask for updates.\n"
    )


def _tell(fleet_path: Path, progress: "Progress") -> None:
    from cloud import fleet_folder  # noqa: PLC0415

    if progress.is_in_use:
        sys.stdout.write(
            f"Root {progress.version} is in use until {progress.expires:%Y-%m-%d}, signed by "
            f"{_listed(progress.signed)}; units begin with {fleet_path / fleet_folder.UPDATE_ROOT}.\n"
        )
    else:
        sys.stdout.write(
            f"Root {progress.version} waits for {progress.missing} more of {_listed(progress.may_sign)}; each signs "
            f"with `kestrel-provision fleet root sign {fleet_path} KEY-FILE`.\n"
        )
    for holder, path in progress.files:
        sys.stdout.write(f"{path} is for {holder} alone: move it to a stick that {holder} takes away.\n")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "nobody"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


def _add_passphrases(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="for scripts: the first line of FILE, once for each key in the order of the holders (default: asked here)",
    )


def _passphrases(options: argparse.Namespace) -> "_FromFiles | _FromTerminal":
    return _FromFiles(options.passphrase_file) if options.passphrase_file else _FromTerminal()


class _FromFiles:
    """Passphrases for scripts, one file for each time that one is needed."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths: Iterator[Path] = iter(paths)

    def known(self, holder: str) -> str:
        path = next(self._paths, None)
        if path is None:
            raise ConfigRejected(f"there is no --passphrase-file for {holder}; give one for each key, in their order")
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            what = getattr(error, "strerror", None) or "not text"
            raise ConfigRejected(f"{path}: the passphrase cannot be read ({what}); bring the holder's file") from error
        return lines[0] if lines else ""

    chosen = known


class _FromTerminal:
    """Passphrases that their holders type where nobody sees them."""

    def known(self, holder: str) -> str:
        return _typed(f"Passphrase of {holder}: ")

    def chosen(self, holder: str) -> str:
        from provisioning import root_keys  # noqa: PLC0415

        while True:
            first = _typed(f"New passphrase for the key of {holder}, {root_keys.PASSPHRASE_CHARACTERS_MIN} or more: ")
            try:
                root_keys.check_passphrase(first)
            except ConfigRejected as refused:
                sys.stderr.write(f"{refused}\n")
                continue
            if _typed("The same once more: ") == first:
                return first
            sys.stderr.write("These two passphrases were not the same; type both again.\n")


def _typed(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigRejected("a passphrase is asked for at a terminal; come to one, or give --passphrase-file")
    try:
        return getpass.getpass(prompt)
    except (EOFError, KeyboardInterrupt):
        raise ConfigRejected("no passphrase was given; do this again, it goes on where it was") from None
