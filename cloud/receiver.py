"""`python -m cloud receive`: hears, stores, confirms and shows the reads of a fleet until it is told to stop."""

import datetime as dt
import math
import secrets
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from cloud import fleet_folder, handover
from cloud.boot_times import TimeSource, source_of
from cloud.broker_files import RECEIVER_USER
from cloud.picture_looks import ANSWERS
from cloud.read_rows import StoredRead
from cloud.receiving import AnyTaken, Receiving, Taken, TakenAnswer, TakenHealth, TakenPaper
from cloud.registry import Registry
from cloud.store import Outcome, ReadStore
from cloud.subscription import BrokerLost, BrokerRefused, Message, Subscription, share_group
from firmware.board.tls import tls_context
from firmware.log_lines import printable
from firmware.papers import PaperKind
from firmware.retirement import Cause
from firmware.topics import device_of_retired_topic, device_of_status_topic

LOOK_EVERY_S: Final = 0.25  # how soon a request to stop is seen
ASK_EVERY_S: Final = 1.0  # how soon a unit is asked for a picture that somebody wants
RETRY_LIMIT_S: Final = 30.0
FLUSH_LIMIT_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverSettings:
    """What one run of the receiver needs to know. `count` reads stored end it; None means never."""

    folder: Path
    host: str
    port: int
    store_path: Path
    count: int | None
    name: str = RECEIVER_USER


class Receiver:
    """One run. Raises ConfigRejected if the fleet's files are not whole, StoreRefused if the disk refuses."""

    def __init__(self, settings: ReceiverSettings, stopping: threading.Event, output: TextIO = sys.stdout) -> None:
        self._settings = settings
        self.is_receiving = threading.Event()  # set when the broker first knows what this receiver wants to hear
        self._stopping = stopping
        self._output = output
        self._ask_at_s = -math.inf
        folder = settings.folder
        own = (fleet_folder.RECEIVER_AUTHORITY, fleet_folder.RECEIVER_CERTIFICATE, fleet_folder.RECEIVER_KEY)
        self._tls = tls_context(*(folder / fleet_folder.of_receiver(file, settings.name) for file in own))
        self._opening_keys = fleet_folder.opening_keys(folder)
        self._receipt_key = fleet_folder.receipt_key(folder)
        self._registry = Registry(folder / fleet_folder.REGISTRY_FOLDER)

    def run(self) -> None:
        """Receive until told to stop or until the count is reached, then say what was done.

        Raises BrokerRefused if the broker never let this receiver in, and StoreRefused.
        """
        with ReadStore(self._settings.store_path) as store:
            receiving = Receiving(self._registry, store, self._opening_keys, self._receipt_key)
            try:
                self._receive_through_losses(receiving)
            finally:
                self._say(summary(receiving, self._settings.store_path))

    def _receive_through_losses(self, receiving: Receiving) -> None:
        """Connect again, with full jitter, whenever the connection is lost."""
        failures = 0
        while not self._is_done(receiving):
            try:
                with self._subscription(receiving) as subscription:
                    failures = 0
                    self._welcome()
                    self._serve(subscription, receiving)
            except BrokerRefused as refused:
                if not self.is_receiving.is_set():
                    raise
                self._warn(str(refused))
            except BrokerLost as lost:
                self._warn(str(lost))
            if not self._is_done(receiving):
                failures += 1
                self._stopping.wait(secrets.SystemRandom().uniform(0, min(RETRY_LIMIT_S, 2.0**failures)))

    def _subscription(self, receiving: Receiving) -> Subscription:
        settings = self._settings

        def take(messages: Sequence[Message]) -> None:
            reports = [message for message in messages if not _is_word(message.topic)]
            taken = receiving.take_all([(message.topic, message.payload) for message in reports], _utc_ms())
            for message in reports:
                subscription.acknowledge(message)  # only here: the store has committed
            new = [one for one in taken if one is not None and one.outcome is not Outcome.DUPLICATE]
            if lines := [text for one in new for text in _lines(one)]:
                self._say("\n".join(lines))
            for message in messages:
                if _is_word(message.topic):
                    self._take_word(receiving, message)
                    subscription.acknowledge(message)

        group = share_group(self._receipt_key)
        subscription = Subscription(settings.host, settings.port, settings.name, self._tls, group=group, take=take)
        return subscription

    def _take_word(self, receiving: Receiving, message: Message) -> None:
        """Take what a unit, or the broker for it, says of itself."""
        if (device_id := device_of_retired_topic(message.topic)) is not None:
            notice = receiving.take_notice(device_id, message.payload, _utc_ms())
            if notice is not None:
                self._say(last_word(device_id, notice.cause))
        elif (device_id := device_of_status_topic(message.topic)) is not None:
            is_here = receiving.take_status(device_id, message.payload, _utc_ms())
            if is_here is not None:
                self._say(presence_line(device_id, is_here=is_here))

    def _serve(self, subscription: Subscription, receiving: Receiving) -> None:
        while not self._is_done(receiving):
            due_s = receiving.next_receipt_s() if subscription.receipts_room() else math.inf
            subscription.serve(min(LOOK_EVERY_S, max(0.0, due_s - time.monotonic())))
            due = receiving.due_receipts(time.monotonic(), _utc_ms(), subscription.receipts_room())
            for device_id, receipt in due.items():
                subscription.send(device_id, receipt)
            self._send_requests(subscription, receiving)
        for device_id, receipt in receiving.all_receipts(time.monotonic(), _utc_ms()).items():
            subscription.send(device_id, receipt)
        subscription.flush(FLUSH_LIMIT_S)

    def _send_requests(self, subscription: Subscription, receiving: Receiving) -> None:
        """Once a second ask units for the pictures that somebody wants and that have not come."""
        now_s = time.monotonic()
        if now_s < self._ask_at_s:
            return
        self._ask_at_s = now_s + ASK_EVERY_S
        for device_id, request, expiry_s in receiving.due_requests(_utc_ms(), subscription.receipts_room()):
            subscription.send(device_id, request, expiry_s)

    def _is_done(self, receiving: Receiving) -> bool:
        return self._stopping.is_set() or receiving.stored >= (self._settings.count or math.inf)

    def _welcome(self) -> None:
        if not self.is_receiving.is_set():
            self._say(f"Receiving from {self._settings.host} port {self._settings.port}; Ctrl-C ends it.")
            self._say(HEADING)
            self.is_receiving.set()

    def _say(self, text: str) -> None:
        self._output.write(text + "\n")
        self._output.flush()

    def _warn(self, text: str) -> None:
        sys.stderr.write(f"kestrel-cloud: {text}; trying again\n")


