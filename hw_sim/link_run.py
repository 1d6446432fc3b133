"""One run of a scenario over real sockets: the unit's real link, uplink and outbox, a real Mosquitto and receiver.

The unit is stepped by this thread, in real time. All files lie in a folder of the run's own and go with it.
"""

import contextlib
import datetime as dt
import math
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from cloud import fleet_folder
from cloud.receiver import Receiver, ReceiverSettings
from cloud.store import Outcome, ReadStore
from firmware import agency_keys, identity
from firmware.board.linux import LinuxClock, LinuxSystem
from firmware.board.mqtt_link import MqttLink
from firmware.board.pkcs11_token import key_store
from firmware.config import DeviceConfig, SiteConfig
from firmware.faults import FaultBook, KestrelError
from firmware.outgoing import open_outbox
from firmware.ports import Clock
from firmware.sealing import Sealer
from firmware.stage import Mailbox
from firmware.uplink import UplinkStage
from hw_sim.broker import Broker, free_port
from hw_sim.cell import Conditions, SocketCell
from hw_sim.invented_reads import NOWHERE
from hw_sim.link_reads import ReadSource, Verdict
from hw_sim.link_scenarios import Act, Phase, Scenario, backlog, phases
from hw_sim.watched_link import WatchedLink
from provisioning import fleet, unit

LOOK_EVERY_S: Final = 0.2
SAMPLE_EVERY_S: Final = 1.0
DRAIN_LIMIT_S: Final = 3600.0
"""A run that has not delivered all this long after its last event has failed, and says what is missing."""

NOTHING_WRONG: Final = Verdict(lost=0, duplicates=0, out_of_order=0)
RECEIVER_START_LIMIT_S: Final = 20.0
SITE: Final = SiteConfig(name=NOWHERE.name, latitude_deg=NOWHERE.latitude_deg, longitude_deg=NOWHERE.longitude_deg)


class LinkRunFailed(KestrelError):
    """A part of the run did not start, or ended in the middle. The message says which."""


class DatedClock:
    """The clock port of a unit that seals reads of days gone by. World face: `age_s`."""

    def __init__(self, clock: Clock) -> None:
        self.age_s = 0.0  # how long ago the unit thinks it is
        self._clock = clock

    def monotonic_s(self) -> float:
        """Return the real monotonic seconds."""
        return self._clock.monotonic_s()

    def utc_ms(self) -> int:
        """Return the wall clock, so long ago."""
        return self._clock.utc_ms() - round(self.age_s * 1000)

    def is_trusted(self) -> bool:
        """Say that it has been set: that a unit may not know the time is another test's matter."""
        return True

    def boot_id(self) -> bytes:
        """Return what names the present start of the machine."""
        return self._clock.boot_id()


@dataclass(slots=True, kw_only=True)
class Measured:
    """What one run came to. Seconds are real; curves are [seconds since the bearer came, reads that wait]."""

    verdict: Verdict = NOTHING_WRONG
    sent: int = 0
    acknowledged: int = 0
    max_in_flight: int = 0
    over_limit: int = 0
    publishes: int = 0
    sessions: int = 0
    repetitions: int = 0
    rejected: int = 0
    drain_s: float = 0.0
    bytes_up: int = 0
    bytes_down: int = 0
    latencies_s: list[float] = field(default_factory=list)  # of the last phase's reads, ascending
    alert_latencies_s: list[float] = field(default_factory=list)  # of the alerts while the backlog drains, ascending
    curve: list[tuple[float, int]] = field(default_factory=list)


