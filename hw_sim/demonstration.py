"""The whole system in one terminal: a fleet, a broker, a receiver and a camera before a simulated world.

Every part is the product's own and runs as it does in the field: files made by provisioning, a real Mosquitto, the
receiver and the device as processes of their own. This file starts them in order, waits, and stops them in order.
"""

import datetime as dt
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from cloud import fleet_folder
from cloud.read_rows import StoredRead
from cloud.store import Outcome, ReadStore
from firmware import config, identity
from firmware.board.linux import LinuxClock, LinuxSystem
from firmware.board.mqtt_link import MqttLink
from firmware.board.pkcs11_token import key_store
from firmware.config import DeviceConfig, SiteConfig
from firmware.faults import FaultBook
from firmware.outbox import Outbox
from firmware.outgoing import open_outbox
from firmware.stage import Mailbox
from firmware.uplink import UplinkStage
from hw_sim.broker import Broker, free_port
from hw_sim.part_processes import PartEnded, child, stop
from hw_sim.replay import open_scene
from hw_sim.surroundings import World
from provisioning import durable_files, fleet, unit

ROAD: Final = SiteConfig(name="Simulated road", latitude_deg=37.0, longitude_deg=-122.0)
PICTURES: Final = SiteConfig(name="Replayed pictures", latitude_deg=37.0, longitude_deg=-122.0)
RUNS_FOLDER: Final = Path("build/run")

LOOK_EVERY_S: Final = 0.2
DEVICE_STOP_LIMIT_S: Final = 60.0
RECEIVER_STOP_LIMIT_S: Final = 20.0
DELIVERY_LIMIT_S: Final = 10.0
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where one demonstration keeps its files."""

    folder: Path
    fleet: Path
    unit: Path

    @property
    def view(self) -> Path:
        """Return where the page is that shows what the unit sees."""
        return self.folder / "view"

    @property
    def store(self) -> Path:
        """Return where the receiver keeps the reads."""
        return self.fleet / fleet_folder.STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What unit and receiver have counted at one moment."""

    sealed: int
    waiting: int
    received: int
    duplicates: int
    rejected: int


def run(world: World, folder: Path | None, *, with_view: bool, log_options: list[str]) -> int:
    """Show the whole system until the source ends or somebody stops it; return the exit code.

    `log_options` go to the device as they are.
    Raises ConfigRejected, BrokerAbsent, PartEnded and StoreRefused, each with one clear sentence.
    """
    if world.source is not None:
        open_scene(world.source, hold_s=1.0, gap_s=1.0).close()  # a wrong name is said before anything is started
    folder = folder or RUNS_FOLDER / f"{dt.datetime.now():%Y-%m-%d_%H-%M-%S}"  # noqa: DTZ005  for people
    places = prepare(folder, ROAD if world.source is None else PICTURES)
    before = tally(places)
    begun_utc_ms = time.time_ns() // 1_000_000
    if with_view:
        sys.stdout.write(f"Open {places.view / 'index.html'} in a browser to watch\n")
    with stop_requests() as stopping, ExitStack() as parts:
        parts.enter_context(Broker(places.fleet, places.folder))
        receiver = parts.enter_context(receiving(places.fleet, places.folder))
        code = _run_device([*_device_command(places, world, with_view=with_view), *log_options], receiver, stopping)
        _deliver_rest(places)
    after = tally(places)
    if code and after == before:
        return code  # the device has said why it did not even begin
    with ReadStore(places.store) as store:
        arrived = [
            read for read in store.reads(after.received - before.received) if read.received_utc_ms >= begun_utc_ms
        ]
    truth = _texts(world, arrived) if world.source is None else []
    sys.stdout.write(summary(before, after, arrived, truth, places.folder))
    return code


def prepare(folder: Path, site: SiteConfig) -> Places:
    """Return the fleet and the unit at `site` in `folder`, made if they are not there. Raises ConfigRejected."""
    places = Places(folder=folder, fleet=folder / "fleet", unit=folder / "unit")
    now = dt.datetime.now(dt.UTC)
    durable_files.make_folder(folder)
    if not (places.fleet / fleet_folder.FLEET_NAME).exists():
        fleet.init(places.fleet, host="localhost", port=free_port(), now=now)
    if not (places.unit / identity.CONFIG_NAME).exists():
        unit.enrol(places.fleet, places.unit, site, now)
    return places


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C, SIGTERM and the end of the terminal set."""
    stopping = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in STOP_SIGNALS}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def receiving(fleet_path: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the fleet's receiver, its lines on the terminal, from when it hears the broker until its receipts are sent.

    `folder` is where all files are. Raises PartEnded if it ends before it hears.
    """
    command = [sys.executable, "-m", "cloud", "receive", "--folder", str(fleet_path)]
    with child(command, stdout=subprocess.PIPE) as receiver:
        if receiver.stdout is None:
            raise PartEnded("the receiver has no output")
        first_line = receiver.stdout.readline()
        if not first_line:
            raise PartEnded("the receiver did not start; its own sentence is above")
        sys.stdout.write(first_line.replace("Ctrl-C ends it", f"Ctrl-C ends it; all files are in {folder}"))
        sys.stdout.flush()
        forwarding = threading.Thread(target=_forward, args=(receiver.stdout,), name="receiver-lines")
        forwarding.start()
        try:
            yield receiver
        finally:
            stop(receiver, RECEIVER_STOP_LIMIT_S)
            forwarding.join()


