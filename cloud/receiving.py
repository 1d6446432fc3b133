"""What the receiver decides about one message, and about when a receipt is due. No network, no clock.

A message becomes a stored read or health report, a duplicate, or a counted cause; all are acknowledged to the broker,
because sending the same bytes again would not make them better. A duplicate is confirmed again: a unit that sends one
may have lost its receipt. A refused message is never confirmed, so that no forger can make a unit forget a read. The
causes are `RejectionCause`; store.py says what is too late, and why order alone is no reason to refuse.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cloud import answers, handover
from cloud.answers import OpenedAnswer
from cloud.gaps import Gaps
from cloud.opening import malformed_is_bad_payload, open_health, open_paper, open_read
from cloud.opening_keys import OpeningKeys
from cloud.paper_rows import StoredDocument
from cloud.registry import Registry
from cloud.store import Outcome, ReadStore
from firmware import sealing
from firmware.config import DEVICE_ID_PATTERN
from firmware.faults import ConfigRejected, DocumentRejected, RejectionCause
from firmware.health_report import FaultWord, Health
from firmware.papers import Paper, PaperKind
from firmware.picture_requests import PictureAnswer, sign_request
from firmware.presence import verify_status
from firmware.receipts import MAX_RANGES, sign_receipt
from firmware.records import MessageClass, PictureRequest, Read, Receipt, SealedRead
from firmware.retirement import Cause, RetiredNotice, verify_notice
from firmware.topics import device_of_read_topic

RECEIPT_PERIOD_S: Final = 1.0
"""At most one receipt a second and unit: a backlog of hundreds of reads is confirmed by a few messages."""

USUAL_RANGES: Final = 3
"""A receipt names the ranges in which something has just arrived and, if these are fewer, the newest others. A lost one
is made good by the next of the same run of the unit, or by the read that comes again; to name all that a unit ever sent
would cost 3 kB a receipt after 256 starts. With three it is 120 bytes: a day with two restarts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A read, and what became of it."""

    read: Read = field(repr=False)
    outcome: Outcome
    received_utc_ms: int
    corrected_utc_ms: int | None  # of a read whose unit did not know the time, where another tells it


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenHealth:
    """How a unit fares, and the faults of which its report before said nothing."""

    device_id: str
    sequence: int
    health: Health
    new_faults: tuple[FaultWord, ...]
    outcome: Outcome
    received_utc_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenPaper:
    """A part of a document, and the document (None: others of its parts are missing, or it was here before)."""

    device_id: str
    sequence: int
    document: StoredDocument | None
    outcome: Outcome
    received_utc_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenAnswer:
    """What a unit has answered to a request for the picture of a vehicle."""

    device_id: str
    sequence: int
    answer: PictureAnswer
    outcome: Outcome
    received_utc_ms: int


AnyTaken = Taken | TakenHealth | TakenPaper | TakenAnswer

_Opened = tuple[SealedRead, Read | Health | Paper | OpenedAnswer]
"""A message whose signature is good, and what was in it."""


class Receiving:
    """Verifies, opens, de-duplicates and stores; keeps account of who is owed a receipt."""

    def __init__(
        self, registry: Registry, store: ReadStore, opening_keys: OpeningKeys, receipt_key: Ed25519PrivateKey
    ) -> None:
        self.stored = 0
        self.health_stored = 0
        self.papers_stored = 0
        self.answers_stored = 0
        self.duplicates = 0
        self.reused = 0  # stored under a number that another read of the unit had: somebody should look at the card
        self.rejected: Counter[RejectionCause] = Counter()
        self.gaps = Gaps(store)
        self.retired: dict[str, Cause] = {}  # units that said that they erase themselves, and why
        self._registry = registry
        self._store = store
        self._opening_keys = opening_keys
        self._receipt_key = receipt_key
        self._owed: dict[str, set[int]] = {}  # sequence numbers that came since the last receipt, by unit
        self._receipted_at_s: dict[str, float] = {}

    def take(self, topic: str, payload: bytes, received_utc_ms: int) -> AnyTaken | None:
        """Take one message: a group of one."""
        return self.take_all([(topic, payload)], received_utc_ms)[0]

    def take_all(self, messages: Sequence[tuple[str, bytes]], received_utc_ms: int) -> list[AnyTaken | None]:
        """Take messages (topic, payload) in one commit; return the read in each, None if it was rejected and counted.

        Raises StoreRefused if the disk does: then none of them may be acknowledged, and none is owed a receipt.
        """
        opened = [self._opened_or_cause(topic, payload, received_utc_ms) for topic, payload in messages]
        with self._store.group():
            kept = [
                self._kept(one, payload, received_utc_ms) for one, (_, payload) in zip(opened, messages, strict=True)
            ]
        return [self._accounted(one) for one in kept]

    def take_notice(self, device_id: str, payload: bytes, received_utc_ms: int) -> RetiredNotice | None:
        """Take what came on a unit's topic of last words; return its notice, or None if it was rejected and counted."""
        try:
            notice = verify_notice(payload, self._verifying_keys(device_id, received_utc_ms), device_id)
        except DocumentRejected as rejected:
            self._count_rejected(rejected.cause)
            return None
        self.retired[device_id] = notice.cause
        return notice

    def take_status(self, device_id: str, payload: bytes, received_utc_ms: int) -> bool | None:
        """Take what came on a unit's topic of presence; return whether it is here if that is new, else None.

        What is no status of this unit is counted. Raises StoreRefused.
        """
        try:
            status = verify_status(payload, self._verifying_keys(device_id, received_utc_ms), device_id)
        except DocumentRejected as rejected:
            self._count_rejected(rejected.cause)
            return None
        return status.is_here if self._store.note_status(status, received_utc_ms) else None

    def due_receipts(self, now_s: float, issued_utc_ms: int, limit: int) -> dict[str, bytes]:
        """Return at most `limit` receipts to be sent now, by unit: at once after a quiet second, else one a second.

        Among them are those that ask a unit for something. Raises StoreRefused.
        """
        for device_id in self.gaps.due(now_s, issued_utc_ms):
            self._owed.setdefault(device_id, set())
        due = (
            device_id
            for device_id in self._owed
            if now_s - self._receipted_at_s.get(device_id, -math.inf) >= RECEIPT_PERIOD_S
        )
        return {device_id: self._receipt(device_id, now_s, issued_utc_ms) for device_id in [*islice(due, limit)]}

    def due_requests(self, now_utc_ms: int, limit: int) -> list[tuple[str, bytes, int]]:
        """Return at most `limit` requests for pictures to be sent now: unit, document, and seconds until it is useless.

        Raises StoreRefused.
        """
        return [
            (
                errand.device_id,
                sign_request(
                    PictureRequest(device_id=errand.device_id, read_id=errand.read_id, issued_utc_ms=now_utc_ms),
                    self._receipt_key,
                ),
                errand.again_ms // 1000,
            )
            for errand in self._store.pictures.take_due(now_utc_ms, limit)
        ]

    def all_receipts(self, now_s: float, issued_utc_ms: int) -> dict[str, bytes]:
        """Return every receipt that is owed, by unit, for a receiver that is about to end."""
        return {device_id: self._receipt(device_id, now_s, issued_utc_ms) for device_id in list(self._owed)}

    def next_receipt_s(self) -> float:
        """Return when the next receipt becomes due (monotonic seconds); infinity if none is owed."""
        return min(
            (self._receipted_at_s.get(device_id, -math.inf) + RECEIPT_PERIOD_S for device_id in self._owed),
            default=math.inf,
        )

    def _count_rejected(self, cause: RejectionCause) -> None:
        self._store.count_rejected(cause)
        self.rejected[cause] += 1

    def _opened_or_cause(self, topic: str, payload: bytes, received_utc_ms: int) -> _Opened | RejectionCause:
        try:
            sealed = self._verified(topic, payload, received_utc_ms)
            if sealed.message_class is MessageClass.HEALTH:
                return sealed, open_health(sealed, self._opening_keys)
            if sealed.message_class is MessageClass.PAPER:
                return sealed, open_paper(sealed, self._opening_keys)
            if sealed.message_class is MessageClass.PICTURE:
                paper, keys = open_paper(sealed, self._opening_keys), self._opening_keys
                public_keys = self._verifying_keys(sealed.device_id, received_utc_ms)
                return sealed, answers.opened(paper, sealed.device_id, keys, *public_keys)
            return sealed, open_read(sealed, self._opening_keys)
        except DocumentRejected as rejected:
            return rejected.cause

    def _kept(
        self, opened: _Opened | RejectionCause, payload: bytes, received_utc_ms: int
    ) -> AnyTaken | RejectionCause:
        """Store what a message holds, or count why there is none, as part of the store's group."""
        if isinstance(opened, RejectionCause):
            cause = opened
        else:
            try:
                match opened:
                    case _, Read() as read:
                        outcome = self._store.put(read, received_utc_ms, payload)
                        corrected = self._store.corrected_utc_ms(read)
                        return Taken(
                            read=read, outcome=outcome, received_utc_ms=received_utc_ms, corrected_utc_ms=corrected
                        )
                    case sealed, Health() as health:
                        return self._kept_health(sealed, health, payload, received_utc_ms)
                    case sealed, Paper() as paper:
                        return self._kept_paper(sealed, paper, payload, received_utc_ms)
                    case sealed, OpenedAnswer() as opened_answer:
                        return self._kept_answer(sealed, opened_answer, payload, received_utc_ms)
            except DocumentRejected as rejected:
                cause = rejected.cause
        self._store.count_rejected(cause)
        return cause

    def _kept_health(self, sealed: SealedRead, health: Health, payload: bytes, received_utc_ms: int) -> TakenHealth:
        """Store a unit's health, and say what is wrong with it that was not before. Raises DocumentRejected."""
        before = {word.code for one in self._store.health(sealed.device_id) for word in one.health.faults}
        outcome = self._store.put_health(sealed, health, received_utc_ms, payload)
        return TakenHealth(
            device_id=sealed.device_id,
            sequence=sealed.sequence,
            health=health,
            new_faults=tuple(word for word in health.faults if word.code not in before),
            outcome=outcome,
            received_utc_ms=received_utc_ms,
        )

    def _kept_paper(self, sealed: SealedRead, paper: Paper, payload: bytes, received_utc_ms: int) -> TakenPaper:
        """Store a part of a document, and the document if it is whole. Raises DocumentRejected."""

        def check(kind: PaperKind, document: bytes) -> None:
            if kind is PaperKind.HANDOVER:
                handover.opened(document, sealed.device_id, *self._verifying_keys(sealed.device_id, received_utc_ms))

        with malformed_is_bad_payload():
            outcome, document = self._store.put_paper(sealed, paper, received_utc_ms, payload, check)
        return TakenPaper(
            device_id=sealed.device_id,
            sequence=sealed.sequence,
            document=document,
            outcome=outcome,
            received_utc_ms=received_utc_ms,
        )

    def _kept_answer(
        self, sealed: SealedRead, opened: OpenedAnswer, payload: bytes, received_utc_ms: int
    ) -> TakenAnswer:
        """Store a unit's answer. Raises DocumentRejected."""
        outcome = self._store.put_answer(sealed, opened, received_utc_ms, payload)
        return TakenAnswer(
            device_id=sealed.device_id,
            sequence=sealed.sequence,
            answer=opened.answer,
            outcome=outcome,
            received_utc_ms=received_utc_ms,
        )

    def _accounted(self, kept: AnyTaken | RejectionCause) -> AnyTaken | None:
        """Count what has been committed, and note who is owed a receipt."""
        match kept:
            case Taken(read=Read(device_id=device_id, sequence=sequence)):
                self.stored += kept.outcome is not Outcome.DUPLICATE
            case TakenHealth(device_id=device_id, sequence=sequence):
                self.health_stored += kept.outcome is not Outcome.DUPLICATE
            case TakenPaper(device_id=device_id, sequence=sequence):
                self.papers_stored += kept.outcome is not Outcome.DUPLICATE
            case TakenAnswer(device_id=device_id, sequence=sequence):
                self.answers_stored += kept.outcome is not Outcome.DUPLICATE
            case cause:
                self.rejected[cause] += 1
                return None
        self.duplicates += kept.outcome is Outcome.DUPLICATE
        self.reused += kept.outcome is Outcome.SEQUENCE_REUSED
        self._owed.setdefault(device_id, set()).add(sequence)
        return kept

    def _verified(self, topic: str, payload: bytes, received_utc_ms: int) -> SealedRead:
        """Return what a message holds, still sealed; but its header nothing is read before its signature is good."""
        sealed = sealing.from_wire(payload)
        if device_of_read_topic(topic) != sealed.device_id:
            raise DocumentRejected("envelope: it came on another unit's topic", RejectionCause.OTHER_DEVICE)
        sealing.verify(sealed, *self._verifying_keys(sealed.device_id, received_utc_ms))
        return sealed

    def _verifying_keys(self, device_id: str, received_utc_ms: int) -> tuple[Ed25519PublicKey, ...]:
        """Return the keys of a unit that may send, likeliest first. Raises DocumentRejected."""
        if not re.fullmatch(DEVICE_ID_PATTERN, device_id):  # before it becomes a path
            raise DocumentRejected("envelope: its topic names no unit")
        try:
            keys = self._registry.keys(device_id, received_utc_ms)
        except ConfigRejected as error:  # one bad entry must not stop the others' reads
            raise DocumentRejected(
                "envelope: the unit's entry in the registry cannot be used", RejectionCause.UNUSABLE_ENTRY
            ) from error
        if not keys:
            raise DocumentRejected("envelope: the unit is not in the registry", RejectionCause.UNKNOWN_DEVICE)
        return keys

    def _receipt(self, device_id: str, now_s: float, issued_utc_ms: int) -> bytes:
        arrived = self._owed.pop(device_id)
        self._receipted_at_s[device_id] = now_s
        around = self._store.ranges_around(device_id, arrived)
        named, later = around[:MAX_RANGES], around[MAX_RANGES:]
        if later:  # their turn comes with the next one
            self._owed[device_id] = {low for low, _ in later}
        newest = self._store.newest_ranges(device_id, USUAL_RANGES)
        others = [one for one in newest if one not in named][: max(0, USUAL_RANGES - len(named))]
        if arrived:
            self.gaps.notice(device_id, [low for low, _ in around], now_s)
        receipt = Receipt(
            device_id=device_id,
            ranges=tuple(sorted([*named, *others])),
            issued_utc_ms=issued_utc_ms,
            asked_again=self.gaps.questions_for(device_id),
        )
        return sign_receipt(receipt, self._receipt_key)
