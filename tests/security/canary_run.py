"""One run of the whole product with known plates, keys and place, and then one with faults; all that it leaves."""

import contextlib
import json
import os
import shutil
import sqlite3
import ssl
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import cv2
from loopback_fleet import NOW
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from cloud import fleet_folder
from cloud.opening_keys import OpeningKey
from firmware import identity, key_files
from firmware.board.mqtt_loop import move_bytes
from firmware.config import SiteConfig
from firmware.faults import FaultCode
from firmware.records import Light
from hw_sim.broker import Broker
from hw_sim.demonstration import prepare
from hw_sim.road import Road
from provisioning import certificates, fleet

ROOT = Path(__file__).resolve().parents[2]
SITE = SiteConfig(name="Canary Avenue Bridge", latitude_deg=37.774931, longitude_deg=-122.419416)
SEED, PLATES, TIMES = 1, 3, 6
IMAGE_BYTES, BLOCK_BYTES = 64_000_000, 4096  # room for what an outbox keeps free; blocks as on a unit's card
LIMIT_S = 240
PROC = Path("/proc")


@dataclass
class Evidence:
    """What a run left and said on the unit's side, and what it was about."""

    places: object
    image: Path | None
    plates: list[str]
    keys: dict[str, bytes] = field(repr=False, default_factory=dict)
    pictures: list[bytes] = field(repr=False, default_factory=list)
    stored: list[str] = field(repr=False, default_factory=list)
    lines: dict[str, str] = field(repr=False, default_factory=dict)  # by run: standard error, and the device's output
    codes: dict[str, int] = field(default_factory=dict)
    processes: dict[str, bytes] = field(repr=False, default_factory=dict)  # /proc files of the device, by name
    messages: list[tuple[str, bytes]] = field(repr=False, default_factory=list)
    alive: list[bytes] = field(repr=False, default_factory=list)  # the unit's files while it ran


class Listener:
    """A client that may hear every topic of the broker."""

    def __init__(self, places, messages):
        authority = fleet.load_authority(places.fleet)
        key = certificates.new_tls_key()
        made = certificates.client_certificate(
            authority, certificates.signing_request(key, "canary"), "canary", NOW, 10
        )
        folder = places.folder / "canary"
        folder.mkdir()
        (folder / "key").write_bytes(certificates.key_pem(key))
        (folder / "crt").write_bytes(certificates.certificate_pem(made))
        with (places.fleet / fleet_folder.BROKER_FOLDER / "access.acl").open("a") as access:
            access.write("\nuser canary\ntopic read #\n")
        tls = ssl.create_default_context(cafile=places.fleet / fleet_folder.AUTHORITY_CERTIFICATE)
        tls.load_cert_chain(folder / "crt", folder / "key")
        self._port = fleet_folder.load(places.fleet).port
        self._client = Client(CallbackAPIVersion.VERSION2, "canary", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.tls_set_context(tls)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_message = lambda _client, _data, message: messages.append((message.topic, message.payload))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="canary")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join(20)
        with contextlib.suppress(OSError):
            self._client.disconnect()
        if self._client.socket() is not None:
            self._client.socket().close()

    def _listen(self):
        while not self._stopping.is_set():
            try:
                self._client.connect("localhost", self._port)
                break
            except OSError:  # not yet there
                self._stopping.wait(0.1)
        while not self._stopping.is_set():
            if move_bytes(self._client, 0.2) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return


@contextlib.contextmanager
def disk_of_its_own(folder, image):
    """Mount an ext4 image on `folder`; yield whether that is possible here (root, loop devices, e2fsprogs)."""
    folder.mkdir(parents=True)
    make = shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if os.geteuid() != 0 or make is None:
        yield False
        return
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run([make, "-q", "-m", "0", "-b", str(BLOCK_BYTES), image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, folder], check=False, capture_output=True).returncode != 0:
        yield False
        return
    try:
        (folder / "lost+found").rmdir()
        yield True
    finally:
        subprocess.run(["umount", folder], check=True)


def photographs(folder):
    """Render vehicles at their best moment under names that say nothing; return their plates.

    The folder `often` beside them has them several times, for a run that something else than their end will end.
    """
    (folder / "often").mkdir(parents=True)
    road = Road(SEED, PLATES)
    for number, vehicle in enumerate(road.vehicles):
        path = folder / f"{number}.png"
        picture = road.expose(vehicle.passes_s, Light(exposure_us=200.0, gain=1.0))
        assert cv2.imwrite(str(path), picture)
        for time in range(TIMES):
            shutil.copy(path, folder / "often" / f"{time}-{number}.png")
    return [vehicle.text for vehicle in road.vehicles]


