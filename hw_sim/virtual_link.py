"""A unit's uplink through a simulated cell in virtual time: real outbox, real uplink, real receiving, and a judge.

`random_life` makes a week of troubles from a seed; `VirtualLink` lives through it. What must hold after each is in
`Findings`: nothing lost, doubled or out of order, the broker's limit kept, alerts first.
"""

import base64
import dataclasses
import threading
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cloud import registry
from cloud.opening_keys import OpeningKey, OpeningKeys
from cloud.receiving import Receiving
from cloud.registry import Registry
from cloud.store import ReadStore
from firmware.agency_keys import AgencyKey, SuiteNumber
from firmware.config import UplinkConfig
from firmware.faults import FaultBook
from firmware.outbox import Outbox
from firmware.ports import Link
from firmware.receipts import verify_receipt
from firmware.records import BoardState, Connected, LinkEvent, Lost, MemoryUse, MessageClass, Received, Refused
from firmware.sealing import Sealer
from firmware.stage import Mailbox
from firmware.uplink import UplinkStage
from hw_sim.cell import Conditions, Coverage, Spell
from hw_sim.link_reads import ReadSource, Verdict
from hw_sim.network import SimulatedCell
from hw_sim.runner import VirtualClock, VirtualTime, VirtualTimers
from hw_sim.simulated_broker import BrokerRules, SimBroker, SimReceiver
from hw_sim.watched_link import WatchedLink
from provisioning import durable_files
from provisioning.link_around import LinkAround

DEVICE_ID: Final = "k-cell0001"
PICTURE_BYTES: Final = 1500
ALERT_RATIO: Final = 0.2
TROUBLED_S: Final = (600.0, 3 * 86_400.0)
SETTLING_S: Final = 86_400.0
"""After the troubles: a read without a receipt goes again after six hours at most."""

