"""A process that is many cameras: one selector, one heap of what is due next, and a pipe to whoever measures.

It is told `Start` when all processes have connected theirs, `Finish` when the cameras shall capture no more, and `End`;
it tells `Told` about twice a second. When the other end of the pipe goes away it ends by itself.
"""

import contextlib
import heapq
import resource
import selectors
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Final

from firmware import agency_keys, identity
from firmware.config import SealConfig
from hw_sim.fleet_cameras import Books, Camera, CameraFiles, Surroundings

TELL_PERIOD_S: Final = 0.5
LOOK_EVERY_S: Final = 0.05
STOP_LIMIT_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What one process is told when it begins."""

    host: str
    port: int
    authority: Path
    seal: SealConfig
    cameras: tuple[CameraFiles, ...]
    reads_per_minute: float
    patience_s: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Capture from `start_s` to `end_s` (CLOCK_MONOTONIC, which all processes of a machine share)."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Finish:
    """Capture nothing more; go on delivering."""


@dataclass(frozen=True, slots=True)
class End:
    """Tell the books as they are, and end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Where a process is: how many cameras are connected, and its books; `is_last` when it ends."""

    connected: int
    connected_after_s: float  # from the process's first connection attempt until all were connected for the first time
    books: Books
    cpu_s: float
    is_last: bool
    captured: dict[str, int]  # at the end: reads by camera
    unconfirmed: dict[str, tuple[int, ...]]  # at the end: numbers of the reads that no receipt has named, by camera


class LoadProcess:
    """One such process, seen from outside."""

    def __init__(self, plan: LoadPlan) -> None:
        context = get_context("spawn")
        self._pipe, far_end = context.Pipe()
        self._process: SpawnProcess = context.Process(target=be_cameras, args=(plan, far_end), name="cameras")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a process is born with the mask:
        try:  # Ctrl-C is for this one to answer
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        far_end.close()
        self.told: Told | None = None

    @property
    def is_alive(self) -> bool:
        """Say whether the process still runs."""
        return self._process.is_alive()

    def hear(self) -> Told | None:
        """Return what the process told last, or None if it has said nothing yet."""
        with contextlib.suppress(EOFError):  # it has gone; is_alive says so
            while self._pipe.poll():
                self.told = self._pipe.recv()
        return self.told

    def tell(self, word: Start | Finish | End) -> None:
        """Say something to the process, if it is still there."""
        with contextlib.suppress(BrokenPipeError):
            self._pipe.send(word)

    def end(self) -> Told | None:
        """Ask for the last books and wait for the end; return what was told last."""
        self.tell(End())
        deadline_s = time.monotonic() + STOP_LIMIT_S
        while self._process.is_alive() and time.monotonic() < deadline_s:
            self.hear()
            self._process.join(LOOK_EVERY_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        return self.hear()


def be_cameras(plan: LoadPlan, pipe: Connection) -> None:
    """Be the cameras of `plan` until told to end, or until nobody is there to tell it."""
    Load(plan, pipe).run()


class Load:
    """The loop of one process."""

    def __init__(self, plan: LoadPlan, pipe: Connection) -> None:
        self._pipe = pipe
        self._plan = plan
        self._books = Books()
        self._selector = selectors.DefaultSelector()
        around = Surroundings(
            host=plan.host,
            port=plan.port,
            authority=plan.authority,
            agency_keys=agency_keys.load(plan.seal),
            receipt_key=identity.receipt_public_key(plan.seal),
            patience_s=plan.patience_s,
            utc_offset_s=time.time() - time.monotonic(),
            selector=self._selector,
            books=self._books,
        )
        self._cameras = [
            Camera(place, files, around, f"{plan.seed}/{files.device_id}") for place, files in enumerate(plan.cameras)
        ]
        self._due: list[tuple[float, int]] = []  # when, and which camera
        self._is_ending = False
        self._tell_at_s = 0.0
        self._begun_s = time.monotonic()
        self._connected_after_s = 0.0

    def run(self) -> None:
        """Connect, capture and deliver until told to end."""
        now_s = time.monotonic()
        for place in range(len(self._cameras)):
            self._queue(place, now_s)
        try:
            while not self._is_ending:
                self._turn()
            self._tell(is_last=True)
        except (EOFError, BrokenPipeError, ConnectionResetError):  # whoever measured is gone
            self._is_ending = True
        finally:
            for camera in self._cameras:
                camera.close()
            self._selector.close()

    def _turn(self) -> None:
        now_s = time.monotonic()
        wait_s = min(LOOK_EVERY_S, max(0.0, self._due[0][0] - now_s)) if self._due else LOOK_EVERY_S
        for key, _ in self._selector.select(wait_s):
            camera: Camera = key.data
            camera.move_bytes(time.monotonic())
            if not camera.is_connected:
                self._queue(camera.place, time.monotonic())
        self._step_due()
        self._hear()
        if time.monotonic() >= self._tell_at_s:
            self._tell(is_last=False)

    def _step_due(self) -> None:
        """Let each camera whose time has come do its work; one turn's worth, so that bytes keep moving."""
        now_s = time.monotonic()
        while self._due and self._due[0][0] <= now_s:
            due_s, place = heapq.heappop(self._due)
            camera = self._cameras[place]
            if due_s == camera.queued_s:
                camera.queued_s = float("inf")
                self._queue(place, camera.step(time.monotonic()))

    def _queue(self, place: int, due_s: float) -> None:
        camera = self._cameras[place]
        if due_s < camera.queued_s:
            camera.queued_s = due_s
            heapq.heappush(self._due, (due_s, place))

    def _hear(self) -> None:
        while self._pipe.poll():
            match self._pipe.recv():
                case Start(start_s=start_s, end_s=end_s):
                    for place, camera in enumerate(self._cameras):
                        camera.begin(start_s, end_s, self._plan.reads_per_minute)
                        self._queue(place, start_s)
                case Finish():
                    for camera in self._cameras:
                        camera.end_captures()
                case End():
                    self._is_ending = True

    def _tell(self, *, is_last: bool) -> None:
        self._tell_at_s = time.monotonic() + TELL_PERIOD_S
        connected = sum(camera.is_connected for camera in self._cameras)
        if connected == len(self._cameras) and not self._connected_after_s:
            self._connected_after_s = time.monotonic() - self._begun_s
        usage = resource.getrusage(resource.RUSAGE_SELF)
        counts = self._books if is_last else self._books.without_times()
        told = Told(
            connected=connected,
            connected_after_s=self._connected_after_s,
            books=counts,
            cpu_s=usage.ru_utime + usage.ru_stime,
            is_last=is_last,
            captured={camera.device_id: camera.captured for camera in self._cameras} if is_last else {},
            unconfirmed={camera.device_id: camera.unconfirmed() for camera in self._cameras} if is_last else {},
        )
        self._pipe.send(told)


def spread(cameras: Sequence[CameraFiles], processes: int) -> list[tuple[CameraFiles, ...]]:
    """Return the cameras dealt to this many processes, none of them empty."""
    return [tuple(cameras[first::processes]) for first in range(min(processes, len(cameras)))]
