"""The lid of a simulated unit is lifted: with 200 MB of reads waiting, all is gone within a second."""

import os
import sqlite3
import threading

import cv2
import msgspec
import numpy as np
import pytest
from loopback_fleet import CLOCK, NOW, SITE

from firmware import app, config, erasure, identity
from firmware.config import GuardConfig
from firmware.faults import Retired
from hw_sim.board import open_unit
from hw_sim.broker import Broker
from hw_sim.surroundings import World
from provisioning import durable_files, unit

OUTBOX_MB = 200
READ_BYTES = 65_000
ERASED_WITHIN_S = 1.0
LIMIT_S = 60


class NobodyReads:
    """A recogniser that sees no plate."""

    version = "none"

    def read(self, image, *, frame_number, at_s):
        return []


def fill(outbox_path):
    """Write so many sealed reads, as one transaction: putting them one by one would take minutes."""
    with sqlite3.connect(outbox_path) as outbox:
        first = outbox.execute("SELECT reserved_below FROM numbering").fetchone()[0]
        outbox.execute("UPDATE numbering SET reserved_below = reserved_below + 10000")
        outbox.executemany(
            "INSERT INTO messages (sequence, class, wire) VALUES (?, 1, ?)",
            ((first + number, os.urandom(READ_BYTES)) for number in range(OUTBOX_MB * 1_000_000 // READ_BYTES)),
        )
    outbox.close()


@pytest.fixture
def folder(fleet_path, tmp_path):
    folder = tmp_path / "unit"
    made = unit.enrol(fleet_path, folder, SITE, NOW)
    settings = msgspec.structs.replace(made, guard=GuardConfig(tamper_pin=5))
    durable_files.write(folder / identity.CONFIG_NAME, config.encode(settings))
    return folder


@pytest.fixture
def wall(tmp_path):
    """A folder with the picture of a grey wall: a road would have to be drawn, which takes this machine's time."""
    (tmp_path / "wall").mkdir()
    assert cv2.imwrite(str(tmp_path / "wall" / "wall.png"), np.full((240, 320, 3), 128, dtype=np.uint8))
    return tmp_path / "wall"


def lift_lid_of(folder, simulated, machine):
    """Run the unit and lift its lid; return the seconds until its key and its reads were gone, and how it ended."""
    seconds = []

    def somebody():
        assert simulated.lid is not None
        while not any(thread.name == "guard" for thread in threading.enumerate()):
            machine.is_erased.wait(0.05)
        machine.is_erased.wait(1.0)  # it runs for a while, with its lid shut
        assert (folder / identity.KEY_NAME).exists()
        begun_s = CLOCK.monotonic_s()
        simulated.lid.open()
        assert machine.is_erased.wait(LIMIT_S)
        seconds.append(CLOCK.monotonic_s() - begun_s)
        seconds.append(sorted(path.name for path in folder.iterdir()))

    hand = threading.Thread(target=somebody, name="hand")
    hand.start()
    with pytest.raises(Retired, match="tamper contact"), app.stop_requests() as request, erasure.unless_retired(folder):
        app.run(simulated.board, machine, request)
    hand.join(LIMIT_S)
    return seconds


@pytest.mark.parametrize("is_online", [False, True])
def test_a_lid_that_is_lifted_erases_200_mb_of_reads_within_a_second(is_online, fleet_path, folder, wall, tmp_path):
    settings = config.load(folder / identity.CONFIG_NAME)
    simulated = open_unit(settings, folder, World(source=wall))
    machine = app.build(simulated.board, settings, folder, NobodyReads())
    fill(folder / identity.OUTBOX_NAME)
    assert machine.outbox.count() > 3000
    assert sum(path.stat().st_size for path in folder.iterdir()) > OUTBOX_MB * 1_000_000
    broker = Broker(fleet_path, tmp_path)
    try:
        if is_online:
            broker.start()
        erased_s, left = lift_lid_of(folder, simulated, machine)
    finally:
        broker.stop()
    print(f"erased in {erased_s:.3f} s")
    assert erased_s < ERASED_WITHIN_S
    assert left == [erasure.MARK_NAME]
    assert [path.name for path in folder.iterdir()] == [erasure.MARK_NAME]