MEMORY: Final = MemoryUse(resident_bytes=0, pool_free_bytes=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that befalls a NAT, the broker or the receiver at a moment."""

    at_s: float
    kind: str  # "nat-silent", "nat-reset", "broker-forgets", "broker-restarts", "receiver-away"
    for_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A cell's weather, what befalls the other end, and what the unit captures meanwhile."""

    spells: tuple[Spell, ...]
    troubles: tuple[Trouble, ...]
    captures: tuple[tuple[float, MessageClass], ...]
    rules: BrokerRules
    window: int
    ends_s: float

    def forgets(self) -> bool:
        """Say whether the broker loses what it had acknowledged, after which no order can be asked for."""
        return any(trouble.kind == "broker-forgets" for trouble in self.troubles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What came of a life."""

    verdict: Verdict
    waiting: int  # in the outbox at the end
    over_limit: int
    exceeded: int  # the same, as the broker saw it
    alerts_passed_over: int
    repetitions: int
    sessions: int
    max_in_flight: int
    rejected: int


class SeededSystem:
    """The System port with chance that repeats."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def notify(self, state: str) -> None:
        """Tell nobody."""

    def random_bytes(self, count: int) -> bytes:
        """Return bytes of the seeded generator."""
        return self._random.randbytes(count)

    def memory(self) -> MemoryUse:
        """Return that nothing is known."""
        return MEMORY

    def board_state(self) -> BoardState:
        """Return that nothing is known."""
        return BoardState(board_c=None, throttled=None)

    def reboot(self) -> None:
        """Do nothing: there is no machine."""


class AlertWatch(LinkAround):
    """The Link port around another one: counts in `passed_over` each read that goes while an alert could."""

    def __init__(self, link: Link, receipt_key: Ed25519PublicKey) -> None:
        super().__init__(link)
        self.passed_over = 0
        self._receipt_key = receipt_key
        self._classes: dict[int, MessageClass] = {}
        self._waiting: set[int] = set()  # alerts that nobody has sent in this session
        self._unacked: set[int] = set()
        self._unreceipted: set[int] = set()

    def captured(self, token: int, message_class: MessageClass) -> None:
        """Note what the unit has put into its outbox."""
        self._classes[token] = message_class
        if message_class is MessageClass.ALERT:
            self._waiting.add(token)
            self._unreceipted.add(token)

    def publish(self, topic: str, payload: bytes, token: int, expiry_s: int) -> bool:
        """Hand on one message; a lower class than what waits is noted."""
        is_taken = super().publish(topic, payload, token, expiry_s)
        if is_taken:
            self.passed_over += bool(self._waiting) and self._classes[token] is not MessageClass.ALERT
            self._waiting.discard(token)
            self._unacked.add(token)
        return is_taken

    def events(self) -> list[LinkEvent]:
        """Return the link's events, noted."""
        events = super().events()
        for event in events:
            match event:
                case Lost() | Refused(token=None):
                    self._lost()
                case Connected(session_present=False):
                    self._waiting = set(self._unreceipted)
                case Received(payload=payload):
                    for low, high in verify_receipt(payload, self._receipt_key, DEVICE_ID).ranges:
                        known = {one for one in self._unreceipted if low <= one <= high}
                        self._unreceipted -= known
                        self._waiting -= known
                case _:
                    self._unacked.discard(getattr(event, "token", -1))
        return events

    def disconnect(self) -> None:
        """End the session."""
        super().disconnect()
        self._lost()

    def _lost(self) -> None:
        self._waiting |= self._unacked & self._unreceipted
        self._unacked.clear()


class CaptureStage:
    """A stage that seals the reads of a life at their moments."""

    name = "captures"

    def __init__(self, life: Life, source: ReadSource, watch: AlertWatch, start_s: float) -> None:
        self.wake = threading.Event()
        self._captures = list(reversed(life.captures))
        self._source, self._watch, self._start_s = source, watch, start_s

    def step(self, now_s: float) -> float:
        """Seal what is due; return when the next read is."""
        while self._captures and self._captures[-1][0] + self._start_s <= now_s:
            _, message_class = self._captures.pop()
            token = self._source.capture(message_class, picture_bytes=PICTURE_BYTES)
            self._watch.captured(token, message_class)
        return self._captures[-1][0] + self._start_s if self._captures else float("inf")

    def close(self) -> None:
        """Hold nothing."""


class VirtualLink:
    """One unit, its cell, its broker and its receiver, in a folder of their own."""

    def __init__(self, life: Life, folder: Path, seed: int) -> None:
        self._life = life
        random = Random(seed)
        clock = VirtualClock()
        timers = VirtualTimers(clock)
        device_key, receipt_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        opening_key = OpeningKey.generate(SuiteNumber.X25519)
        self._store_path = folder / "reads.db"
        self._store = ReadStore(self._store_path)
        self._receiving = Receiving(
            Registry(_registered(folder, device_key)), self._store, OpeningKeys([opening_key]), receipt_key
        )
        self._receiver = SimReceiver(self._receiving, clock, timers)
        self._broker = SimBroker(DEVICE_ID, self._receiver, life.rules, clock=clock, timers=timers, random=random)
        self.cell = SimulatedCell(DEVICE_ID, life.spells, self._broker, clock=clock, timers=timers, random=random)
        self._link = WatchedLink(self.cell, clock.monotonic_s)
        self._watch = AlertWatch(self._link, receipt_key.public_key())
        system = SeededSystem(random)
        self._outbox = Outbox(
            folder / "outbox.db", capacity_bytes=10**9, retention_s=30 * 86_400.0, clock=clock, system=system
        )
        sealer = Sealer(DEVICE_ID, device_key, [AgencyKey.from_raw(opening_key.suite, opening_key.public_bytes)])
        self._source = ReadSource(DEVICE_ID, sealer, self._outbox, clock, seed)
        uplink = UplinkStage(
            self._watch,
            self._outbox,
            UplinkConfig(host="broker.invalid", window=life.window),
            device_id=DEVICE_ID,
            receipt_key=receipt_key.public_key(),
            commands=Mailbox(threading.Event(), 1),
            system=system,
            faults=FaultBook(),
        )
        captures = CaptureStage(life, self._source, self._watch, clock.monotonic_s())
        for trouble in life.troubles:
            timers.timer(trouble.at_s, lambda trouble=trouble: self._befall(trouble, timers)).start()  # type: ignore[misc]
        self._time = VirtualTime([timers, captures, uplink], clock)

    def live(self) -> Findings:
        """Live to the end and return what came of it. Raises RuntimeError if the stages never come to rest."""
        self._time.run_until(self._life.ends_s)
        return Findings(
            verdict=self._source.verdict(self._store_path),
            waiting=self._outbox.count(),
            over_limit=self._link.over_limit,
            exceeded=self._broker.exceeded,
            alerts_passed_over=self._watch.passed_over,
            repetitions=self._receiving.duplicates,
            sessions=self._link.sessions,
            max_in_flight=self._link.max_in_flight,
            rejected=sum(self._receiving.rejected.values()),
        )

    def close(self) -> None:
        """Close the files."""
        self._time.close()
        self._outbox.close()
        self._store.close()

    def _befall(self, trouble: Trouble, timers: VirtualTimers) -> None:
        match trouble.kind:
            case "nat-silent" | "nat-reset":
                self.cell.reset_nat(silent=trouble.kind == "nat-silent")
            case "broker-forgets" | "broker-restarts":
                self._broker.restart(trouble.for_s, forgets=trouble.kind == "broker-forgets")
            case _:
                self._receiver.is_away = True
                timers.timer(trouble.for_s, self._receiver_back).start()

    def _receiver_back(self) -> None:
        self._receiver.is_away = False
        self._broker.wake_receiver()


def random_life(seed: int, *, reads: int) -> Life:
    """Return a life by chance: minutes to days of troubles, and a day in which all can be mended."""
    random = Random(seed)
    troubled_s = random.uniform(*TROUBLED_S)
    good = Conditions(
        delay_s=random.uniform(0.02, 0.6),
        jitter_s=random.uniform(0.0, 0.3),
        loss_ratio=random.choice((0.0, 0.02, 0.1)),
        rate_bit_s=random.choice((9_600.0, 64_000.0, 1e6)),
    )
    spells, at_s = [], 0.0
    while at_s < troubled_s:
        is_bad = random.random() < 0.5
        spells.append(Spell(from_s=at_s, conditions=_bad(random, good) if is_bad else good))
        at_s += random.expovariate(1.0 / min(troubled_s / 4, 10.0 ** random.uniform(0.5, 4.5)))
    spells.append(Spell(from_s=troubled_s, conditions=good))
    kinds = random.sample(
        ["nat-silent", "nat-reset", "broker-restarts", "receiver-away", "broker-forgets"], random.randint(0, 5)
    )
    troubles = tuple(
        Trouble(at_s=random.uniform(0.0, troubled_s), kind=kind, for_s=random.uniform(0.1, troubled_s / 4))
        for kind in kinds
        for _ in range(random.randint(1, 4))
    )
    peak_s = random.uniform(0.0, troubled_s)
    moments = [random.uniform(0.0, troubled_s) for _ in range(reads // 2)]
    moments += [peak_s + 1.2 * place for place in range(reads - len(moments))]
    return Life(
        spells=tuple(spells),
        troubles=troubles,
        captures=tuple((moment_s, _class_by_chance(random)) for moment_s in sorted(moments)),
        rules=BrokerRules(
            receive_maximum=random.choice((1, 2, 5, 20, 100)),
            ack_delay_s=random.choice((0.0, 0.5, 20.0)),
            receipt_trouble_ratio=random.choice((0.0, 0.2)),
        ),
        window=random.choice((1, 3, 10, 100)),
        ends_s=max(troubled_s, *moments) * 1.3 + SETTLING_S,
    )


def _bad(random: Random, good: Conditions) -> Conditions:
    match random.randrange(6):
        case 0:
            return dataclasses.replace(good, loss_ratio=0.3)
        case 1:
            return dataclasses.replace(good, rate_bit_s=2_400.0, delay_s=good.delay_s + 2.0)
        case _:
            return dataclasses.replace(
                good, coverage=random.choice([coverage for coverage in Coverage if coverage is not Coverage.SERVED])
            )


def _class_by_chance(random: Random) -> MessageClass:
    return MessageClass.ALERT if random.random() < ALERT_RATIO else MessageClass.READ


def _registered(folder: Path, device_key: Ed25519PrivateKey) -> Path:
    path = folder / "registry"
    durable_files.make_folder(path)
    entry = registry.Unit(
        device_id=DEVICE_ID,
        public_key=base64.b64encode(device_key.public_key().public_bytes_raw()).decode(),
        certificate_serials=("7f",),
        certificate_until_utc="2037-01-15T08:00:00Z",
        site_name="cell",
        enrolled_utc="2027-01-15T08:00:00Z",
    )
    durable_files.write(path / f"{DEVICE_ID}.json", registry.encode(entry))
    return path
