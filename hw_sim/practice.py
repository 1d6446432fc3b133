"""A unit to practise on, made in a moment and gone when the lesson is over, with an office that answers it.

Fleet, unit, broker and receiver are the product's own; what is amiss with the way to the office is brought about there:
no broker, one of another fleet, no receiver.
"""

import datetime as dt
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from firmware import config, identity
from firmware.config import GuardConfig, MeterConfig, ModemConfig, PowerConfig
from hw_sim import demonstration
from hw_sim.amiss_parts import NOWHERE, Faults, PartFault
from hw_sim.broker import Broker
from hw_sim.part_processes import PartEnded, child
from provisioning import durable_files, fleet

MODEM_SUPPLY_PIN, TAMPER_PIN = 23, 24


@contextmanager
def practice_unit(faults: Faults, *, with_office: bool) -> Iterator[Path]:
    """Yield the folder of a unit with every part that a unit can have. `with_office`: somebody answers it.

    Raises BrokerAbsent where Mosquitto is not installed, and PartEnded for a receiver that does not start.
    """
    with tempfile.TemporaryDirectory(prefix="kestrel-practice-") as name, ExitStack() as office:
        places = demonstration.prepare(Path(name), demonstration.ROAD)
        path = places.unit / identity.CONFIG_NAME
        settings = config.load(path)
        uplink = settings.uplink
        if PartFault.BROKER_UNNAMED in faults:
            uplink = msgspec.structs.replace(uplink, host=NOWHERE)
        settings = msgspec.structs.replace(
            settings,
            uplink=uplink,
            modem=ModemConfig(power_pin=MODEM_SUPPLY_PIN),
            guard=GuardConfig(tamper_pin=TAMPER_PIN),
            power=PowerConfig(
                battery=MeterConfig(chip="ina226", address="0x40", shunt_mohm=2.0),
                panel=MeterConfig(chip="ina226", address="0x41", shunt_mohm=10.0),
            ),
        )
        durable_files.write(path, config.encode(settings))
        if with_office and PartFault.BROKER_AWAY not in faults:
            _open_office(office, places, faults)
        yield places.unit


def _open_office(office: ExitStack, places: demonstration.Places, faults: Faults) -> None:
    """Start broker and receiver, as far as nothing is amiss with them."""
    if PartFault.BROKER_FOREIGN in faults:
        port = config.load(places.unit / identity.CONFIG_NAME).uplink.port
        foreign = places.folder / "another-fleet"
        fleet.init(foreign, host="localhost", port=port, now=dt.datetime.now(dt.UTC))
        office.enter_context(Broker(foreign, places.folder))
        return
    office.enter_context(Broker(places.fleet, places.folder))
    if PartFault.RECEIVER_AWAY not in faults:
        command = [sys.executable, "-m", "cloud", "receive", "--folder", str(places.fleet)]
        receiver = office.enter_context(child(command, stdout=subprocess.PIPE))
        if receiver.stdout is None or not receiver.stdout.readline():
            raise PartEnded("the receiver did not start; its own sentence is above")