def surroundings(folder):
    """Return the environment of a process, every folder of which that it may write to is searched afterwards."""
    for name in ("home", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "SSLKEYLOGFILE": str(folder / "tmp" / "tls-keys"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def look_at_device(evidence, unit_folder):
    """Note environment, command line and limits of the device's process, and the unit's files as they are now."""
    for path in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes()
            if str(unit_folder).encode() in words and (b"device" in words):
                for name in ("cmdline", "environ", "limits"):
                    evidence.processes[name] = (path / name).read_bytes()
    with contextlib.suppress(OSError):  # a journal of SQLite comes and goes
        evidence.alive.append(b"".join(path.read_bytes() for path in unit_folder.rglob("*") if path.is_file()))


def whole_product(evidence, pictures, cwd):
    """Run broker, receiver and device until all pictures have been shown and confirmed."""
    places = evidence.places
    command = [sys.executable, "-m", "hw_sim", "run", "--folder", str(places.folder), "--source", str(pictures)]
    command += ["--log-level", "debug", "--log-format", "json"]
    with (
        Listener(places, evidence.messages),
        (places.folder / "said.err").open("w+") as said,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, cwd=cwd, env=surroundings(places.folder)
        ) as running,
    ):
        ended = threading.Event()
        watch = threading.Thread(target=_watch, args=(evidence, places.unit, ended), name="watch")
        watch.start()
        out, _ = running.communicate(timeout=LIMIT_S)
        ended.set()
        watch.join()
        said.seek(0)
        device_lines = [line for line in out.splitlines() if line.startswith("device: ")]
        evidence.lines["whole"] = "\n".join([said.read(), *device_lines])
        evidence.codes["whole"] = running.returncode


def _watch(evidence, unit_folder, ended):
    while not ended.wait(0.25):
        look_at_device(evidence, unit_folder)


def faults(evidence, pictures, cwd):
    """Run the failing device against a broker of another fleet, and fill its disk as soon as it has been refused."""
    places = evidence.places
    port = fleet_folder.load(places.fleet).port
    fleet.init(places.folder / "other", host="localhost", port=port, now=NOW)
    (places.folder / "elsewhere").mkdir()
    command = [sys.executable, str(ROOT / "tests" / "security" / "failing_device.py"), "--folder", str(places.unit)]
    awaited = FaultCode.STORAGE_REFUSED if evidence.image is not None else FaultCode.BROKER_REFUSED
    command += ["--source", str(pictures), "--log-format", "text", "--after", awaited]
    filler = places.unit / "filler"
    with (
        Broker(places.folder / "other", places.folder / "elsewhere"),
        subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, cwd=cwd, env=surroundings(places.folder)
        ) as device,
    ):
        lines = []
        too_long = threading.Timer(LIMIT_S, device.kill)
        too_long.start()
        for line in device.stderr:
            lines.append(line)
            if "broker-refused" in line and evidence.image is not None and not filler.exists():
                fill(filler)
        evidence.codes["faults"] = device.wait()
        too_long.cancel()
    filler.unlink(missing_ok=True)
    evidence.lines["faults"] = "".join(lines)


def fill(path):
    """Take all that is left of the disk."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 65536)


def keys_of(places):
    """Return the raw private keys, by name: the unit's own, and those that no unit ever sees."""
    device = key_files.load_key(places.unit / identity.KEY_NAME)
    authority = fleet.load_authority(places.fleet).key
    (opening_path,) = (places.fleet / fleet_folder.OPENING_FOLDER).iterdir()
    return {
        "the unit's key": device.private_bytes_raw(),
        "the opening key": OpeningKey.from_pem(opening_path.read_bytes()).secret,
        "the receipt key": fleet_folder.receipt_key(places.fleet).private_bytes_raw(),
        "the retirement key": fleet_folder.retirement_key(places.fleet).private_bytes_raw(),
        "the authority's key": authority.private_numbers().private_value.to_bytes(32, "big"),
    }


def collected(folder):
    """Run everything in `folder`; yield the evidence while the unit's disk is still mounted."""
    run_folder = folder / "run"
    with disk_of_its_own(run_folder / "unit", folder / "card.img") as has_disk:
        places = prepare(run_folder, SITE)
        pictures, cwd = folder / "pictures", folder / "cwd"
        cwd.mkdir()
        evidence = Evidence(
            places=places,
            image=folder / "card.img" if has_disk else None,
            plates=photographs(pictures),
            keys=keys_of(places),
        )
        whole_product(evidence, pictures, cwd)
        with contextlib.closing(sqlite3.connect(places.store)) as store:
            rows = store.execute("SELECT plate, picture FROM reads").fetchall()
        evidence.stored = [plate for plate, _ in rows if plate]
        evidence.pictures = [picture for _, picture in rows if picture]
        faults(evidence, pictures / "often", cwd)
        yield evidence


def json_lines(text):
    """Return the lines of a log that are JSON."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
