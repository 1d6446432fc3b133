"""The whole machine as one table: which stages run, how they are watched, and how they stop.

Every board runs through this very file. Stages start, are watched and stop in the order in which data flows, so that
nothing upstream produces while something downstream has already gone.
"""

import contextlib
import logging
import select
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from firmware import outgoing
from firmware.capture import CaptureStage
from firmware.clock_watch import ClockStage
from firmware.command_line import EXIT_FAULT, EXIT_STOPPED
from firmware.config import DeviceConfig
from firmware.expiry import ExpiryStage
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.health import Counts, HealthStage, Sources
from firmware.log_lines import Phrase, described
from firmware.outbox import Outbox
from firmware.outgoing import Outgoing
from firmware.ports import Board
from firmware.power import PowerStage
from firmware.reading import ReadingStage, Recogniser
from firmware.records import PowerSample
from firmware.recovery import RecoveryStage
from firmware.stage import Latest, Stage, StageThread
from firmware.uplink import UplinkStage

WATCH_EVERY_S = 1.0
"""How often heartbeats are compared; systemd's WatchdogSec is 15 s at most, the limit of the Pi's hardware watchdog."""

HEARTBEAT_LIMIT_S = 10.0
"""A stage that does not come back for so long is stuck: the slowest step, one large frame on a Pi 4, takes a second."""

LIFELESS_LIMIT_S = 30.0
"""Without systemd's watchdog, which strikes earlier, a service that is stuck ends itself after this time."""

STOP_LIMIT_S = 15.0
"""How long one stage may take to stop: reading finishes the frames that wait, uplink says goodbye to the broker."""

MODELS_FOLDER = Path(__file__).resolve().parent.parent / "models"
"""Where an installation has the networks: beside the packages."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What `build` made. `stages` is the table, in data order, which is the order of starting and of stopping."""

    stages: tuple[Stage, ...]
    capture: CaptureStage
    reading: ReadingStage
    uplink: UplinkStage
    outbox: Outbox
    faults: FaultBook
    is_erased: threading.Event = field(default_factory=threading.Event)  # set when the unit has been retired


def build(board: Board, config: DeviceConfig, folder: Path, recogniser: Recogniser) -> Machine:
    """Return the machine of the unit in `folder`, which reads plates with `recogniser`.

    Raises ConfigRejected (keys and certificates) and DeviceFault (STORAGE_REFUSED), each with a hint.
    """
    faults = FaultBook()
    way_out = outgoing.build(board, config, folder, faults)
    outbox, spending, uplink = way_out.outbox, way_out.spending, way_out.uplink
    reading = ReadingStage(
        recogniser,
        way_out.sealer,
        outbox,
        clock=board.clock,
        system=board.system,
        config=config,
        faults=faults,
        picture=spending.picture,
        vehicles=way_out.vehicles.taken if config.pictures.vehicle_hours else None,
    )
    capture = CaptureStage(
        board.camera, board.triggers, reading.frames, config.capture, faults, lamp=board.lamp, system=board.system
    )
    recovery = _recovery(board, folder, uplink, outbox, faults)
    power = PowerStage(board.power, faults=faults)
    sources = _sources(recogniser, reading, way_out, recovery, power=power.sample)
    health = HealthStage(way_out.sealer, outbox, config, sources, clock=board.clock, system=board.system, faults=faults)
    LOG.info("the unit's key lies in a %s", Phrase("file" if config.token is None else "token"))
    expiry = ExpiryStage(way_out.unit.not_after_utc_ms, board.clock, faults)
    clock_watch = ClockStage(board.clock, faults)
    return Machine(
        stages=(
            capture,
            reading,
            way_out.vehicles,
            spending,
            power,
            health,
            uplink,
            *recovery,
            way_out.guard,
            expiry,
            clock_watch,
        ),
        capture=capture,
        reading=reading,
        uplink=uplink,
        outbox=outbox,
        faults=faults,
        is_erased=way_out.guard.is_over,
    )


def _sources(
    recogniser: Recogniser,
    reading: ReadingStage,
    way_out: Outgoing,
    recovery: Sequence[RecoveryStage],
    *,
    power: Latest[PowerSample | None],
) -> Sources:
    """Return where the health report comes from."""
    spending, uplink = way_out.spending, way_out.uplink

    def counts() -> Counts:
        return Counts(
            frames_read=reading.frames_read,
            frames_given_up=reading.frames.dropped + reading.frames_rejected,
            reads_sealed=reading.reads_sealed,
            reads_lost=reading.reads_lost,
        )

    def causes() -> dict[str, int]:
        # copies at once: other stages count on
        came_to_nothing = dict(uplink.causes)
        rungs = {f"ladder-{rung}": number for stage in recovery for rung, number in dict(stage.rungs).items()}
        return (
            {str(cause): number for cause, number in came_to_nothing.items()}
            | rungs
            | {"receipt-rejected": uplink.rejected_receipts}
            | way_out.vehicles.troubles()
        )

    return Sources(
        model_version=recogniser.version,
        counts=counts,
        causes=causes,
        spent=spending.spent,
        power=power,
        modem=lambda: next((stage.status for stage in recovery), None),
        factor=spending.health_factor,
    )


