"""The simulated lid: a snap-action contact to ground that the lid holds closed.

Owns the line as the contact has it; the firmware's adapter has the other side of the same pin. Nothing here reads a
clock.
"""

from typing import Any

from gpiozero.pins.mock import MockFactory, MockPin


class ContactPin(MockPin):  # type: ignore[misc]  # gpiozero is not typed
    """A line with a contact to ground. A closed contact wins over the pull-up, which gpiozero's own pin forgets."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._is_closed = False
        super().__init__(*arguments, **options)

    def connect(self, *, is_closed: bool) -> None:
        """Close or open the contact."""
        self._is_closed = is_closed
        (self.drive_low if is_closed else self.drive_high)()

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        if self._is_closed:
            self._change_state(False)  # noqa: FBT003  gpiozero's own signature


class SimLid:
    """A lid that is shut at first. World face: open, shut, knock.

    Its rule: the contact bounces, so that each move is several edges on the line.
    """

    BOUNCES = 4

    def __init__(self, pins: MockFactory, number: int) -> None:
        """Connect the contact to BCM line `number` of a factory that makes `ContactPin`s."""
        self._pin: ContactPin = pins.pin(number)
        self._pin.connect(is_closed=True)

    def open(self) -> None:
        """Lift the lid."""
        self._bounce(is_closed=False)

    def shut(self) -> None:
        """Put the lid back."""
        self._bounce(is_closed=True)

    def knock(self) -> None:
        """Hit the box so that the contact chatters and the lid stays shut."""
        self._bounce(is_closed=True)

    def _bounce(self, *, is_closed: bool) -> None:
        for _ in range(self.BOUNCES):
            self._pin.connect(is_closed=not is_closed)
            self._pin.connect(is_closed=is_closed)
