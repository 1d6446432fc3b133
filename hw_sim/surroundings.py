"""What a simulated unit stands before, as the command line names it: recorded pictures, or a road of some kind."""

from dataclasses import dataclass
from pathlib import Path

from hw_sim.light import Conditions, LightLevel
from hw_sim.road import Road
from hw_sim.traffic import DayOfTraffic
from hw_sim.world import Mount


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Pictures of `source`, or else the road of a seed. `passes` and `mph` None: endless traffic, mixed speeds.

    `hour`: the traffic of an ordinary weekday from this hour on; None: a vehicle each two to four seconds.
    """

    source: Path | None = None
    passes: int | None = None
    seed: int = 1
    mph: float | None = None
    light: LightLevel = LightLevel.DAY
    rain_ratio: float = 0.0
    hour: float | None = None

    def road(self, passes: int | None, mount: Mount | None = None) -> Road:
        """Return the road with so many vehicles, the first of which are the same for any number."""
        schedule = None if self.hour is None else DayOfTraffic(starts_at_hour=self.hour)
        return Road(self.seed, passes, mount=mount, mph=self.mph, conditions=self.conditions, schedule=schedule)

    @property
    def conditions(self) -> Conditions:
        """Light and weather."""
        return Conditions(light=self.light, rain_ratio=self.rain_ratio)

    def options(self) -> list[str]:
        """Return the command line that makes a world like this one."""
        said = {
            "source": self.source,
            "passes": self.passes,
            "seed": self.seed,
            "mph": self.mph,
            "light": self.light,
            "rain": self.rain_ratio,
            "hour": self.hour,
        }
        return [part for name, value in said.items() if value is not None for part in (f"--{name}", str(value))]