def _recovery(
    board: Board, folder: Path, uplink: UplinkStage, outbox: Outbox, faults: FaultBook
) -> tuple[RecoveryStage, ...]:
    """Return the stage that keeps the modem going, or none for a unit without a modem."""
    if board.modem is None:
        return ()
    stage = RecoveryStage(
        board.modem,
        board.modem_rail,
        folder,
        acked_at_s=lambda: uplink.acked_at_s,
        has_something_to_say=outbox.awaits_broker,
        on_mended=uplink.connect_now,
        clock=board.clock,
        system=board.system,
        faults=faults,
    )
    return (stage,)


class StopRequest:
    """Whether SIGTERM or SIGINT has come. Made by `stop_requests`."""

    def __init__(self, bell: socket.socket) -> None:
        self._bell = bell

    def wait(self, timeout_s: float) -> bool:
        """Wait for a request, `timeout_s` at most; return whether there was one, then and ever after."""
        return bool(select.select([self._bell], [], [], timeout_s)[0])


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Take SIGTERM and SIGINT as requests to stop, from the first line of the service to its last.

    The signal only writes a byte that the main thread waits for. A handler that did more could interrupt the main
    thread within a lock; a blocked signal would kill us through threads that libraries started before.
    """
    bell, push = socket.socketpair()
    with bell, push:
        push.setblocking(False)  # noqa: FBT003  the socket module's own signature
        descriptor_before = signal.set_wakeup_fd(push.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, _note_nothing) for number in STOP_SIGNALS}
        try:
            yield StopRequest(bell)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(descriptor_before)


def _note_nothing(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal whose byte has already been written."""


def run(board: Board, machine: Machine, request: StopRequest) -> int:
    """Run `machine` until it is asked to stop, is erased or a bug ends it; return the exit code.

    Who calls this does so within `erasure.unless_retired`, which has the last word on a unit that was erased.
    """
    bugs: list[str] = []

    def on_bug(name: str, bug: BaseException) -> None:
        bugs.append(name)
        LOG.critical("stage %s ends the process: %s", Phrase(name), described(bug))

    threads = [StageThread(stage, board.clock.monotonic_s, on_bug) for stage in machine.stages]
    for thread in threads:
        thread.start()
    try:
        board.system.notify("READY=1")
        alive_s = board.clock.monotonic_s()
        while not bugs and not machine.is_erased.is_set() and not request.wait(WATCH_EVERY_S):
            now_s = board.clock.monotonic_s()
            if is_blind(machine.faults):
                bugs.append("camera")
                LOG.critical("the camera is silent and a restart of its stream did not help; the service ends")
            elif is_alive(threads, machine.faults, now_s):
                alive_s = now_s
                board.system.notify("WATCHDOG=1")
            elif now_s - alive_s > LIFELESS_LIMIT_S:
                bugs.append("watch")
                LOG.critical("no sign of life for %d s; the service ends, to be started anew", LIFELESS_LIMIT_S)
        board.system.notify("STOPPING=1")
    finally:
        ended = stop(threads)
        machine.outbox.close()
    return EXIT_STOPPED if ended and not bugs else EXIT_FAULT


def is_alive(threads: Sequence[StageThread], faults: FaultBook, now_s: float) -> bool:
    """Say whether the watchdog may be fed: every stage comes back."""
    late = [thread.stage.name for thread in threads if now_s - thread.heartbeat_s > HEARTBEAT_LIMIT_S]
    if not late:
        faults.clear(FaultCode.STAGE_STUCK)
    else:
        faults.tell(_stuck(late), now_s, LOG)
    return not late


def is_blind(faults: FaultBook) -> bool:
    """Say whether the camera is silent for good: the capture stage latches that after it restarted the stream in vain.

    A new process is the repair that is left.
    """
    return any(report.code is FaultCode.CAMERA_SILENT for report in faults.reports())


def stop(threads: Sequence[StageThread]) -> bool:
    """Stop the stages one after the other in data order; return whether all ended in time."""
    ended = True
    for thread in threads:
        thread.ask_to_stop()
        if not thread.join(STOP_LIMIT_S):
            name = Phrase(thread.stage.name)
            LOG.critical("stage %s did not stop within %d s; the service manager must kill it", name, STOP_LIMIT_S)
            ended = False
    return ended


def _stuck(names: Sequence[str]) -> DeviceFault:
    hint = (
        f"{', '.join(names)} did not come back for {HEARTBEAT_LIMIT_S:.0f} s; wait, the watchdog restarts the service"
    )
    return DeviceFault(FaultCode.STAGE_STUCK, hint)
