"""Readings and frames of plates that never were, for the tests of what follows reading."""

import math

import numpy as np

from firmware.records import Box, Character, Frame, Reading

RATE_HZ = 30.0
START_UTC_MS = 1_000_000
PICTURE = np.full((1088, 1456, 3), 90, np.uint8)


def a_reading(
    text,
    *,
    number=0,
    x_px=600.0,
    y_px=500.0,
    w_px=140.0,
    score=0.95,
    region="US-CA",
    scores=None,
    detection=0.9,
    aspect=2.0,
    rate_hz=RATE_HZ,
):
    """Return what frame `number` of `rate_hz` a second says; x and y are the box's upper left corner."""
    return Reading(
        frame_number=number,
        at_s=number / rate_hz,
        box=Box(x_px=x_px, y_px=y_px, w_px=w_px, h_px=w_px / aspect, score_ratio=detection),
        characters=tuple(Character(char, scores[i] if scores else score) for i, char in enumerate(text)),
        score_ratio=score,
        region=region,
        region_score_ratio=0.9 if region else 0.0,
    )


def a_frame(number, image=PICTURE, *, rate_hz=RATE_HZ, start_utc_ms=START_UTC_MS, clock_trusted=True, infrared=False):
    return Frame(
        number=number,
        at_s=number / rate_hz,
        taken_utc_ms=start_utc_ms + round(1000 * number / rate_hz),
        clock_trusted=clock_trusted,
        image=image,
        exposure_us=200.0,
        gain=1.0,
        infrared=infrared,
    )


CAMERA_HEIGHT_M, FOCAL_PX, TILT_RAD, PLATE_M = 3.6, 4262.0, math.radians(20.0), 0.305
PICTURE_W_PX, PICTURE_H_PX = 1456, 1088
NEAREST_M, FARTHEST_M = 7.3, 15.3
"""The road under a camera 3.6 m above the plates, looking down by 20 degrees: where a whole plate is in the picture."""


def a_drive(texts, *, mph, start_s=0.0, away=True, lane_m=0.0, rate_hz=RATE_HZ, missing=(), jitter=None, **changes):
    """Return {frame number: reading} of one vehicle that drives through the picture at a constant speed.

    `texts` is what each frame reads, repeated; `missing` are the sights, counted from 0, in which nothing was found;
    `jitter` is a numpy generator that shakes the boxes by 2 % of their width.
    """
    speed_m_s = mph * 0.44704
    first, last = start_s * rate_hz, (start_s + (FARTHEST_M - NEAREST_M) / speed_m_s) * rate_hz
    sights = {}
    for sight, number in enumerate(range(math.ceil(first), math.floor(last) + 1)):
        gone_m = speed_m_s * (number / rate_hz - start_s)
        ground_m = NEAREST_M + gone_m if away else FARTHEST_M - gone_m
        angle_rad = math.atan2(CAMERA_HEIGHT_M, ground_m) - TILT_RAD
        depth_m = math.hypot(ground_m, CAMERA_HEIGHT_M) * math.cos(angle_rad)
        w_px = FOCAL_PX * PLATE_M / depth_m
        x_px = PICTURE_W_PX / 2 + FOCAL_PX * lane_m / depth_m
        y_px = PICTURE_H_PX / 2 + FOCAL_PX * math.tan(angle_rad)
        shake_px = 0.02 * w_px * jitter.standard_normal(3) if jitter is not None else (0.0, 0.0, 0.0)
        place = {"x_px": x_px - w_px / 2 + shake_px[0], "y_px": y_px - w_px / 4 + shake_px[1]}
        if sight not in missing:
            sights[number] = a_reading(
                texts[sight % len(texts)], number=number, rate_hz=rate_hz, w_px=w_px + shake_px[2], **(place | changes)
            )
    return sights
