"""The office on this machine: the broker and the receiver of a fleet on loopback, until Ctrl-C.

Who provisions a unit here for practice, or a test of it, has somebody to talk to: the same Mosquitto configuration and
the same receiver as on the road. The fleet is made with `fleet init FLEET --host localhost --port P`.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from cloud import fleet_folder
from firmware.board.log_output import LogFormat
from firmware.command_line import EXIT_STOPPED
from firmware.faults import ConfigRejected
from hw_sim import demonstration
from hw_sim.broker import Broker
from hw_sim.part_processes import PartEnded
from hw_sim.practice_office import HERE
from provisioning import durable_files

FOLDER: Final = "office"
LOOK_EVERY_S: Final = 0.2


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("office", help="broker and receiver of a fleet on this machine, until Ctrl-C")
    parser.add_argument("fleet", type=Path, help="the fleet's folder, made with --host localhost")
    parser.set_defaults(command=_office, log_level="warning", log_format=LogFormat.TEXT)


def _office(options: argparse.Namespace) -> int:
    run(options.fleet)
    return EXIT_STOPPED


def run(fleet_path: Path) -> None:
    """Serve the fleet until somebody stops it; the broker's log and state lie in `office` in its folder.

    Raises ConfigRejected (no fleet, or one of another machine), BrokerAbsent, and PartEnded if the receiver ends.
    """
    made = fleet_folder.load(fleet_path)
    if made.host not in HERE:
        raise ConfigRejected(
            f"{fleet_path}: the broker of this fleet is {made.host}, and the office is this machine; make a fleet to "
            "practise with: `kestrel-provision fleet init FLEET --host localhost --port 28883`"
        )
    folder = fleet_path / FOLDER
    durable_files.make_folder(folder)
    with demonstration.stop_requests() as stopping, ExitStack() as parts:
        parts.enter_context(Broker(fleet_path, folder))
        receiver = parts.enter_context(demonstration.receiving(fleet_path, folder))
        while not stopping.wait(LOOK_EVERY_S):
            if receiver.poll() is not None:
                raise PartEnded("the receiver ended; its own sentence is above")