HEADING: Final = (
    f"{'time':<8}  {'camera':<20}  {'unit':<10}  {'plate':<10}  {'read':<7}  {'region':<6}  {'went':<7}  score  latency"
)


_TIME_MARKS: Final = {TimeSource.UNIT: " ", TimeSource.CORRECTED: "~", TimeSource.UNSET: "?"}


def line(read: StoredRead) -> str:
    """Return a read as one line for people: local time, site, unit, plate, region, direction, confidence, latency.

    Behind the time, `~` says that it was counted back and `?` that nobody had set the unit's clock. The column `read`
    says how much of the plate was read: full, partial (a person must look at the picture) or none.
    """
    how_much = ("partial" if read.partial else "full") if read.plate else "none"
    local = dt.datetime.fromtimestamp(read.last_utc_ms / 1000, tz=dt.UTC).astimezone()
    latency_s = max(0, read.received_utc_ms - read.last_utc_ms) / 1000
    latency = "     ?  " if read.time_source is TimeSource.UNSET else f"{latency_s:6.1f} s"
    return (
        f"{local:%H:%M:%S}{_TIME_MARKS[read.time_source]} {_shortened(read.site_name, 20)}  {read.device_id:<10}  "
        f"{read.plate or '(no plate)':<10}  {how_much:<7}  {_shortened(read.region or '--', 6)}  "
        f"{read.direction or '--':<7}  "
        f"{read.score_ratio:4.0%}  {latency}"
    )


def _lines(taken: AnyTaken) -> list[str]:
    """Return what is shown of one new message."""
    match taken:
        case TakenHealth():
            return fault_lines(taken)
        case TakenPaper():
            return paper_lines(taken)
        case TakenAnswer():
            return [answer_line(taken)]
    return [line(_shown(taken))]


