"""A unit and a receiver on loopback, driven by the test: real files, real TLS, real stores; no camera."""

import contextlib
import datetime as dt
import io
import socket
import threading

from made_reads import PLATE, KernelRandom, SetClock, made_read

from cloud import fleet_folder
from cloud.receiver import Receiver, ReceiverSettings
from firmware import agency_keys, config, identity
from firmware.board.linux import LinuxClock
from firmware.board.mqtt_link import MqttLink
from firmware.board.pkcs11_token import key_store
from firmware.config import SiteConfig
from firmware.faults import FaultBook
from firmware.guard import GuardStage
from firmware.outbox import Outbox
from firmware.records import MessageClass
from firmware.sealing import Sealer
from firmware.stage import Latest
from firmware.uplink import UplinkStage
from firmware.vehicle_folder import VehicleFolder
from firmware.vehicles import VehicleStage

SITE = SiteConfig(name="Test Street", latitude_deg=37.25, longitude_deg=-122.1)
CLOCK = LinuxClock()
NOW = dt.datetime.fromtimestamp(CLOCK.utc_ms() / 1000, tz=dt.UTC)


class Unit:
    """A unit without a camera: reads are put in its outbox by hand, and its uplink is stepped by the test."""

    def __init__(self, folder):
        self.config = config.load(folder / "config.json")
        keys = key_store(self.config.token, folder)
        self.identity = identity.load(folder, self.config.device_id, keys)
        self.sealer = Sealer(self.config.device_id, self.identity.device_key, agency_keys.load(self.config.seal))
        self.faults = FaultBook()
        self.outbox = Outbox(
            folder / "outbox.db",
            capacity_bytes=10_000_000,
            retention_s=1e6,
            clock=SetClock(),
            system=KernelRandom(),
        )
        self.link = MqttLink(self.config.uplink, self.identity)
        self.guard = GuardStage(
            folder,
            None,
            self.link,
            device_id=self.config.device_id,
            device_key=self.identity.device_key,
            keys=keys,
            retirement_key=identity.retirement_public_key(self.config.seal),
            clock=SetClock(CLOCK.utc_ms()),  # set by NTP, as a unit's clock is
            faults=self.faults,
        )
        self.has_room = Latest[bool](True)  # noqa: FBT003  a hand-over of a truth value
        self.vehicles = VehicleStage(
            VehicleFolder(
                folder / identity.VEHICLES_FOLDER,
                self.config.pictures,
                self.config.device_id,
                self.identity.device_key.public_key(),
            ),
            self.sealer,
            self.outbox,
            has_room=self.has_room,
            clock=SetClock(CLOCK.utc_ms()),
            system=KernelRandom(),
            faults=self.faults,
        )
        self.uplink = UplinkStage(
            self.link,
            self.outbox,
            self.config.uplink,
            device_id=self.config.device_id,
            receipt_key=identity.receipt_public_key(self.config.seal),
            commands=self.guard.commands,
            system=KernelRandom(),
            faults=self.faults,
            requests=self.vehicles.requests,
        )
        self._is_closed = False
        self.skipped_s = 0.0  # virtual seconds that the test has jumped over

    def put(self, count=1, *, message_class=MessageClass.READ, plate=PLATE):
        sealed = []
        for _ in range(count):
            read = made_read(
                self.outbox.reserve_sequence(),
                device_id=self.config.device_id,
                plate=plate,
                at_utc_ms=CLOCK.utc_ms(),
            )
            sealed.append(self.sealer.seal(read, message_class=message_class))
            self.outbox.put(sealed[-1])
        return sealed

    def run_until(self, condition, limit_s=15.0):
        """Step uplink, guard and vehicles, waiting on the uplink's wake, until `condition()`; say whether it came."""
        deadline_s = CLOCK.monotonic_s() + limit_s
        while CLOCK.monotonic_s() < deadline_s:
            self.uplink.wake.clear()
            self.uplink.step(CLOCK.monotonic_s() + self.skipped_s)
            self.guard.step(CLOCK.monotonic_s())
            self.vehicles.step(CLOCK.monotonic_s() + self.skipped_s)
            if condition():
                return True
            self.uplink.wake.wait(0.05)
        return False

    def acknowledged(self):
        """How many messages the broker has acknowledged and no receipt has confirmed: those that will be due one day.

        One that is due already is not counted.
        """
        due_one_day = {waiting.token for waiting in self.outbox.next_unsent(100_000, 1e12)}
        return len(due_one_day - {waiting.token for waiting in self.outbox.next_unsent(100_000, -1e12)})

    def cut_connection(self):
        """End the connection without a goodbye, wherever in the stream it is; return whether there was one.

        An SSLSocket's own shutdown takes its TLS away first, and what comes meanwhile would be read as it is.
        """
        session = self.link._session
        connection = session and session._client.socket()
        if connection is None:
            return False
        with contextlib.suppress(OSError):  # it ends by itself at this moment
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
        return True

    def fault_hint(self, code):
        return next((report.hint for report in self.faults.reports() if report.code is code), "")

    def close(self):
        if not self._is_closed:
            self._is_closed = True
            self.uplink.close()
            self.outbox.close()


class RunningReceiver:
    """The receiver's own loop on a thread of the test."""

    def __init__(self, folder, store_path, count=None):
        made = fleet_folder.load(folder)
        self.store_path = store_path
        self.output = io.StringIO()
        self.failure = None
        self._stopping = threading.Event()
        settings = ReceiverSettings(folder=folder, host=made.host, port=made.port, store_path=store_path, count=count)
        self._receiver = Receiver(settings, self._stopping, self.output)
        self._thread = threading.Thread(target=self._run, name="receiver")
        self._thread.start()
        assert self._receiver.is_receiving.wait(20)

    def _run(self):
        try:
            self._receiver.run()
        except Exception as failure:  # noqa: BLE001  told to the test by `join`
            self.failure = failure

    def stop(self):
        self._stopping.set()
        self.join()

    def join(self):
        self._thread.join(20)
        assert not self._thread.is_alive()
        assert self.failure is None
