"""When to look: from the sensor's shots to the frames that are worth reading.

Every shot's small copy is looked at; the whole picture is copied only while something moves through the lane, or when
the ring is due. A PIR lags its vehicle by up to a second, so a trigger never takes "the next frame": it picks frames
by their time from a ring that was filled before it came. Motion in the picture is the primary trigger; PIR, beam and
radar add to it. Each buffer goes back to the sensor before the next shot is looked at.
"""

import logging
import math
import threading
from collections import Counter, deque
from dataclasses import dataclass

from firmware.config import CaptureConfig
from firmware.exposure import Phase
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.frame_ring import Allowance, FrameRing
from firmware.lighting import Lighting
from firmware.memory_watch import MemoryWatch
from firmware.motion import MotionGate
from firmware.ports import Camera, IrLamp, Shot, System, TriggerInput
from firmware.records import Frame, TriggerEdge, TriggerSource
from firmware.stage import Mailbox

QUIET_SPACING_S = 0.12
"""While nothing passes, shots nearer than this to the one before are not copied: memory and power."""

LOOKS_A_CROSSING = 24
SLOWEST_SPACING_S = 0.2
"""What is slow enough to be measured is kept so often on its way through the picture, five times a second at least:
a queue at 5 mph is seven frames a second. From 15 mph on every shot is kept, 30 a second: a rear plate at 75 mph is in
view for 0.27 s, at 100 mph for 0.2 s."""

BURST_FRAMES = 90
REFILL_HZ = 20.0
"""Frames that may be sent at once, and a second in the long run: fifty vehicles a minute have 24 frames each. It keeps
what moves for ever, such as a branch in the lane, from costing more."""

MOTION_LEAD_S, MOTION_TAIL_S = 0.15, 0.4
"""Motion is seen in the frame itself and has no lag, and it lasts as long as the vehicle is in view ..."""

BURST_TAIL_S = 0.1
"""... or has stopped there: from this time after it on, its window is looked at with QUIET_SPACING_S only."""

WINDOWS_AT_MOST = 64
"""Edges may come for weeks while the camera is absent; only the newest windows can still find frames."""

LISTEN_AGAIN_S = 60.0
"""An absent part is asked for again after this time, because a technician may be plugging it in."""

SILENCE_CHECK_S = 1.0
"""Without a wake the camera is asked this often, so that its silence is noticed."""

RESTART_AGAIN_S = 60.0
"""A stream that falls silent again within this time of its restart is not to be helped by another one."""

