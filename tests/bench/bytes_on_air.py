"""What a unit costs on air: `python -m tests.bench.bytes_on_air`, as root. Prints; asserts nothing, is no test.

The unit's own link, outbox and uplink in one network namespace, Mosquitto and the receiver in another, a cable between
them; each packet is counted with its IP, TCP, TLS and MQTT, both ways, without Ethernet's 14 bytes. Segments are not
joined, as no modem's are. `wire` is the envelope; what is on air beyond it is what budget.MESSAGE_OVERHEAD_BYTES means.
"""

import argparse
import contextlib
import datetime as dt
import os
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from cloud.receiver import Receiver, ReceiverSettings
from firmware import agency_keys, config, identity, sealing
from firmware.board.linux import LinuxClock, LinuxSystem
from firmware.board.mqtt_link import MqttLink
from firmware.board.pkcs11_token import key_store
from firmware.config import SiteConfig
from firmware.faults import FaultBook
from firmware.health_report import Spent, Thrift
from firmware.link_causes import LinkCause
from firmware.outbox import Outbox
from firmware.records import MessageClass
from firmware.sealing import Sealer, uuid7
from firmware.stage import Mailbox
from firmware.uplink import UplinkStage
from hw_sim.broker import Broker
from provisioning import fleet, unit
from tests.made_health import made_health
from tests.made_reads import made_read
from tests.security.network_spaces import BROKER4, Cable, run

SITE = SiteConfig(name="Test Street 17", latitude_deg=37.251234, longitude_deg=-122.101234)
PORT = 8883
QUIET_S = 0.6
KEEPALIVE_S = 15
ETHERNET_BYTES = 14
PICTURE_BYTES = 3247  # the mean of tests.bench.crop_encoding
MONTH_S = 30 * 86_400
CLOCK = LinuxClock()


class MeasuredUnit:
    """A unit without a camera on the cable; steps its uplink, and reads the cable's counters."""

    def __init__(self, folder: Path, cable: Cable, keepalive_s: int) -> None:
        settings = config.load(folder / identity.CONFIG_NAME)
        self._cable, self.device_id = cable, settings.device_id
        uplink_config = type(settings.uplink)(host=BROKER4, port=PORT, keepalive_s=keepalive_s)
        keys, faults = key_store(None, folder), FaultBook()
        own = identity.load(folder, settings.device_id, keys)
        self.sealer = Sealer(settings.device_id, own.device_key, agency_keys.load(settings.seal))
        self.outbox = Outbox(
            folder / "outbox.db", capacity_bytes=10**8, retention_s=1e6, clock=CLOCK, system=LinuxSystem()
        )
        self.link = MqttLink(uplink_config, own)
        self.uplink = UplinkStage(
            self.link,
            self.outbox,
            uplink_config,
            device_id=settings.device_id,
            receipt_key=identity.receipt_public_key(settings.seal),
            commands=Mailbox(threading.Event(), 1),
            system=LinuxSystem(),
            faults=faults,
        )
        self.acked = 0
        self._acked = self.outbox.acked
        self.outbox.acked = self._note_acked  # what the stage tells the outbox, seen on its way

    def _note_acked(self, token: int, now_s: float) -> None:
        self.acked += 1
        self._acked(token, now_s)

    def on_air(self) -> int:
        """Return what the cable has carried both ways, without Ethernet's headers."""
        with self._cable.unit.entered():
            fields = next(
                line.split(":")[1].split()
                for line in Path("/proc/thread-self/net/dev").read_text().splitlines()
                if line.strip().startswith("unit0:")
            )
        received, received_packets, sent, sent_packets = (int(fields[place]) for place in (0, 1, 8, 9))
        return received + sent - ETHERNET_BYTES * (received_packets + sent_packets)

    def run_until(self, condition: Callable[[], bool], limit_s: float = 30.0) -> None:
        deadline_s = CLOCK.monotonic_s() + limit_s
        with self._cable.unit.entered():
            while not condition():
                if CLOCK.monotonic_s() > deadline_s:
                    sys.exit("bytes_on_air: nothing came in time")
                self.uplink.wake.clear()
                self.uplink.step(CLOCK.monotonic_s())
                self.uplink.wake.wait(0.02)

    def run_for(self, seconds: float) -> None:
        end_s = CLOCK.monotonic_s() + seconds
        self.run_until(lambda: CLOCK.monotonic_s() >= end_s, seconds + 5)

    def until_quiet(self) -> int:
        """Go on until nothing has been on the cable for QUIET_S; return what it has carried."""
        before = -1
        while (now := self.on_air()) != before:
            before = now
            self.run_for(QUIET_S)
        return now

    def cost_of(self, act: Callable[[], None]) -> int:
        before = self.until_quiet()
        act()
        return self.until_quiet() - before

    def send(self, *, picture: bytes, count: int = 1) -> int:
        """Send reads and wait for the broker's acknowledgement; return the bytes of an envelope."""
        awaited = self.acked + count
        for _ in range(count):
            sequence = self.outbox.reserve_sequence()
            read = made_read(sequence, device_id=self.device_id, at_utc_ms=CLOCK.utc_ms(), picture=picture)
            sealed = self.sealer.seal(read, message_class=MessageClass.READ)
            self.outbox.put(sealed)
        self.run_until(lambda: self.acked >= awaited)
        return len(sealing.to_wire(sealed))

    def send_health(self) -> int:
        awaited = self.acked + 1
        utc_ms = CLOCK.utc_ms()
        spent = Spent(day_bytes=14_000_000, month_bytes=310_000_000, thrift=Thrift.PLENTY)
        causes = {"lost": 12, "silent": 3, "quota-exceeded": 1}
        health = made_health(
            made_utc_ms=utc_ms, spent=spent, causes=causes, reads_sealed=2400, board_decidegrees=450, throttled=0
        )
        made = self.sealer.seal_health(
            health, read_id=uuid7(utc_ms, os.urandom(10)), sequence=self.outbox.reserve_sequence()
        )
        self.outbox.put(made)
        self.run_until(lambda: self.acked >= awaited)
        return len(sealing.to_wire(made))

    def connect(self) -> None:
        self.run_until(lambda: self.uplink._connected is not None)

    def reconnect(self) -> None:
        """Lose the connection as a modem does, and make it again."""
        with self._cable.unit.entered():
            self.link.disconnect()
        self.uplink._offline(CLOCK.monotonic_s(), LinkCause.LOST)
        self.connect()