def tally(places: Places) -> Tally:
    """Return what unit and receiver have counted so far. Neither may be running."""
    with _outbox(places, config.load(places.unit / identity.CONFIG_NAME)) as outbox, ReadStore(places.store) as store:
        counters = store.counters()
        duplicates = counters.pop(Outcome.DUPLICATE, 0)
        counters.pop(Outcome.SEQUENCE_REUSED, None)  # an alarm, but stored
        return Tally(
            sealed=outbox.reserved(),
            waiting=outbox.count(),
            received=store.count(),
            duplicates=duplicates,
            rejected=sum(counters.values()),
        )


def summary(before: Tally, after: Tally, arrived: list[StoredRead], truth: list[str], folder: Path) -> str:
    """Return what happened between two tallies, for people. `truth` holds the plates that passed, if that is known."""
    sealed = after.sealed - before.sealed
    latencies_s = [max(0, read.received_utc_ms - read.last_utc_ms) / 1000 for read in arrived]
    rows = {
        "reads sealed by the unit": f"{sealed}",
        "received": f"{len(arrived)} ({after.duplicates - before.duplicates} duplicates, "
        f"{after.rejected - before.rejected} rejected)",
        "confirmed by receipt": f"{before.waiting + sealed - after.waiting} ({after.waiting} still wait in the outbox)",
        "median latency": f"{statistics.median(latencies_s):.1f} s" if latencies_s else "no reads",
    }
    if truth:
        rows["read right"] = f"{len(right(truth, arrived))} of {len(truth)}"
    rows["files"] = str(folder)
    return "\nSummary\n" + "".join(f"  {name:<26}{value}\n" for name, value in rows.items())


def right(truth: list[str], arrived: list[StoredRead]) -> list[int]:
    """Return which of the plates that passed were read right, as positions in `truth`; each read counts once."""
    texts = [read.plate for read in arrived]
    positions = []
    for position, text in enumerate(truth):
        if text in texts:
            texts.remove(text)
            positions.append(position)
    return positions


def _texts(world: World, arrived: list[StoredRead]) -> list[str]:
    """Return the plates that passed: all of a counted run; of an endless one those up to the last that was read."""
    if world.passes is not None:
        return [vehicle.text for vehicle in world.road(world.passes).vehicles if vehicle.text]
    likely = [vehicle.text for vehicle in world.road(2 * len(arrived) + 10).vehicles if vehicle.text]
    positions = right(likely, arrived)
    return likely[: positions[-1] + 1] if positions else []


def _device_command(places: Places, world: World, *, with_view: bool) -> list[str]:
    command = [sys.executable, "-m", "hw_sim", "device", "--folder", str(places.unit)]
    command += world.options()
    return [*command, "--view", str(places.view)] if with_view else command


def _run_device(command: list[str], receiver: subprocess.Popen[str], stopping: threading.Event) -> int:
    """Run the device until it ends or is to stop; return its exit code. Raises PartEnded if the receiver ends first."""
    with child(command, stdout=None) as device:
        while device.poll() is None and receiver.poll() is None and not stopping.wait(LOOK_EVERY_S):
            pass
        stop(device, DEVICE_STOP_LIMIT_S)
        if receiver.poll() is not None:
            raise PartEnded("the receiver ended before the device; its own sentence is above")
        was_asked_early = stopping.is_set() and device.returncode == -signal.SIGTERM  # before it listened to signals
        return 0 if was_asked_early else device.returncode


def _deliver_rest(places: Places) -> None:
    """Send what the unit sealed in its last moment and wait for the receipts: only then the summary is the truth."""
    settings = config.load(places.unit / identity.CONFIG_NAME)
    clock, deadline_s = LinuxClock(), time.monotonic() + DELIVERY_LIMIT_S
    with _outbox(places, settings) as outbox:
        uplink = UplinkStage(
            MqttLink(
                settings.uplink,
                identity.load(places.unit, settings.device_id, key_store(settings.token, places.unit)),
            ),
            outbox,
            settings.uplink,
            device_id=settings.device_id,
            receipt_key=identity.receipt_public_key(settings.seal),
            commands=Mailbox(threading.Event(), 1),  # what is left to do is delivering
            system=LinuxSystem(),
            faults=FaultBook(),
        )
        while outbox.count() and time.monotonic() < deadline_s:
            uplink.wake.clear()
            uplink.step(clock.monotonic_s())
            uplink.wake.wait(LOOK_EVERY_S)
        uplink.close()


@contextmanager
def _outbox(places: Places, settings: DeviceConfig) -> Iterator[Outbox]:
    outbox = open_outbox(places.unit, settings.uplink, clock=LinuxClock(), system=LinuxSystem())
    try:
        yield outbox
    finally:
        outbox.close()


def _forward(lines: IO[str]) -> None:
    for line in lines:
        sys.stdout.write(line)
        sys.stdout.flush()