class LinkUnit:
    """A unit without a camera: what it seals, its outbox, its uplink and its link, which is watched."""

    def __init__(self, folder: Path, settings: DeviceConfig, seed: int) -> None:
        keys = key_store(settings.token, folder)
        own = identity.load(folder, settings.device_id, keys)
        self.clock = DatedClock(LinuxClock())
        self.outbox = open_outbox(folder, settings.uplink, clock=self.clock, system=LinuxSystem())
        sealer = Sealer(settings.device_id, own.device_key, agency_keys.load(settings.seal))
        self.source = ReadSource(settings.device_id, sealer, self.outbox, self.clock, seed)
        self.link = WatchedLink(MqttLink(settings.uplink, own), self.clock.monotonic_s)
        self.uplink = UplinkStage(
            self.link,
            self.outbox,
            settings.uplink,
            device_id=settings.device_id,
            receipt_key=identity.receipt_public_key(settings.seal),
            commands=Mailbox(threading.Event(), 1),  # nobody commands here
            system=LinuxSystem(),
            faults=FaultBook(),
        )
        self._skipped_s = 0.0

    def step(self, wait_s: float) -> float:
        """Step the uplink, wait for its wake or `wait_s`; return for how long it has nothing to do unless woken."""
        self.uplink.wake.clear()
        now_s = self.clock.monotonic_s() + self._skipped_s
        idle_s = max(0.0, self.uplink.step(now_s) - now_s)
        return 0.0 if self.uplink.wake.wait(min(wait_s, idle_s)) else idle_s

    def skip(self, seconds: float) -> None:
        """Jump over so many seconds, as far as its uplink can tell."""
        self._skipped_s += seconds

    def try_in_vain(self, attempts: int) -> None:
        """Let it try to connect so often, without waiting for its back-off."""
        while self.link.attempts < attempts:
            self.skip(self.step(LOOK_EVERY_S))

    def close(self) -> None:
        """End the session and close the outbox."""
        self.uplink.close()
        self.outbox.close()


class _Run:
    """The course of a run: what the carrier does and what the unit captures, at their moments, and what is seen."""

    def __init__(
        self, device: LinkUnit, cell: SocketCell, stopping: threading.Event, told: Callable[[int, int], None]
    ) -> None:
        self._device, self._cell, self._stopping, self._told = device, cell, stopping, told
        self._sample_s = 0.0
        self._bearer_s: float | None = None
        self._last_phase: set[int] = set()  # tokens
        self.measured = Measured()

    def seal_backlog(self, reads: int, seed: int) -> None:
        """Seal what an outage leaves in the outbox, each read at its true time."""
        device = self._device
        for age_s, message_class in backlog(reads, seed):
            device.clock.age_s = age_s
            device.source.capture(message_class)
            self._look()
            if self._stopping.is_set():
                return
        device.clock.age_s = 0.0

    def live(self, phase: Phase) -> None:
        """Let a phase happen, until all that it holds is confirmed, DRAIN_LIMIT_S is over or somebody stops it."""
        begins_s = self._device.clock.monotonic_s()
        if self._bearer_s is None:
            self._bearer_s = begins_s
            self.measured.curve.append((0.0, self._device.outbox.count()))
        acts, captures = deque(phase.acts), deque(phase.captures)
        ends_s = phase.length_s() + DRAIN_LIMIT_S
        self._last_phase = set()
        drained_s: float | None = None
        while not self._stopping.is_set():
            now_s = self._device.clock.monotonic_s() - begins_s
            while acts and acts[0].at_s <= now_s:
                self._act(acts.popleft())
            while captures and captures[0].at_s <= now_s:
                self._last_phase.add(self._device.source.capture(captures.popleft().message_class))
            is_empty = self._device.outbox.count() == 0
            if is_empty and phase.acts and now_s >= phase.healed_s and drained_s is None:
                drained_s = now_s
            if (is_empty and (phase.is_drain or not (acts or captures))) or now_s > ends_s:
                break
            next_s = min(
                acts[0].at_s if acts else math.inf,
                captures[0].at_s if captures else math.inf,
            )
            self._device.step(max(0.0, min(next_s - now_s, LOOK_EVERY_S)))
            self._look()
        if phase.acts:  # of a phase that has no faults there is nothing to drain
            over_s = self._device.clock.monotonic_s() - begins_s
            self.measured.drain_s = (over_s if drained_s is None else drained_s) - phase.healed_s
        self._note_latencies(phase)

    def _note_latencies(self, phase: Phase) -> None:
        link, captured_s = self._device.link, self._device.source.captured_s()
        latencies_s = sorted(link.acked_s[one] - captured_s[one] for one in self._last_phase if one in link.acked_s)
        if phase.is_drain:
            self.measured.alert_latencies_s = latencies_s
        else:
            self.measured.latencies_s = latencies_s

    def _act(self, act: Act) -> None:
        if act.conditions is not None:
            self._cell.apply(act.conditions)
        if act.nat_reset is not None:
            self._cell.reset_nat(silent=act.nat_reset == "silent")

    def _look(self) -> None:
        """About once a second, note how many reads wait, and tell whoever watches."""
        now_s = self._device.clock.monotonic_s()
        if now_s < self._sample_s:
            return
        self._sample_s = now_s + SAMPLE_EVERY_S
        waiting = self._device.outbox.count()
        if self._bearer_s is not None:
            self.measured.curve.append((round(now_s - self._bearer_s, 1), waiting))
        self._told(len(self._device.source.sealed), len(self._device.source.sealed) - waiting)


