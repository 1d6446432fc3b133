"""Uplink, outbox and ladder together in virtual time, behind a simulated modem: what counts as silence, what not."""

import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from made_reads import made_read, made_sealer

from firmware.config import ModemConfig, UplinkConfig
from firmware.faults import FaultBook, FaultCode
from firmware.outbox import RECEIPT_WAIT_S, UNRECEIPTED_MAX, Outbox
from firmware.receipts import sign_receipt
from firmware.records import Acked, Connected, Receipt, Received, Refused
from firmware.recovery import RecoveryStage, Rung
from firmware.stage import Mailbox
from firmware.topics import receipt_topic
from firmware.uplink import UplinkStage
from firmware.wall_clock import JudgedClock
from hw_sim.board import open_modem
from hw_sim.host import SimHost
from hw_sim.modem import ModemFailure
from hw_sim.runner import VirtualClock, VirtualTime, VirtualTimers

DEVICE = "k-test0001"
RECEIPT_KEY = Ed25519PrivateKey.generate()
SEALER = made_sealer(Ed25519PrivateKey.generate(), X25519PrivateKey.generate())


class LinkThroughModem:
    """A session that the modem carries: what it swallows is never answered. World face: `refuses`, `receipts`."""

    def __init__(self, modem):
        self.refuses, self.receipts = False, True
        self._modem, self._events, self._wake, self._is_up = modem, [], None, False

    def listen(self, wake):
        self._wake = wake

    def connect(self):
        if not self._modem.passes():
            return
        if self.refuses:
            self._say(Refused(None, "not authorised"))
            return
        self._is_up = True
        self._say(Connected(session_present=True, receive_maximum=20, maximum_packet_bytes=100_000))

    def publish(self, topic, payload, token, expiry_s):
        if self._is_up and self._modem.passes():
            self._say(Acked(token))
            if self.receipts:
                receipt = Receipt(device_id=DEVICE, ranges=((token, token),), issued_utc_ms=1)
                self._say(Received(receipt_topic(DEVICE), sign_receipt(receipt, RECEIPT_KEY)))
        return self._is_up

    def events(self):
        taken, self._events = self._events, []
        return taken

    def disconnect(self):
        self._is_up = False

    def _say(self, event):
        self._events.append(event)
        self._wake.set()


class Road:
    """A read every half minute."""

    name = "road"

    def __init__(self, outbox):
        self.wake, self.is_busy, self._outbox = threading.Event(), True, outbox

    def step(self, now_s):
        if self.is_busy:
            self.put()
        return now_s + 30.0

    def put(self):
        self._outbox.put(SEALER.seal(made_read(self._outbox.reserve_sequence(), picture=b"")))

    def close(self):
        pass


class Unit:
    def __init__(self, folder):
        self.clock = VirtualClock(start_s=100.0)
        timers, self.faults = VirtualTimers(self.clock), FaultBook()
        self.modem, rail = open_modem(ModemConfig(power_pin=23), self.clock, make_timer=timers.timer)
        self.link, self.host = LinkThroughModem(self.modem), SimHost()
        self.outbox = Outbox(
            folder / "outbox.db", capacity_bytes=10**8, retention_s=10**6, clock=self.clock, system=self.host
        )
        self.road = Road(self.outbox)
        self.uplink = UplinkStage(
            self.link,
            self.outbox,
            UplinkConfig(host="localhost"),
            device_id=DEVICE,
            receipt_key=RECEIPT_KEY.public_key(),
            commands=Mailbox(threading.Event(), 1),
            system=self.host,
            faults=self.faults,
        )
        self.recovery = RecoveryStage(
            self.modem,
            rail,
            folder,
            acked_at_s=lambda: self.uplink.acked_at_s,
            has_something_to_say=self.outbox.awaits_broker,
            on_mended=self.uplink.connect_now,
            clock=JudgedClock(self.clock),
            system=self.host,
            faults=self.faults,
        )
        self.time = VirtualTime([timers, self.road, self.uplink, self.recovery], self.clock)

    def run_for(self, seconds):
        self.time.run_until(self.clock.monotonic_s() + seconds)

    def rungs(self):
        return dict(self.recovery.rungs)


@pytest.fixture
def unit(tmp_path):
    one = Unit(tmp_path)
    one.run_for(300.0)
    assert one.outbox.count() == 0
    assert one.rungs() == {}
    yield one
    one.time.close()
    one.outbox.close()


def test_acknowledgements_and_receipts_are_what_is_judged_by(unit):
    before_s = unit.uplink.acked_at_s
    assert before_s > 300.0
    unit.run_for(120.0)
    assert unit.uplink.acked_at_s - before_s == pytest.approx(120.0, abs=31.0)
    unit.road.is_busy = False
    unit.run_for(1000.0)
    assert unit.uplink.acked_at_s < unit.clock.monotonic_s() - 900.0  # nothing was said, and nothing is done
    assert unit.rungs() == {}


def test_a_session_that_swallows_everything_is_made_anew_and_everything_arrives(unit):
    unit.modem.fail(ModemFailure.BEARER)
    unit.run_for(600.0)
    assert unit.rungs() == {Rung.RECONNECT: 1}
    assert unit.outbox.count() == 0


def test_a_receiver_that_is_away_is_no_reason_to_touch_the_modem(unit):
    """The broker acknowledges, nobody confirms: first everything is sent, then all but what is due again waits."""
    unit.link.receipts = False
    unit.run_for(6 * 3600.0)
    assert unit.outbox.count() > UNRECEIPTED_MAX
    assert unit.rungs() == {}
    assert unit.host.reboots == 0


def test_a_broker_that_refuses_is_no_reason_either(unit):
    unit.link.refuses = True
    unit.link.disconnect()
    unit.run_for(6 * 3600.0)
    assert FaultCode.BROKER_REFUSED in {report.code for report in unit.faults.reports()}
    assert unit.rungs() == {}
    unit.link.refuses = False
    unit.run_for(900.0)
    assert unit.outbox.count() == 0


def test_a_night_without_a_vehicle_and_without_a_network_is_noticed_by_the_connection_alone(unit):
    unit.road.is_busy = False
    unit.run_for(60.0)
    unit.modem.fail(ModemFailure.NETWORK)
    unit.run_for(3600.0)
    assert unit.rungs() == {}  # nobody asked: the session still counts as up
    unit.road.put()
    unit.run_for(150.0)
    assert unit.rungs() == {Rung.RECONNECT: 1}


def test_what_the_outbox_wants_of_the_broker(unit):
    unit.road.is_busy, outbox = False, unit.outbox
    unit.run_for(10.0)
    now_s = unit.clock.monotonic_s()
    assert not outbox.awaits_broker(now_s)
    unit.road.put()
    assert outbox.awaits_broker(now_s)
    (waiting,) = outbox.next_unsent(1, now_s)
    outbox.mark_sent(waiting.token)
    assert outbox.awaits_broker(now_s)  # on its way
    outbox.acked(waiting.token, now_s)
    assert not outbox.awaits_broker(now_s)
    assert outbox.awaits_broker(now_s + RECEIPT_WAIT_S)  # goes again
    outbox.postpone(waiting.token, now_s + 1000.0)
    assert not outbox.awaits_broker(now_s + 999.0)
