"""A scene as it is, as whoever changes what is seen of one begins: it hands everything on."""

from firmware.records import Grey, Image, Light
from hw_sim.camera import Scene
from hw_sim.sensors import Subject


class SceneAround:
    """Hands everything on to `inside`."""

    def __init__(self, inside: Scene) -> None:
        self._inside = inside

    @property
    def end_s(self) -> float:
        """When all has been shown."""
        return self._inside.end_s

    @property
    def unreadable(self) -> int:
        """How many parts of the scene could not be shown."""
        return self._inside.unreadable

    def picture_at(self, elapsed_s: float, light: Light) -> Image:
        """Return the exposure, uint8 (H, W, 3) BGR."""
        return self._inside.picture_at(elapsed_s, light)

    def small_at(self, elapsed_s: float, light: Light) -> Grey:
        """Return the small picture of the same exposure, uint8 (H / 4, W / 4)."""
        return self._inside.small_at(elapsed_s, light)

    def subjects(self, from_s: float, to_s: float) -> list[Subject]:
        """Return what passes the sensors' line."""
        return self._inside.subjects(from_s, to_s)

    def close(self) -> None:
        """Give back what the scene holds."""
        self._inside.close()