def paper_lines(taken: TakenPaper) -> list[str]:
    """Return one line for a document of a unit that is whole now; none for a part of one."""
    if taken.document is None:
        return []
    at, document = _time_of_day(taken.received_utc_ms), taken.document
    if document.kind is PaperKind.TEST:
        return [f"{at}  {taken.device_id}  test: a technician's test read has come through"]
    record = handover.decode(handover.unpacked(document.content)[0]).record
    despite = f", despite shortcomings ({len(record.despite)})" if record.despite else ""
    return [
        f"{at}  {taken.device_id}  hand-over of {_shortened(record.site.name, 20).rstrip()}, accepted by "
        f"{_shortened(record.accepted_by, 30).rstrip()}{despite}; signed by the unit"
    ]


def answer_line(taken: TakenAnswer) -> str:
    """Return one line for a unit's answer to a request for the picture of a vehicle."""
    at, read_id = _time_of_day(taken.received_utc_ms), taken.answer.read_id
    return f"{at}  {taken.device_id}  picture of the vehicle of read {read_id}: {ANSWERS[taken.answer.outcome]}"


def fault_lines(taken: TakenHealth) -> list[str]:
    """Return one line for each fault of a unit that its health before did not tell; none if all is as it was."""
    at = _time_of_day(taken.received_utc_ms)
    return [f"{at}  {taken.device_id}  fault {one.code}: {one.hint}" for one in taken.new_faults]


def _time_of_day(utc_ms: int) -> str:
    return f"{dt.datetime.fromtimestamp(utc_ms / 1000, tz=dt.UTC).astimezone():%H:%M:%S}"


def _shortened(text: str, width: int) -> str:
    """Return text of a unit in exactly `width` columns; what could steer the terminal becomes a question mark."""
    return printable(text[:width]).ljust(width)


def summary(receiving: Receiving, store_path: Path) -> str:
    """Return what a run did, and why messages were rejected, by the names of RejectionCause."""
    alarm = f"\n  {receiving.reused} under a number used before: is a unit's card copied?" if receiving.reused else ""
    retired = "".join(f"\n  {last_word(device_id, cause)}" for device_id, cause in sorted(receiving.retired.items()))
    gaps = receiving.gaps
    asked = f"\n  {gaps.questions} gaps asked for" if gaps.questions else ""
    missing = f"\n  {gaps.given_up} numbers that units did not answer for" if gaps.given_up else ""
    papers = f"\n  {receiving.papers_stored} parts of technicians' papers" if receiving.papers_stored else ""
    answers = f"\n  {receiving.answers_stored} answers about pictures of vehicles" if receiving.answers_stored else ""
    causes = "".join(f"\n  rejected {count}: {cause}" for cause, count in sorted(receiving.rejected.items()))
    return (
        f"{receiving.stored} stored, {receiving.duplicates} duplicates, "
        f"{sum(receiving.rejected.values())} rejected; the store is {store_path}"
        f"{alarm}{retired}{papers}{answers}{asked}{missing}{causes}"
    )


def last_word(device_id: str, cause: Cause) -> str:
    """Return what a unit said last, as one line for people."""
    return f"{device_id} erased itself, cause: {cause}; shut it out with `kestrel-provision fleet revoke`"


def _is_word(topic: str) -> bool:
    """Say whether what comes on this topic is no read but what a unit says of itself."""
    return device_of_retired_topic(topic) is not None or device_of_status_topic(topic) is not None


def presence_line(device_id: str, *, is_here: bool) -> str:
    """Return that a unit came back or went, as one line for people."""
    return f"{device_id} is back" if is_here else f"{device_id} is gone: its broker has lost it, or it was switched off"


def _shown(taken: Taken) -> StoredRead:
    read, passage = taken.read, taken.read.passage
    return StoredRead(
        read_id=read.read_id,
        received_utc_ms=taken.received_utc_ms,
        last_utc_ms=passage.last_utc_ms if taken.corrected_utc_ms is None else taken.corrected_utc_ms,
        time_source=source_of(clock_trusted=passage.clock_trusted, corrected_utc_ms=taken.corrected_utc_ms),
        device_id=read.device_id,
        site_name=read.site.name,
        plate=passage.plate.text if passage.plate else None,
        region=passage.region,
        score_ratio=passage.score_ratio,
        partial=passage.partial,
        direction=passage.direction,
    )


def _utc_ms() -> int:
    return time.time_ns() // 1_000_000
