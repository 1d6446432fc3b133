"""Pictures of the simulated road for people: the frames of one pass with their truth, and a sheet of many conditions.

Owns files and what stands in them. A picture's light is chosen once per road, as a photographer would: the plate's
white lies at four fifths of saturation. The device's own governor works shot by shot and may choose otherwise.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from firmware.records import Image, Light
from hw_sim.light import (
    DAY_INFRARED_RATIO,
    LAMP_REFERENCE_M,
    MATT_PER_LUX,
    RETRO_PER_LAMP,
    Conditions,
    LightLevel,
    retro_coefficient,
)
from hw_sim.optics import FULL_WELL_E
from hw_sim.plate_faces import PlateSource
from hw_sim.road import Road
from hw_sim.traffic import PassingVehicle
from hw_sim.world import Mount

SHUTTER_US = 200.0
"""One pixel of blur at 75 miles per hour, 20 degrees beside the road and a plate of 130 pixels."""

_WHITE = 0.8  # of saturation
_WHITE_REFLECTANCE = 0.8
_GAIN_AT_MOST = 16.0
_DAY_LUX, _DUSK_LUX = 1_000.0, 5.0
_DUSK_GAIN, _NIGHT_GAIN = 8.0, 3.0
_NEAREST_M, _FARTHEST_M = 5.5, 16.0  # the plate's way through the picture
_SHEET_AT_M = 9.3
_SHEET_TILE_PX = 480


def fitting_light(road: Road) -> Light:
    """Return exposure, gain and lamp that show a plate 10 m away well.

    By day the shutter is shortened or the gain raised. In the dark the gain is fixed, and the lamp gives what the plate
    still needs: the less light there is, the less a weak lamp with much gain would show of the vehicle.
    """
    lux = road.sky.ground_lux
    daylight = lux * MATT_PER_LUX * (1.0 + DAY_INFRARED_RATIO) * _WHITE_REFLECTANCE
    if lux > _DAY_LUX:
        gain = _WHITE * FULL_WELL_E / (daylight * SHUTTER_US)
        if gain >= 1.0:
            return Light(exposure_us=SHUTTER_US, gain=min(_GAIN_AT_MOST, gain))
        return Light(exposure_us=SHUTTER_US * gain, gain=1.0)
    gain = _DUSK_GAIN if lux > _DUSK_LUX else _NIGHT_GAIN
    sheeting = RETRO_PER_LAMP * retro_coefficient(LAMP_REFERENCE_M, 20.0)
    wanted = _WHITE * FULL_WELL_E / gain / SHUTTER_US - daylight
    return Light(exposure_us=SHUTTER_US, gain=gain, lamp_ratio=min(1.0, max(0.0, wanted / sheeting)))


def write_pictures(
    folder: Path,
    *,
    mph: float,
    light: LightLevel,
    rain: float,
    seed: int,
    rate_hz: float = 30.0,
    plates: PlateSource | None = None,
    mount: Mount | None = None,
) -> list[Path]:
    """Write the frames of one pass as PNG, with a JSON file of the truth beside each, and return the pictures' paths.

    Raises OSError when the folder cannot be written and ValueError for a speed or rain that no road has.
    """
    road = Road(seed, 1, mount=mount, conditions=Conditions(light=light, rain_ratio=rain), mph=mph, plates=plates)
    chosen, vehicle = fitting_light(road), road.vehicles[0]
    folder.mkdir(parents=True, exist_ok=True)
    first_s = vehicle.rear_at_s(_NEAREST_M)
    count = max(1, int((_FARTHEST_M - _NEAREST_M) / vehicle.speed_m_s * rate_hz) + 1)
    paths = []
    for number in range(count):
        at_s = first_s + number / rate_hz
        path = folder / f"frame-{number:03d}.png"
        _write_png(path, road.expose(at_s, chosen))
        path.with_suffix(".json").write_text(json.dumps(_truth(road, at_s, chosen), indent=2) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def write_contact_sheet(
    path: Path, *, seed: int, mph: Sequence[float] = (25.0, 75.0), rain: Sequence[float] = (0.0, 0.7)
) -> None:
    """Write one PNG with a column per speed and rain, and a row per light. Raises OSError."""
    rows = []
    for row, light in enumerate(LightLevel):
        tiles: list[Image] = []
        for ratio in rain:
            for speed in mph:  # every picture has another vehicle
                road = Road(
                    seed + 100 * row + len(tiles), 1, conditions=Conditions(light=light, rain_ratio=ratio), mph=speed
                )
                tiles.append(_tile(road, road.vehicles[0], f"{light} {speed:.0f} mph" + (" rain" if ratio else "")))
        rows.append(np.hstack(tiles))
    _write_png(path, np.asarray(np.vstack(rows), np.uint8))


def _tile(road: Road, vehicle: PassingVehicle, title: str) -> Image:
    picture = road.expose(vehicle.rear_at_s(_SHEET_AT_M), fitting_light(road))
    height_px = round(_SHEET_TILE_PX * picture.shape[0] / picture.shape[1])
    tile = cv2.resize(picture, (_SHEET_TILE_PX, height_px), interpolation=cv2.INTER_AREA)
    cv2.putText(tile, title, (10, height_px - 10), cv2.FONT_HERSHEY_DUPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
    return np.asarray(tile, np.uint8)


def _truth(road: Road, at_s: float, light: Light) -> dict[str, object]:
    """Return what is in a picture, in the order of the file's keys."""
    vehicles = {vehicle.vehicle_id: vehicle for vehicle in road.vehicles}
    plates = []
    for plate in road.truth(at_s):
        vehicle = vehicles[plate.vehicle_id]
        plates.append(
            {
                "vehicle_id": plate.vehicle_id,
                "text": plate.text,
                "region": plate.region,
                "is_readable": plate.is_readable,
                "width_px": round(plate.width_px, 1),
                "corners_px": [[round(x, 2), round(y, 2)] for x, y in plate.corners_px],
                "body": vehicle.body.name,
                "speed_m_s": round(vehicle.speed_m_s, 3),
                "distance_m": round(vehicle.rear_y_m(at_s), 3),
            }
        )
    return {"at_s": round(at_s, 6), "light": dataclasses.asdict(light), "ground_lux": road.sky.ground_lux,
            "plates": plates}  # fmt: skip


def _write_png(path: Path, picture: Image) -> None:
    done, data = cv2.imencode(".png", picture)
    if not done:
        raise OSError(f"{path.name} cannot be coded as PNG")
    path.write_bytes(np.asarray(data, np.uint8).tobytes())
