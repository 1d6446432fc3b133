"""When to look: keeps the last seconds of pictures and hands those around a trigger to the reading stage.

A PIR lags its vehicle by up to a second, so a trigger never takes "the next frame": it picks frames by their time from
a ring that was filled before it came. Motion in the picture is the primary trigger; PIR and beam add to it.
"""

import logging
import threading
from collections import Counter, deque
from dataclasses import dataclass

from firmware.config import CaptureConfig
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.motion import MotionGate
from firmware.ports import Camera, TriggerInput
from firmware.records import Frame, TriggerEdge, TriggerSource
from firmware.stage import Mailbox

QUIET_SPACING_S = 0.12
"""While nothing passes, frames nearer than this to the one before are looked at for motion and not kept: memory."""

BURST_SPACING_S = 0.06
"""While something passes, every second frame of 30 a second is kept: a rear plate at 75 mph is in view for 0.27 s."""

RING_BYTES = 64 * 1024 * 1024
"""Memory of the ring at most: 13 frames of 1456x1088, which is 1.5 s. The newest frame is always kept."""

MOTION_LEAD_S, MOTION_TAIL_S = 0.15, 0.15
"""Motion is seen in the frame itself and has no lag, and it lasts as long as the vehicle is in view."""

WINDOWS_AT_MOST = 64
"""Edges may come for weeks while the camera is absent; only the newest windows can still find frames."""

LISTEN_AGAIN_S = 60.0
"""An absent part is asked for again after this time, because a technician may be plugging it in."""

SILENCE_CHECK_S = 1.0
"""Without a wake the camera is asked this often, so that its silence is noticed."""

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of monotonic seconds whose frames are wanted."""

    start_s: float
    end_s: float


class CaptureStage:
    """Drains camera and triggers into a ring of frames, and sends the frames around each trigger onwards, each once.

    Counters for the health report: `frames_seen`, `frames_sent` and `triggers_seen` by source.
    """

    def __init__(
        self,
        camera: Camera,
        triggers: tuple[TriggerInput, ...],
        frames: Mailbox[Frame],
        config: CaptureConfig,
        faults: FaultBook,
    ) -> None:
        self.name = "capture"
        self.wake = threading.Event()
        self.frames_seen = 0
        self.frames_sent = 0
        self.triggers_seen: Counter[TriggerSource] = Counter()
        self._camera = camera
        self._triggers = triggers
        self._frames = frames
        self._config = config
        self._faults = faults
        self._motion = MotionGate()
        self._ring: deque[Frame] = deque()
        self._ring_bytes = 0
        self._windows: deque[Window] = deque(maxlen=WINDOWS_AT_MOST)
        self._sent_until_s = float("-inf")
        self._moved_s = float("-inf")
        self._unheard: list[Camera | TriggerInput] = [*triggers, camera]
        self._listen_again_s = float("-inf")

    def step(self, now_s: float) -> float:
        """Take in what came, send what is wanted, and ask to be called within a second."""
        if self._unheard and now_s >= self._listen_again_s:
            self._listen(now_s)
        for frame in self._new_frames(now_s):
            self._take_in(frame)
        for trigger in self._triggers:
            if trigger not in self._unheard:
                for edge in trigger.edges():
                    self._open_window(edge)
        self._send_wanted()
        return now_s + SILENCE_CHECK_S

    def close(self) -> None:
        """Give camera and trigger lines back."""
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
                self._latch(fault, now_s)
                absent.append(part)
        self._unheard = absent
        self._listen_again_s = now_s + LISTEN_AGAIN_S
        if not any(part is self._camera for part in absent):
            self._faults.clear(FaultCode.CAMERA_ABSENT)
        if not any(part is not self._camera for part in absent):
            self._faults.clear(FaultCode.TRIGGER_ABSENT)

    def _new_frames(self, now_s: float) -> list[Frame]:
        """Return what the camera delivered; its silence is latched and nothing is delivered."""
        if self._camera in self._unheard:
            return []
        try:
            frames = self._camera.frames()
        except DeviceFault as fault:
            self._latch(fault, now_s)
            return []
        if frames and self._faults.clear(FaultCode.CAMERA_SILENT):
            LOG.info("the camera delivers frames again")
        self.frames_seen += len(frames)
        return frames

    def _take_in(self, frame: Frame) -> None:
        """Look at `frame` for motion, and keep it in the ring if it is due there."""
        if self._motion.changed_ratio(frame.image, frame.at_s) >= self._config.motion_ratio:
            self._moved_s = frame.at_s
            self._open_window(TriggerEdge(source=TriggerSource.MOTION, at_s=frame.at_s))
        spacing_s = BURST_SPACING_S if self._is_wanted(frame) else QUIET_SPACING_S
        if not self._ring or frame.at_s - self._ring[-1].at_s >= spacing_s:
            self._ring.append(frame)
            self._ring_bytes += frame.image.nbytes
            self._trim_ring(frame.at_s)

    def _trim_ring(self, newest_s: float) -> None:
        """Forget frames that no trigger can ask for any more, and the oldest ones when memory runs out."""
        oldest_s = newest_s - self._config.pre_trigger_s - self._config.post_trigger_s
        while len(self._ring) > 1 and (self._ring[0].at_s < oldest_s or self._ring_bytes > RING_BYTES):
            self._ring_bytes -= self._ring.popleft().image.nbytes

    def _open_window(self, edge: TriggerEdge) -> None:
        """Want the frames around `edge`; a vehicle that stays extends the window that it opened.

        A sensor that reports what has just moved in the picture adds nothing: those frames have been sent, and the
        empty road after them would only push them out of the mailbox.
        """
        self.triggers_seen[edge.source] += 1
        start_s, end_s = edge.at_s - self._config.pre_trigger_s, edge.at_s + self._config.post_trigger_s
        if edge.source is TriggerSource.MOTION:
            start_s, end_s = edge.at_s - MOTION_LEAD_S, edge.at_s + MOTION_TAIL_S
        elif start_s <= self._moved_s:
            return
        if self._windows and start_s <= self._windows[-1].end_s and end_s >= self._windows[-1].start_s:
            last = self._windows.pop()
            start_s, end_s = min(start_s, last.start_s), max(end_s, last.end_s)
        self._windows.append(Window(start_s, end_s))

    def _send_wanted(self) -> None:
        """Send the wanted frames of the ring that are newer than the last one sent: in order, none twice."""
        for frame in self._ring:
            if frame.at_s > self._sent_until_s and self._is_wanted(frame):
                self._frames.put(frame)
                self._sent_until_s = frame.at_s
                self.frames_sent += 1
        while self._windows and self._ring and self._windows[0].end_s < self._ring[0].at_s:
            self._windows.popleft()

    def _is_wanted(self, frame: Frame) -> bool:
        return any(window.start_s <= frame.at_s <= window.end_s for window in self._windows)

    def _latch(self, fault: DeviceFault, now_s: float) -> None:
        if self._faults.latch(fault, now_s):
            LOG.error("%s", fault)
