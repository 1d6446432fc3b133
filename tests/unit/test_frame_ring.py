import numpy as np

from firmware.capture import BURST_FRAMES, QUIET_SPACING_S, REFILL_HZ
from firmware.frame_ring import RING_BYTES, Allowance, FrameRing
from firmware.records import Frame


def frame_at(at_s, image):
    return Frame(
        number=1,
        at_s=at_s,
        taken_utc_ms=0,
        clock_trusted=True,
        image=image,
        exposure_us=200.0,
        gain=1.0,
        infrared=False,
    )


def test_the_ring_is_bounded_in_time_and_bytes_but_keeps_the_newest_frame():
    ring = FrameRing(1.5)
    for number in range(100):
        ring.put(frame_at(number * QUIET_SPACING_S, np.zeros((8, 8, 3), np.uint8)))
    assert len(ring) == 13
    for size_px, kept in (((2400, 2900), 3), ((4800, 4800), 1)):
        large = FrameRing(100.0)
        image = np.zeros((*size_px, 3), np.uint8)
        for number in range(6):
            large.put(frame_at(float(number), image))
        assert len(large) == kept
        assert kept == 1 or image.nbytes * kept <= RING_BYTES


def test_an_allowance_refills_with_time():
    allowance = Allowance(BURST_FRAMES, REFILL_HZ)
    assert sum(allowance.take(0.0) for _ in range(1000)) == BURST_FRAMES
    assert sum(allowance.take(1.0) for _ in range(1000)) == REFILL_HZ
    assert not allowance.take(0.5)


def test_wanted_frames_leave_in_order_and_what_is_older_is_forgotten():
    ring = FrameRing(10.0)
    for number in range(6):
        ring.put(frame_at(float(number), np.zeros((8, 8, 3), np.uint8)))
    assert [frame.at_s for frame in ring.take(lambda frame: frame.at_s in {1.0, 3.0})] == [1.0, 3.0]
    assert ring.oldest_s == 4.0
    assert ring.take(lambda frame: frame.at_s <= 3.0) == []
    assert len(ring.take(lambda frame: True)) == 2
    assert ring.oldest_s is None
