"""Carries out what the exposure governor wants: asks the camera, and holds the lamp's lease while it is night.

The lamp is believed to be lit while its lease runs, as nothing tells; exposure and gain only by a shot's own word.
"""

import dataclasses
import logging
import math

from firmware.config import CaptureConfig
from firmware.exposure import ExposureGovernor, Phase
from firmware.faults import DeviceFault, FaultBook, FaultCode
from firmware.ports import Camera, IrLamp, Shot
from firmware.records import Light

LAMP_LEASE_S, LAMP_RENEW_S = 1.0, 0.5
"""The lamp's lease, and how long before its end it is renewed."""

LAMP_AGAIN_S = 60.0
"""An absent lamp is asked for again after this time."""

LIGHT_TOLERANCE = 0.1
"""The sensor counts its exposure in rows of 15 us: what differs by less than this has been obeyed."""

LOG = logging.getLogger(__name__)


class Lighting:
    """The light of one camera and one lamp, or none."""

    def __init__(self, camera: Camera, lamp: IrLamp | None, config: CaptureConfig, faults: FaultBook) -> None:
        self._governor = ExposureGovernor(
            angle_deg=config.angle_deg, speed_mph=config.speed_mph, lane=config.lane, has_lamp=lamp is not None
        )
        self._camera, self._lamp, self._faults = camera, lamp, faults
        self._lamp_ratio = self._lamp_ratio_before = 0.0
        self._lamp_since_s = self._lamp_until_s = -math.inf
        self._ask_lamp_s = -math.inf

    @property
    def phase(self) -> Phase:
        """Whether it is day, dusk or night."""
        return self._governor.phase

    def lamp_ratio_at(self, at_s: float) -> float:
        """Return the share of the lamp's power that lit an exposure at `at_s`."""
        if at_s >= self._lamp_until_s:
            return 0.0
        return self._lamp_ratio if at_s >= self._lamp_since_s else self._lamp_ratio_before

    def arm_of(self, shot: Shot) -> int:
        """Return which of the alternating exposures a shot is, by what it reports; 0 while they do not alternate."""
        if not self._governor.is_bracketing:
            return 0
        reported = math.log(shot.light.exposure_us * shot.light.gain)
        distances = [
            abs(reported - math.log(wanted.exposure_us * wanted.gain))
            for wanted in (self._governor.wanted(0), self._governor.wanted(1))
        ]
        return distances.index(min(distances))

    def see(self, shot: Shot, *, moves: bool, now_s: float) -> None:
        """Learn from a shot and ask for the light of those to come. To be called before its buffer is given back."""
        light = dataclasses.replace(shot.light, lamp_ratio=self.lamp_ratio_at(shot.at_s))
        phase_before = self._governor.phase
        self._governor.see(shot.small, light, shot.at_s, moves=moves)
        if self._governor.phase is not phase_before:
            LOG.info("the light is now that of %s", self._governor.phase)
        wanted = self._governor.wanted(shot.number)
        if self._governor.is_bracketing or not _is_obeyed(shot.light, wanted):
            self._camera.set_light(wanted)
        if self._lamp is not None and now_s >= self._ask_lamp_s and self._governor.phase is Phase.NIGHT:
            self._renew(self._lamp, wanted.lamp_ratio or 1.0, now_s)

    def close(self) -> None:
        """Let the lamp fall."""
        if self._lamp is not None:
            self._lamp.close()

    def _renew(self, lamp: IrLamp, lamp_ratio: float, now_s: float) -> None:
        """Renew the lamp's lease when it is due. A lamp that is absent is latched, and the night goes on without it."""
        is_new = lamp_ratio != self._lamp_ratio or now_s >= self._lamp_until_s
        if not is_new and now_s < self._lamp_until_s - LAMP_RENEW_S:
            return
        try:
            lamp.renew(lamp_ratio, LAMP_LEASE_S)
        except DeviceFault as fault:
            self._faults.tell(fault, now_s, LOG)
            self._governor.has_lamp = False
            self._ask_lamp_s = now_s + LAMP_AGAIN_S
            return
        if is_new:
            self._lamp_ratio_before = self._lamp_ratio if now_s < self._lamp_until_s else 0.0
            self._lamp_ratio, self._lamp_since_s = lamp_ratio, now_s
        self._lamp_until_s = now_s + LAMP_LEASE_S
        self._governor.has_lamp = True
        self._faults.clear(FaultCode.LAMP_ABSENT)


def _is_obeyed(reported: Light, wanted: Light) -> bool:
    """Say whether the sensor took the light that is wanted, as nearly as it can."""
    return math.isclose(reported.exposure_us, wanted.exposure_us, rel_tol=LIGHT_TOLERANCE) and math.isclose(
        reported.gain, wanted.gain, rel_tol=LIGHT_TOLERANCE
    )
