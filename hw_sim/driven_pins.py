"""Lines that a part's output drives. What drives a line wins over the Pi's pull, which gpiozero's own pin lets win."""

from typing import Any

from gpiozero.pins.mock import MockPWMPin


class DrivenPin(MockPWMPin):  # type: ignore[misc]  # gpiozero is not typed
    """A line that keeps the level to which a part has driven it, whoever opens it with which pull."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._driven: bool | None = None
        super().__init__(*arguments, **options)

    def drive_high(self) -> None:
        """Set the line high."""
        self._driven = True
        super().drive_high()

    def drive_low(self) -> None:
        """Set the line low."""
        self._driven = False
        super().drive_low()

    def _set_pull(self, value: str) -> None:
        driven = self._driven
        super()._set_pull(value)  # drives the line itself
        self._driven = driven
        if driven is not None:
            self._change_state(driven)