def run(
    scenario: Scenario,
    cell: SocketCell,
    good: Conditions,
    *,
    reads: int,
    vain_attempts: int,
    seconds: float,
    seed: int,
    stopping: threading.Event,
    told: Callable[[int, int], None],
) -> Measured:
    """Run `scenario` in `cell`, which is open, and return what was measured.

    Of an outage, `reads` wait in the outbox when the bearer comes, and the unit has tried `vain_attempts` times to
    connect. `told` gets the reads sealed and confirmed so far, about once a second; `stopping` ends the run early.
    Raises LinkRunFailed, BrokerAbsent, SpaceRefused, ConfigRejected, StoreRefused and DeviceFault(STORAGE_REFUSED).
    """
    with tempfile.TemporaryDirectory(prefix="kestrel-link-") as name:
        folder, now = Path(name), dt.datetime.now(dt.UTC)
        made = fleet.init(folder / "fleet", host=cell.host, port=free_port(), now=now)
        settings = unit.enrol(folder / "fleet", folder / "unit", SITE, now)
        called = msgspec.structs.replace(settings.uplink, port=cell.begin(made.port))
        with contextlib.ExitStack() as parts:
            with cell.at_broker():
                parts.enter_context(Broker(folder / "fleet", folder, cell.broker_address))
                parts.enter_context(_receiving(folder / "fleet"))
            device = LinkUnit(folder / "unit", msgspec.structs.replace(settings, uplink=called), seed)
            parts.callback(device.close)
            course = _Run(device, cell, stopping, told)
            with cell.at_unit():
                if scenario is Scenario.OUTAGE_72H:
                    course.seal_backlog(reads, seed)
                    device.try_in_vain(vain_attempts)
                for phase in phases(scenario, good, seconds=seconds, seed=seed):
                    course.live(phase)
        # the receiver has ended: what it was given is in its store
        return _judged(course.measured, device, cell, folder / "fleet" / fleet_folder.STORE)


def _judged(measured: Measured, device: LinkUnit, cell: SocketCell, store_path: Path) -> Measured:
    with ReadStore(store_path) as store:
        counters = store.counters()
    link = device.link
    measured.verdict = device.source.verdict(store_path)
    measured.sent, measured.acknowledged = len(device.source.sealed), len(link.acked_s)
    measured.max_in_flight, measured.over_limit = link.max_in_flight, link.over_limit
    measured.publishes, measured.sessions = link.publishes, link.sessions
    measured.repetitions = counters.pop(Outcome.DUPLICATE, 0)
    measured.rejected = sum(counters.values())
    measured.bytes_up, measured.bytes_down = cell.counted()
    return measured


@contextlib.contextmanager
def _receiving(fleet_path: Path) -> Iterator[None]:
    """Run the receiver's own loop on a thread, from when it hears the broker to when it has sent its receipts.

    What it prints of the reads goes nowhere. Raises LinkRunFailed if it does not begin, or if it has ended before.
    """
    made = fleet_folder.load(fleet_path)
    settings = ReceiverSettings(
        folder=fleet_path, host=made.host, port=made.port, store_path=fleet_path / fleet_folder.STORE, count=None
    )
    stopping, failures = threading.Event(), list[KestrelError]()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        receiver = Receiver(settings, stopping, nowhere)

        def receive() -> None:
            try:
                receiver.run()
            except KestrelError as failure:
                failures.append(failure)

        thread = threading.Thread(target=receive, name="receiver")
        thread.start()
        try:
            if not receiver.is_receiving.wait(RECEIVER_START_LIMIT_S):
                raise LinkRunFailed("the receiver does not hear the broker; start the run again")
            yield
        finally:
            stopping.set()
            thread.join()
    if failures:
        raise LinkRunFailed(f"the receiver ended in the middle: {failures[0]}")