@contextlib.contextmanager
def receiving(folder: Path, cable: Cable) -> Iterator[None]:
    stopping = threading.Event()
    settings = ReceiverSettings(folder=folder, host=BROKER4, port=PORT, store_path=folder / "reads.db", count=None)
    with (folder / "said").open("w") as said:
        with cable.outside.entered():
            receiver = Receiver(settings, stopping, said)
            thread = threading.Thread(target=receiver.run, name="receiver")
            thread.start()
            receiver.is_receiving.wait(20)
        try:
            yield
        finally:
            stopping.set()
            thread.join(20)


def told(name: str, costs: list[int], wire: int | None = None) -> None:
    middle = statistics.median(costs)
    beyond = "" if wire is None else f"  (wire {wire}, beyond it {middle - wire:.0f})"
    print(f"{name:<50} {middle:6.0f} median {max(costs):6d} most{beyond}", flush=True)


def measure(measured: MeasuredUnit, office: Path, cable: Cable, count: int) -> None:
    """Measure everything. What is sent without a receiver comes last: after two minutes it would go again."""
    picture = os.urandom(PICTURE_BYTES)
    kinds = {"read without picture": b"", f"read with a picture of {PICTURE_BYTES} bytes": picture}

    def reads(name: str, data: bytes, further: str) -> None:
        wire = measured.send(picture=data)
        told(f"{name}, {further}", [measured.cost_of(lambda: measured.send(picture=data)) for _ in range(count)], wire)

    before = measured.on_air()
    measured.connect()
    told("connect, first", [measured.until_quiet() - before])
    with receiving(office, cable):
        measured.until_quiet()
        for name, data in kinds.items():
            reads(name, data, "PUBACK and receipt")
        wire = measured.send_health()
        health = [measured.cost_of(measured.send_health) for _ in range(count)]
        told("health, PUBACK and receipt", health, wire)
        backlog = [measured.cost_of(lambda: measured.send(picture=picture, count=200)) // 200 for _ in range(2)]
        told("200 reads with pictures at once, each", backlog)
        measured.run_until(lambda: measured.outbox.count() == 0)
    told("reconnect", [measured.cost_of(measured.reconnect) for _ in range(5)])
    before_s, before = CLOCK.monotonic_s(), measured.until_quiet()
    measured.run_for(4.2 * KEEPALIVE_S)
    idle = measured.until_quiet() - before
    keepalive = idle / ((CLOCK.monotonic_s() - before_s) // KEEPALIVE_S)
    told("keep-alive", [round(keepalive)])
    for name, data in kinds.items():
        reads(name, data, "PUBACK")
    usual = statistics.median(health)
    longest = usual - wire + 1024  # the longest envelope for one agency
    month(keepalive, usual, longest)


def month(keepalive_bytes: float, health_bytes: float, longest_bytes: float) -> None:
    """Print what a month costs in which nothing passes, at the defaults of the configuration."""
    every_s, period_s = config.UplinkConfig(host="x").keepalive_s, config.HealthConfig().period_s
    for name, one in (("usual", health_bytes), ("longest", longest_bytes)):
        idle = MONTH_S / every_s * keepalive_bytes + MONTH_S / period_s * one
        print(f"idle month, keep-alive {every_s} s, {name} health each {period_s} s: {idle / 1e6:.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description="What a unit costs on air.")
    parser.add_argument("--count", type=int, default=10, help="messages of each kind (default: %(default)s)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bytes_on_air: needs root, for network namespaces")
    with tempfile.TemporaryDirectory() as name, contextlib.closing(Cable()) as cable:
        folder, now = Path(name), dt.datetime.fromtimestamp(CLOCK.utc_ms() / 1000, tz=dt.UTC)
        for space, device in ((cable.unit, "unit0"), (cable.outside, "out0")):
            with space.entered():
                run("ip", "link", "set", device, "gso_max_segs", "1", "gso_max_size", "1500")
        office, place = folder / "fleet", folder / "unit"
        fleet.init(office, host=BROKER4, port=PORT, now=now)
        unit.enrol(office, place, SITE, now)
        with contextlib.ExitStack() as running:
            with cable.outside.entered():
                running.enter_context(Broker(office, folder, BROKER4))
            measured = MeasuredUnit(place, cable, KEEPALIVE_S)
            running.callback(measured.outbox.close)
            running.callback(measured.uplink.close)
            measure(measured, office, cable, options.count)


if __name__ == "__main__":
    main()
