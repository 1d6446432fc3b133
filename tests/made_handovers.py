"""Hand-over records of a unit that never was, and the answers that the steps before one leave."""

import json
import os

import cv2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud import handover
from cloud.handover import Checked, HandoverRecord, Number, Photo, Source, Step
from firmware.config import SiteConfig
from provisioning import handover_folder

DEVICE = "k-test0001"
LATITUDE, LONGITUDE = 37.251234, -122.104321
SITE = SiteConfig(name="Test Street", latitude_deg=LATITUDE, longitude_deg=LONGITUDE, bearing_deg=250.0)
PAGE = b"%PDF-1.3 a page"


def made_record(**values):
    return HandoverRecord(
        **{
            "device_id": DEVICE,
            "accepted_utc": "2026-11-22T19:30:14Z",
            "clock_trusted": True,
            "accepted_by": "Ana Lee",
            "site": SITE,
            "rear_plates_only": "confirmed",
            "versions": {"Firmware": "0.1.0", "Networks": "test-1"},
            "sources": (Source(name=Step.AIM, made_utc="2026-11-22T18:00:00Z", sha256="ab" * 32, passed=True),),
            "checks": (
                Checked(part="camera", state="pass", found="150 frames, none late.", measured={"frames": 150}),
                Checked(part="modem", state="warn", found="weak", cause="The antenna is inside.", next_step="Move it."),
            ),
            "aim": (Number(name="Gain", value="1.0"),),
            "survey": (Number(name="Panel at least", value="27 W"),),
            "photos": (Photo(taken_by="unit", sha256="cd" * 32, width_px=900, height_px=600, size_bytes=40_000),),
        }
        | values
    )


def made_file(record, key, page=PAGE):
    """Return the file of a signed record."""
    signature = handover.signature_of(record, key.sign)
    return handover.encode(handover.sealed_with_page(record, signature, page, key.public_key(), key.sign))


def made_document(key=None, page=PAGE, **values):
    return handover.packed(made_file(made_record(**values), key or Ed25519PrivateKey.generate(), page), page)


def check_answer(device_id, *, made_utc, **states):
    parts = {"camera": "pass", "battery": "absent", "modem": "warn"} | states
    return {
        "version": 1,
        "device_id": device_id,
        "made_utc": made_utc,
        "firmware": "0.1.0",
        "parts": [
            {"part": part, "state": state, "found": f"{part} looked at.", "measured": {"frames": 3, "level": 0.5}}
            | {"cause": "", "next_step": ""}
            for part, state in parts.items()
        ],
    }


def aim_answer(advice="good"):
    width = {"geometry_px": 140.0, "measured_px": 151.2, "plates": 3}
    return {
        "advised": {"advice": advice, "amount_deg": 0.0, "basis": "plates"},
        "posted_mph": 75.0, "good_for_mph": 100.0, "near": width, "mid": width, "far": width | {"measured_px": None},
        "pose": {"right_deg": -12.4, "down_deg": 15.4, "roll_deg": 0.1}, "angle_deg": 20.1, "exposure_blur_px": 0.6,
        "exposure_us": 132.0, "gain": 1.0, "phase": "day", "glare_ratio": 0.0, "in_lane_ratio": 1.0, "vehicles": 2,
        "plates": 10,
    }  # fmt: skip


def survey_answer(site, flaws=()):
    return {
        "kind": "kestrel-survey/v1",
        "site": {"name": site.name, "latitude_deg": site.latitude_deg, "longitude_deg": site.longitude_deg},
        "sight": {"distance_m": 10.2, "angle_deg": 20.0, "plate_px": 136.0, "flaws": list(flaws)},
        "power": {"panel_w": 27.0, "battery_wh": 375.0, "autonomy_days": 5.0},
        "signal": None,
    }


def leave(unit_folder, step, answer, *, made=None):
    """Leave a step's answer in the unit's folder, as old as `made` says."""
    path = handover_folder.keep(unit_folder, handover_folder.answer_name(step), json.dumps(answer).encode())
    if made is not None:
        os.utime(path, (made.timestamp(), made.timestamp()))
    return path


def leave_all(unit_folder, device_id, site, now):
    leave(unit_folder, Step.SURVEY, survey_answer(site), made=now)
    leave(unit_folder, Step.CHECK, check_answer(device_id, made_utc=now.strftime("%Y-%m-%dT%H:%M:%SZ")), made=now)
    leave(unit_folder, Step.AIM, aim_answer(), made=now)


def made_photo(width_px=1600, height_px=1200, exif=b""):
    """Return a JPEG of clouds, with `exif` behind its first marker."""
    noise = np.random.default_rng(4).integers(0, 255, (height_px // 40, width_px // 40, 3), dtype=np.uint8)
    data = cv2.imencode(".jpg", cv2.resize(noise, (width_px, height_px), interpolation=cv2.INTER_CUBIC))[1].tobytes()
    if not exif:
        return data
    body = b"Exif\x00\x00" + exif
    return data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]
