"""The seams: what the camera needs from the world, as protocols of a few methods. `Board` bundles them.

firmware.board has the real parts, hw_sim the simulated ones; no other file knows which it was given. Foreign threads
behind a port do two things only: append to a deque, and set the `wake` event that `listen` was given.
"""

import threading
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware.modem_records import (
    ModemEvent,
    ModemOrder,
)
from firmware.records import (
    BoardState,
    Frame,
    Grey,
    Light,
    LinkEvent,
    MemoryUse,
    PowerSample,
    Traffic,
    TriggerEdge,
    TriggerSource,
)


class Shot(Protocol):
    """One exposure that still lies in the sensor's buffer, with what the sensor reported of it.

    Looking at the small grey copy costs nothing; `develop` copies the whole picture. Whoever takes a shot releases it
    at once, because the sensor stops when all its buffers are out.
    """

    number: int
    at_s: float  # when the exposure began, monotonic seconds
    light: Light  # what the sensor reported; its lamp_ratio is 0, the lamp is another part
    small: Grey  # uint8 (h, w): a copy, a quarter of the picture wide and high

    def develop(self, *, infrared: bool) -> Frame:
        """Return a frame of its own memory. Raises DeviceFault(CAMERA_NONSENSE) for what is no picture."""
        ...

    def release(self) -> None:
        """Give the buffer back; a second time does nothing."""
        ...


class Camera(Protocol):
    """A sensor that runs all the time at a fixed size and rate."""

    def listen(self, wake: threading.Event) -> None:
        """Start delivering; set `wake` at every new shot. Raises DeviceFault(CAMERA_ABSENT)."""
        ...

    def shots(self) -> list[Shot]:
        """Return the shots since the last call, oldest first. Raises DeviceFault(CAMERA_SILENT, CAMERA_NONSENSE)."""
        ...

    def set_light(self, light: Light) -> None:
        """Ask for exposure and gain of the shots to come, some frames later; only a shot's own word is believed."""
        ...

    def restart(self) -> None:
        """Stop and start the stream of a sensor that went silent. Raises DeviceFault(CAMERA_ABSENT)."""
        ...

    def close(self) -> None:
        """Stop the sensor and give its buffers back."""
        ...


class IrLamp(Protocol):
    """The infrared lamp, which flashes with the shutter by itself while it is armed. Arming it is a lease."""

    def renew(self, lamp_ratio: float, for_s: float) -> None:
        """Flash with this share of its power for `for_s` from now, then fall dark unless renewed.

        Raises DeviceFault(LAMP_ABSENT).
        """
        ...

    def close(self) -> None:
        """Fall dark and give the line back."""
        ...


class TriggerInput(Protocol):
    """A line that rises when something passes."""

    def listen(self, wake: threading.Event) -> None:
        """Set `wake` at every rising edge from now on."""
        ...

    def edges(self) -> list[TriggerEdge]:
        """Return and forget the edges since the last call, oldest first."""
        ...

    def is_triggered(self) -> bool:
        """Say whether the line is at this moment as it is while something passes: a line at rest is not.

        Raises DeviceFault(TRIGGER_ABSENT) if it cannot be read.
        """
        ...

    @property
    def source(self) -> TriggerSource:
        """What hangs on the line."""
        ...

    def close(self) -> None:
        """Give the line back."""
        ...


class TamperContact(Protocol):
    """A switch that a lid or a bracket holds. Its level counts: an edge only says that it is time to look."""

    def listen(self, wake: threading.Event) -> None:
        """Set `wake` at every change from now on. Raises DeviceFault(TAMPER_ABSENT)."""
        ...

    def is_tampered(self) -> bool:
        """Say whether the contact is at this moment as it is while somebody has the unit open; it may bounce.

        Raises DeviceFault(TAMPER_ABSENT) if the line cannot be read.
        """
        ...

    def close(self) -> None:
        """Give the line back."""
        ...


class Link(Protocol):
    """One outbound MQTT 5 session: calls out, events in. Being offline is normal, so it is a value."""

    def listen(self, wake: threading.Event) -> None:
        """Set `wake` at every new event from now on."""
        ...

    def connect(self) -> None:
        """Begin to connect. The outcome is an event: Connected, Refused(None, ...) or Lost."""
        ...

    def publish(self, topic: str, payload: bytes, token: int, expiry_s: int) -> bool:
        """Hand one QoS 1 message to the session; False when offline. Acked(token) or Refused(token, ...) follows.

        Any stage may call it, and it never waits.
        """
        ...

    def events(self) -> list[LinkEvent]:
        """Return and forget the events since the last call, oldest first."""
        ...

    def disconnect(self) -> None:
        """End the session within a few seconds, whatever is unacknowledged."""
        ...


class TrafficMeter(Protocol):
    """The counters of the network interface that the data plan pays for."""

    def read(self) -> Traffic | None:
        """Return what it counts now; None while there is no such interface."""
        ...


