"""Databases that a worn card or a stranger may have changed, and what a camera hands over."""

import contextlib
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from cloud.store import ReadStore, StoreRefused
from firmware.board.shot import PiShot, StreamSizes, light_of, small_of
from firmware.detect import letterbox
from firmware.faults import DeviceFault, RejectionCause
from firmware.lane import WHOLE_PICTURE
from firmware.motion import MotionGate
from firmware.outbox import Outbox
from firmware.records import Light, Receipt
from tests.fuzz.documents import DEVICE, sealed_read, work_folder
from tests.fuzz.judging import Target
from tests.made_reads import START_UTC_MS, KernelRandom, SetClock, made_read

SHAPES = r"\(a \w+ instead of an array\)|shape \([\d, ]*\)|strides of \([-\d, ]*\)|\w+ of shape"
SIZES = StreamSizes(main_px=(64, 48), small_px=(16, 12))


def _fresh(name: str) -> Path:
    """Return the path of a database that is not there, nor what SQLite puts beside one."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        (work_folder() / (name + suffix)).unlink(missing_ok=True)
    return work_folder() / name


def _open_outbox(path: Path) -> Outbox:
    return Outbox(path, capacity_bytes=10**6, retention_s=3600.0, clock=SetClock(), system=KernelRandom())


def _outbox(data: bytes) -> None:
    path = _fresh("outbox.db")
    path.write_bytes(data)
    with contextlib.closing(_open_outbox(path)) as outbox:
        outbox.count()
        outbox.expire()
        for waiting in outbox.next_unsent(10, 0.0):
            outbox.mark_sent(waiting.token)
            outbox.acked(waiting.token, 1.0)
        outbox.put(sealed_read(outbox.reserve_sequence()))
        outbox.next_due_s()
        outbox.confirm(Receipt(device_id=DEVICE, ranges=((0, 2**62 - 1),), issued_utc_ms=START_UTC_MS))
        outbox.reserved()


def _outbox_seeds() -> list[bytes]:
    path = _fresh("seed.db")
    with contextlib.closing(_open_outbox(path)) as outbox:
        empty = path.read_bytes()
        for _ in range(3):
            outbox.put(sealed_read(outbox.reserve_sequence()))
    return [path.read_bytes(), empty]


def _store(data: bytes) -> None:
    path = _fresh("reads.db")
    path.write_bytes(data)
    with ReadStore(path) as store:
        store.put(made_read(9), START_UTC_MS, b"an envelope")
        store.ranges_around(DEVICE, {1, 9})
        store.newest_ranges(DEVICE, 10)
        store.gap_below(DEVICE, 9)
        store.reads(10)
        store.counters()
        store.count_rejected(RejectionCause.MALFORMED)


def _store_seeds() -> list[bytes]:
    path = _fresh("seed.db")
    with ReadStore(path) as store:
        for sequence in (1, 2, 5):
            store.put(made_read(sequence), START_UTC_MS, bytes([sequence]))
        store.count_rejected(RejectionCause.MALFORMED)
    return [path.read_bytes()]


class _Request:
    """A completed request of picamera2 that hands over one array."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def make_array(self, _name: str) -> Any:
        return self._array


def _array(data: bytes) -> Any:
    """Return something like an array after the first bytes: kind, then sides, then strides."""
    kind, rank, *rest = (*data[:14], *bytes(16))
    sides = [(0, 1, 3, 12, 16, 18, 24, 48, 64, 65, 2**16)[side % 11] for side in rest[: rank % 5]]
    types = (np.uint8, np.int8, np.uint16, np.float32, np.bool_, object)
    if kind % 8 == 7:
        return (None, b"bytes", 3, [[1, 2]], memoryview(b"abc"), np.uint8(1))[rank % 6]
    if kind % 2 == 0:
        sides = ((48, 64, 3), (18, 16), (18, 24), (48, 64, 3))[rank % 4]
    strides = [(0, 1, 3, -1, -3, 192, 64, 2**40)[step % 8] for step in rest[4 : 4 + len(sides)]]
    if math.prod(sides) > 2**40:  # numpy itself makes no such array
        return None
    if kind % 4 == 1:
        return np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), tuple(sides), strides)
    if math.prod(sides) > 2**20:
        return None
    array = np.zeros(sides, types[kind // 8 % len(types)] if kind % 4 == 3 else np.uint8)
    return array[::-1] if array.ndim and rank >= 128 else array


def _frame(data: bytes) -> None:
    """Give an array as the whole and as the small picture; what is taken goes through the native code that follows."""
    array = _array(data)
    with contextlib.suppress(ValueError):
        MotionGate(WHOLE_PICTURE).look(small_of(array, SIZES), 0.0)
    shot = PiShot(
        number=1,
        at_s=0.0,
        light=Light(exposure_us=100.0, gain=1.0),
        small=np.zeros((12, 16), np.uint8),
        request=_Request(array),
        sizes=SIZES,
        clock=SetClock(),
        give_back=lambda _request: None,
    )
    letterbox(shot.develop(infrared=False).image)


def _number(data: bytes) -> Any:
    """Return what a metadata field may be: a float of eight bytes, a whole number of any size, or something else."""
    if len(data) == 8:
        return struct.unpack("<d", data)[0]
    if data[:1] == b"t":
        return (None, True, "1", [1], float("nan"), math.inf)[len(data) % 6]
    return int.from_bytes(data, "little", signed=True)


def _light(data: bytes) -> None:
    exposure, gain, stamp = data[:8], data[8:16], data[16:]
    metadata = {"ExposureTime": _number(exposure), "AnalogueGain": _number(gain), "SensorTimestamp": _number(stamp)}
    light = light_of(metadata, frame_duration_us=33_333.0)
    if not (0 < light.exposure_us <= 33_333.0 and 0 < light.gain <= 1000.0):
        raise AssertionError("a light that cannot be")


FILES_AND_FRAMES = (
    Target("outbox", _outbox, (DeviceFault,), _outbox_seeds, 65_536),
    Target("store", _store, (StoreRefused,), _store_seeds, 65_536),
    Target(
        "frame",
        _frame,
        (DeviceFault,),
        lambda: [bytes(14), b"\x00\x03" + bytes(12), b"\x01\x83" + bytes(12)],
        64,
        SHAPES,
    ),
    Target(
        "light",
        _light,
        (ValueError,),
        lambda: [struct.pack("<ddq", 200.0, 4.0, 10**9), bytes([1] * 3000)],
        4096,
        r"is -?[\d.]+(e[+-]\d+)?|of \d+ us|of \d+",
    ),
)
