"""The stage that keeps pictures of vehicles, sealed, and answers the agency's requests for them.

It gets envelopes only: what reading has sealed goes to the folder, and leaves it when a signed request names its read,
or by itself when the read is an alert. An answer is a message of the lowest class, so that it goes after alerts, reads
and health; ANSWERS_AT_ONCE in the outbox at a time, so that an alert never waits behind more than these; and only while
the data plan has its share. What the plan forbids today waits, is told in health, and goes when there is room.

Requests may be lost, repeated, replayed or many: of each read the newest waits once, one that is no newer than what was
answered is dropped, and ANSWERS_AN_HOUR bounds what even the agency's own key can make a unit send.
"""

import logging
import math
import threading
import uuid
from collections import OrderedDict, deque
from typing import Final

from firmware.faults import DeviceFault, FaultBook
from firmware.log_lines import Phrase
from firmware.outbox import Outbox
from firmware.papers import PaperKind, parts_of
from firmware.picture_requests import PictureAnswer, PictureOutcome, encode_answer, flaw
from firmware.ports import Clock, System
from firmware.records import MessageClass, PictureRequest, TakenVehicle
from firmware.sealing import Sealer, uuid7
from firmware.stage import NEVER_S, Latest, Mailbox
from firmware.vehicle_folder import VehicleFolder

LOG = logging.getLogger(__name__)

TAKEN_WAITING: Final = 16
REQUESTS_WAITING: Final = 64
ANSWERS_AT_ONCE: Final = 2
"""80 kB on their way at most: what is sent after them waits 0.7 s at 1 Mbit/s."""

ANSWERS_AN_HOUR: Final = 60
HOUR_S: Final = 3600.0
REMEMBERED: Final = 1024
"""Answered requests whose replay is known; after a restart a replay within its week may be answered once more."""

LOOK_AGAIN_S: Final = 5.0
"""When an answer that had no room in the outbox, or in the plan, is tried again."""

EXPIRE_EVERY_S: Final = 3600.0


class VehicleStage:
    """Keeps, expires, answers. Counters for the health report: `rejected_requests`, `answered`, and the folder's."""

    name = "vehicles"

    def __init__(
        self,
        folder: VehicleFolder,
        sealer: Sealer,
        outbox: Outbox,
        *,
        has_room: Latest[bool],
        clock: Clock,
        system: System,
        faults: FaultBook,
    ) -> None:
        """`has_room` says whether the data plan has room for what somebody asks for."""
        self.wake = threading.Event()
        self.taken: Mailbox[TakenVehicle] = Mailbox(self.wake, TAKEN_WAITING)
        self.requests: Mailbox[PictureRequest] = Mailbox(self.wake, REQUESTS_WAITING)
        self.rejected_requests = 0
        self.answered = 0
        self._folder = folder
        self._sealer = sealer
        self._outbox = outbox
        self._has_room = has_room
        self._clock = clock
        self._system = system
        self._faults = faults
        self._is_open = False
        self._expire_at_s = -math.inf
        self._wanted: OrderedDict[uuid.UUID, int] = OrderedDict()  # when the newest request was issued, ms since 1970
        self._remembered: OrderedDict[uuid.UUID, int] = OrderedDict()  # the same, of what was answered
        self._answered_s: deque[float] = deque()  # within the last hour

    def step(self, now_s: float) -> float:
        """Keep what was taken, note what is wanted, answer what may be answered."""
        if not self._is_open:
            self._folder.open()
            self._is_open = True
        self._keep()
        self._note_requests()
        if now_s >= self._expire_at_s:
            self._expire_at_s = now_s + EXPIRE_EVERY_S
            if self._clock.is_trusted():
                self._folder.expire(self._clock.utc_ms())
        try:
            self._answer(now_s)
        except DeviceFault as fault:  # the disk, or the token that holds the key
            self._faults.tell(fault, now_s, LOG)
        return min(self._expire_at_s, now_s + LOOK_AGAIN_S if self._wanted else NEVER_S)

    def close(self) -> None:
        """Keep what was taken last. Requests come again."""
        self._keep()

    def troubles(self) -> dict[str, int]:
        """Return what the health report is told of pictures: how often, by cause."""
        counted = {
            "picture-damaged": self._folder.damaged,
            "picture-refused": self._folder.refused,
            "request-rejected": self.rejected_requests,
            "request-waits": len(self._wanted),
        }
        return {cause: count for cause, count in counted.items() if count}

    def _keep(self) -> None:
        while (taken := self.taken.take()) is not None:
            self._folder.put(taken.sealed)
            if taken.is_alert:
                self._want(taken.sealed.read_id, 0)

    def _note_requests(self) -> None:
        """Take requests in; drop those that are too old, and those whose like was answered."""
        now_utc_ms = self._clock.utc_ms() if self._clock.is_trusted() else None
        while (request := self.requests.take()) is not None:
            if problem := flaw(request, now_utc_ms):
                self.rejected_requests += 1
                LOG.warning("a request for a picture was dropped: %s", Phrase(problem))
            elif request.issued_utc_ms > self._remembered.get(request.read_id, -1):
                self._want(request.read_id, request.issued_utc_ms)

    def _want(self, read_id: uuid.UUID, issued_utc_ms: int) -> None:
        """Note that a picture is wanted; of too many the newest are dropped, and will be asked for again."""
        if read_id in self._wanted or len(self._wanted) < REQUESTS_WAITING:
            self._wanted[read_id] = max(issued_utc_ms, self._wanted.get(read_id, 0))

    def _answer(self, now_s: float) -> None:
        """Answer what is wanted, the oldest first, as far as plan, outbox and bounds let it. Raises DeviceFault."""
        while self._answered_s and self._answered_s[0] <= now_s - HOUR_S:
            self._answered_s.popleft()
        while self._wanted and self._has_room.get() and len(self._answered_s) < ANSWERS_AN_HOUR:
            if self._outbox.count_of(MessageClass.PICTURE) >= ANSWERS_AT_ONCE:
                return
            read_id, issued_utc_ms = next(iter(self._wanted.items()))
            if not self._send(self._answer_to(read_id)):
                return
            del self._wanted[read_id]
            self._answered_s.append(now_s)
            self.answered += 1
            self._remembered[read_id] = issued_utc_ms
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)

    def _answer_to(self, read_id: uuid.UUID) -> PictureAnswer:
        if (found := self._folder.find(read_id)) is not None:
            return PictureAnswer(read_id=read_id, outcome=PictureOutcome.HERE, sealed=found)
        is_gone = self._folder.may_have_had(read_id, self._clock.utc_ms())
        return PictureAnswer(read_id=read_id, outcome=PictureOutcome.GONE if is_gone else PictureOutcome.NEVER)

    def _send(self, answer: PictureAnswer) -> bool:
        """Seal an answer and put it in the outbox; return whether it is there. Raises DeviceFault."""
        utc_ms = self._clock.utc_ms()
        document = encode_answer(answer)
        (paper,) = parts_of(document, PaperKind.VEHICLE, utc_ms, clock_trusted=self._clock.is_trusted())
        message_id = uuid7(utc_ms, self._system.random_bytes(10))
        sealed = self._sealer.seal_paper(paper, read_id=message_id, sequence=self._outbox.reserve_sequence())
        is_kept = self._outbox.put(sealed)
        if is_kept:
            LOG.info("what there is of the vehicle of read %s is on its way", answer.read_id)
        return is_kept