NONSENSE_OVER_S = 10.0
"""So long without nonsense, and it counts as over."""

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of monotonic seconds whose frames are wanted, and who wants them."""

    source: TriggerSource
    start_s: float
    end_s: float

    def holds(self, at_s: float) -> bool:
        """Say whether a frame of this time is wanted."""
        return self.start_s <= at_s <= self.end_s


class CaptureStage:
    """Drains camera and triggers, keeps a ring of frames, and sends the frames around each trigger onwards, each once.

    Counters for the health report: `frames_seen` (shots), `frames_developed` (copied), `frames_sent`, `restarts`, and
    `triggers_seen` by source.
    """

    def __init__(
        self,
        camera: Camera,
        triggers: tuple[TriggerInput, ...],
        frames: Mailbox[Frame],
        config: CaptureConfig,
        faults: FaultBook,
        *,
        lamp: IrLamp | None,
        system: System,
    ) -> None:
        self.name = "capture"
        self.wake = threading.Event()
        self.frames_seen = 0
        self.frames_developed = 0
        self.frames_sent = 0
        self.restarts = 0
        self.triggers_seen: Counter[TriggerSource] = Counter()
        self._camera = camera
        self._triggers = triggers
        self._frames = frames
        self._config = config
        self._faults = faults
        self._system = system
        self._memory = MemoryWatch()
        self._lighting = Lighting(camera, lamp, config, faults)
        self._gates = (MotionGate(config.lane), MotionGate(config.lane))  # one for each of two alternating exposures
        self._ring = FrameRing(config.pre_trigger_s + config.post_trigger_s)
        self._allowance = Allowance(BURST_FRAMES, REFILL_HZ)
        self._windows: deque[Window] = deque(maxlen=WINDOWS_AT_MOST)
        self._motion_spacing_s = 0.0
        self._kept_s = -math.inf
        self._moved_s = -math.inf
        self._restarted_s = -math.inf
        self._nonsense_s = -math.inf
        self._unheard: list[Camera | TriggerInput] = [*triggers, camera]
        self._listen_again_s = -math.inf

    @property
    def light_phase(self) -> Phase:
        """Whether the camera sees day, dusk or night."""
        return self._lighting.phase

    def step(self, now_s: float) -> float:
        """Take in what came, send what is wanted, and ask to be called within a second."""
        if self._unheard and now_s >= self._listen_again_s:
            self._listen(now_s)
        for shot in self._new_shots(now_s):
            try:
                self._take_in(shot, now_s)
            finally:
                shot.release()
        for trigger in self._triggers:
            if trigger not in self._unheard:
                for edge in trigger.edges():
                    self._open_window(edge)
        self._send_wanted()
        self._watch_memory(now_s)
        return now_s + SILENCE_CHECK_S

    def close(self) -> None:
        """Let the lamp fall, and give camera and trigger lines back."""
        self._lighting.close()
        parts: list[Camera | TriggerInput] = [self._camera, *self._triggers]
        for part in parts:
            if part not in self._unheard:
                part.close()

    def _listen(self, now_s: float) -> None:
        """Start the parts that do not listen yet; one that is absent is latched, and the others go on without it."""
        absent: list[Camera | TriggerInput] = []
        for part in self._unheard:
            try:
                part.listen(self.wake)
            except DeviceFault as fault:
                self._faults.tell(fault, now_s, LOG)
                absent.append(part)
        self._unheard = absent
        self._listen_again_s = now_s + LISTEN_AGAIN_S
        if not any(part is self._camera for part in absent):
            self._faults.clear(FaultCode.CAMERA_ABSENT)
        if not any(part is not self._camera for part in absent):
            self._faults.clear(FaultCode.TRIGGER_ABSENT)

    def _new_shots(self, now_s: float) -> list[Shot]:
        """Return what the camera delivered; a fault of it is dealt with and nothing is delivered."""
        if self._camera in self._unheard:
            return []
        try:
            shots = self._camera.shots()
        except DeviceFault as fault:
            self._on_camera_fault(fault, now_s)
            return []
        if shots and self._faults.clear(FaultCode.CAMERA_SILENT):
            LOG.info("the camera delivers again")
        if shots and now_s - self._nonsense_s > NONSENSE_OVER_S:
            self._faults.clear(FaultCode.CAMERA_NONSENSE)
        self.frames_seen += len(shots)
        return shots

    def _on_camera_fault(self, fault: DeviceFault, now_s: float) -> None:
        """Restart a silent stream once; if that does not help, latch its silence, which ends the process."""
        if fault.code is FaultCode.CAMERA_NONSENSE:
            self._nonsense_s = now_s
        if fault.code is not FaultCode.CAMERA_SILENT or now_s - self._restarted_s < RESTART_AGAIN_S:
            self._faults.tell(fault, now_s, LOG)
            return
        LOG.warning("%s", fault)
        self._restarted_s = now_s
        self.restarts += 1
        try:
            self._camera.restart()
        except DeviceFault as refused:
            self._faults.tell(refused, now_s, LOG)

    def _take_in(self, shot: Shot, now_s: float) -> None:
        """Look at `shot` for motion and light, and copy it if it is wanted or due in the ring."""
        gate = self._gates[self._lighting.arm_of(shot)]
        motion = gate.look(shot.small, shot.at_s)
        moves = motion.changed_ratio >= self._config.motion_ratio
        if moves:
            self._moved_s = shot.at_s
            self._motion_spacing_s = min(motion.crossing_s / LOOKS_A_CROSSING, SLOWEST_SPACING_S)
            self._open_window(TriggerEdge(source=TriggerSource.MOTION, at_s=shot.at_s))
        self._lighting.see(shot, moves=moves, now_s=now_s)
        if not self._is_due(shot.at_s):
            return
        try:
            frame = shot.develop(infrared=self._lighting.lamp_ratio_at(shot.at_s) > 0)
        except DeviceFault as fault:
            self._on_camera_fault(fault, now_s)
            return
        self.frames_developed += 1
        self._kept_s = shot.at_s
        self._ring.put(frame)

    def _is_due(self, at_s: float) -> bool:
        """Say whether a shot is to be copied. One that is wanted at once uses up the allowance."""
        spacings_s = [self._spacing_s(window.source, at_s) for window in self._windows if window.holds(at_s)]
        spacing_s = min(spacings_s, default=QUIET_SPACING_S)
        if at_s - self._kept_s < spacing_s:
            return False
        return not spacings_s or self._allowance.take(at_s)

    def _spacing_s(self, source: TriggerSource, at_s: float) -> float:
        """Return how far apart the frames of a window are; what a PIR has noticed has gone long ago."""
        if source is TriggerSource.MOTION and at_s <= self._moved_s + BURST_TAIL_S:
            return self._motion_spacing_s
        return 0.0 if source in {TriggerSource.IR_BEAM, TriggerSource.RADAR} else QUIET_SPACING_S

    def _open_window(self, edge: TriggerEdge) -> None:
        """Want the frames around `edge`; what the same source says again extends the window that it opened.

        A sensor that reports what has just moved in the picture adds nothing: those frames have been sent, and the
        empty road after them would only push them out of the mailbox.
        """
        self.triggers_seen[edge.source] += 1
        start_s, end_s = edge.at_s - self._config.pre_trigger_s, edge.at_s + self._config.post_trigger_s
        if edge.source is TriggerSource.MOTION:
            start_s, end_s = edge.at_s - MOTION_LEAD_S, edge.at_s + MOTION_TAIL_S
        elif start_s <= self._moved_s:
            return
        for index, window in enumerate(self._windows):
            if window.source is edge.source and start_s <= window.end_s and end_s >= window.start_s:
                start_s, end_s = min(start_s, window.start_s), max(end_s, window.end_s)
                del self._windows[index]
                break
        self._windows.append(Window(edge.source, start_s, end_s))

    def _send_wanted(self) -> None:
        """Send the wanted frames of the ring, in order and none twice, and forget windows that are over."""
        for frame in self._ring.take(lambda frame: any(window.holds(frame.at_s) for window in self._windows)):
            self._frames.put(frame)
            self.frames_sent += 1
        oldest_s = self._ring.oldest_s
        if oldest_s is not None:
            self._windows = deque((one for one in self._windows if one.end_s >= oldest_s), maxlen=WINDOWS_AT_MOST)

    def _watch_memory(self, now_s: float) -> None:
        if self._memory.is_due(now_s):
            fault = self._memory.note(self._system.memory(), now_s)
            if fault is None:
                self._faults.clear(FaultCode.MEMORY_GROWS)
            else:
                self._faults.tell(fault, now_s, LOG)
