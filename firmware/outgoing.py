"""The way out: from what is sealed over outbox and link to the broker, and back with receipts and commands.

The service builds it as a part of the whole machine, the technician's tool alone, to send one document; so both seal,
number, send and spend alike, and a command to erase reaches the unit whichever of them hears it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware import agency_keys, identity
from firmware.budget import BYTES_PER_MB
from firmware.config import DeviceConfig, UplinkConfig
from firmware.faults import FaultBook
from firmware.guard import GuardStage
from firmware.identity import Identity
from firmware.outbox import Outbox
from firmware.ports import Board, Clock, System
from firmware.sealing import Sealer
from firmware.spending import SpendingStage
from firmware.uplink import UplinkStage
from firmware.vehicle_folder import VehicleFolder
from firmware.vehicles import VehicleStage

SECONDS_PER_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What seals and sends. The stages have no thread yet."""

    unit: Identity
    sealer: Sealer
    outbox: Outbox
    spending: SpendingStage
    vehicles: VehicleStage  # the technician's tool lets it rest: what it is asked for is asked for again
    guard: GuardStage
    uplink: UplinkStage


def open_outbox(folder: Path, config: UplinkConfig, *, clock: Clock, system: System) -> Outbox:
    """Return the outbox of the unit in `folder`, as large and as lasting as it is configured.

    Raises DeviceFault(STORAGE_REFUSED).
    """
    return Outbox(
        folder / identity.OUTBOX_NAME,
        capacity_bytes=config.outbox_mb * BYTES_PER_MB,
        retention_s=config.retention_days * SECONDS_PER_DAY,
        clock=clock,
        system=system,
    )


def build(board: Board, config: DeviceConfig, folder: Path, faults: FaultBook) -> Outgoing:
    """Return the way out of the unit in `folder`.

    Raises ConfigRejected (keys and certificates) and DeviceFault (STORAGE_REFUSED), each with a hint.
    """
    unit = identity.load(folder, config.device_id, board.keys)
    sealer = Sealer(config.device_id, unit.device_key, agency_keys.load(config.seal))
    outbox = open_outbox(folder, config.uplink, clock=board.clock, system=board.system)
    account = folder / identity.ACCOUNT_NAME
    guard = GuardStage(
        folder,
        board.tamper,
        board.link,
        device_id=config.device_id,
        device_key=unit.device_key,
        keys=board.keys,
        retirement_key=identity.retirement_public_key(config.seal),
        clock=board.clock,
        faults=faults,
    )
    spending = SpendingStage(board.meter, outbox, config.budget, account, clock=board.clock, faults=faults)
    vehicles = VehicleStage(
        VehicleFolder(
            folder / identity.VEHICLES_FOLDER, config.pictures, config.device_id, unit.device_key.public_key()
        ),
        sealer,
        outbox,
        has_room=spending.has_room,
        clock=board.clock,
        system=board.system,
        faults=faults,
    )
    return Outgoing(
        unit=unit,
        sealer=sealer,
        outbox=outbox,
        spending=spending,
        vehicles=vehicles,
        guard=guard,
        uplink=UplinkStage(
            board.link,
            outbox,
            config.uplink,
            device_id=config.device_id,
            receipt_key=identity.receipt_public_key(config.seal),
            commands=guard.commands,
            system=board.system,
            faults=faults,
            requests=vehicles.requests,
        ),
    )