class PowerMeter(Protocol):
    """What measures battery and panel."""

    def sample(self) -> PowerSample:
        """Return what is measured now. Takes some milliseconds. Raises DeviceFault(METER_ABSENT, METER_NONSENSE)."""
        ...


class Modem(Protocol):
    """The cellular modem: orders out, events in. What it does may take a minute, so nobody waits for it."""

    def listen(self, wake: threading.Event) -> None:
        """Begin to take orders; set `wake` at every event from now on."""
        ...

    def ask(self, order: ModemOrder) -> bool:
        """Take `order`; False if the same one is still waiting or under way. Never waits.

        Exactly one event follows: ModemStatus for LOOK, ModemDone for the others, or ModemTrouble.
        """
        ...

    def events(self) -> list[ModemEvent]:
        """Return and forget the events since the last call, oldest first."""
        ...

    def close(self) -> None:
        """Take no more orders, and give up what is under way within a few seconds."""
        ...


class Rail(Protocol):
    """A supply that is on by itself and can be taken away for a while. Being off is a lease."""

    def cut(self, for_s: float) -> None:
        """Take the supply away for `for_s` from now; it comes back by itself. Never waits.

        Raises DeviceFault(RAIL_ABSENT).
        """
        ...

    def close(self) -> None:
        """Give the supply back at once, and then the line."""
        ...


class KeyStore(Protocol):
    """Where the unit's private key lies: made there, used there, ended there.

    Two places: one for the unit's key, and one for a new key until its certificate is in place. The certificate
    decides which is which, so that one rename swaps both.
    """

    def find(self, public_key: Ed25519PublicKey) -> Ed25519PrivateKey | None:
        """Return the private key of `public_key`, to sign with; None if it does not lie here.

        Raises ConfigRejected and DeviceFault(KEY_UNUSABLE), and so does the key's `sign`.
        """
        ...

    def prepare(self, current: Ed25519PublicKey | None) -> Ed25519PrivateKey:
        """Return the key that waits beside `current` to be certified; make it if there is none.

        Raises ConfigRejected, DeviceFault(KEY_UNUSABLE) and OSError.
        """
        ...

    def settle(self, current: Ed25519PublicKey) -> None:
        """End the key that `current` has replaced, now that its certificate is in place. Raises as `prepare`."""
        ...

    def erase(self) -> None:
        """End every key of the unit in this store, for good. Raises DeviceFault(KEY_UNUSABLE) and OSError."""
        ...

    def describe(self) -> str:
        """Return what kind of store this is, for health and self-check: `file`, or `pkcs11: ` and the token's label."""
        ...


class Clock(Protocol):
    """The only source of time."""

    def monotonic_s(self) -> float:
        """Seconds that never jump, from an arbitrary zero; they go on during suspend (CLOCK_BOOTTIME on a device)."""
        ...

    def utc_ms(self) -> int:
        """Wall clock, milliseconds since 1970."""
        ...

    def is_trusted(self) -> bool:
        """Whether the wall clock has been set by NTP or the modem since boot."""
        ...

    def boot_id(self) -> bytes:
        """Return 8 bytes that no other start of any machine has: what `monotonic_s` counts from."""
        ...


class BoardClock(Clock, Protocol):
    """The clock of a board, which can be told the cellular network's time."""

    def hear(self, utc_ms: int, at_s: float) -> None:
        """Take what the network said the time was at monotonic `at_s`; what is out of bounds is passed over."""
        ...

    def dispute(self) -> str:
        """Return why the wall clock is not believed although it was set, in one sentence; empty if there is no why."""
        ...


class System(Protocol):
    """What the service manager and the kernel offer to the process itself."""

    def notify(self, state: str) -> None:
        """Tell systemd `READY=1`, `WATCHDOG=1` or `STOPPING=1` (sd_notify(3)); nothing without systemd."""
        ...

    def random_bytes(self, count: int) -> bytes:
        """Return bytes of the kernel's generator."""
        ...

    def memory(self) -> MemoryUse:
        """Return how much memory this process holds and how much the camera's pool has left."""
        ...

    def board_state(self) -> BoardState:
        """Return how warm the computer is and whether it is throttled, as far as it tells."""
        ...

    def reboot(self) -> None:
        """Ask for a restart of the whole machine, which then stops this service in good order.

        Returns within a few seconds. Raises DeviceFault(REBOOT_REFUSED).
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All parts of one unit. `__main__` opens one, and nobody else."""

    camera: Camera
    lamp: IrLamp | None
    triggers: tuple[TriggerInput, ...]
    link: Link
    keys: KeyStore
    clock: BoardClock
    system: System
    tamper: TamperContact | None = None
    meter: TrafficMeter | None = None
    power: PowerMeter | None = None
    modem: Modem | None = None
    modem_rail: Rail | None = None  # the modem's supply
