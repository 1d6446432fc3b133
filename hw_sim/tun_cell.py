"""A cell for real sockets, for root: two network namespaces joined by a process that carries IP packets.

The unit stands in one space and the broker with its receiver in the other, so that TCP itself meets delay, loss, rate
and a NAT that forgets. The kernel here has no netem; a TUN device on each side does the same.
"""

import contextlib
import os
import socket
import subprocess
import sys
from types import TracebackType
from typing import Final, Self

import msgspec

from hw_sim.cell import Conditions, Coverage
from hw_sim.network_space import NetworkSpace, SpaceRefused
from hw_sim.tun_forwarder import Counted, Order

DEVICE: Final = "cell0"
UNIT_ADDRESS, BROKER_ADDRESS = "10.78.0.1", "10.78.0.2"
MTU_BYTES: Final = 1400  # what carriers leave of 1500
ANSWER_LIMIT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 4096


class TunCell:
    """The cell of a run as root. A context manager: leaving it ends the forwarder and both spaces."""

    name = "tun"
    host = BROKER_ADDRESS
    broker_address = BROKER_ADDRESS

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._parts = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Make spaces and devices and start the forwarder; there is no coverage yet. Raises SpaceRefused."""
        with contextlib.ExitStack() as parts:
            self.unit = parts.enter_context(NetworkSpace())
            self.outside = parts.enter_context(NetworkSpace())
            unit_tun = self.unit.open_tun(DEVICE, address=UNIT_ADDRESS, peer=BROKER_ADDRESS, mtu=MTU_BYTES)
            parts.callback(os.close, unit_tun)
            broker_tun = self.outside.open_tun(DEVICE, address=BROKER_ADDRESS, peer=UNIT_ADDRESS, mtu=MTU_BYTES)
            parts.callback(os.close, broker_tun)
            self._start_forwarder(parts, unit_tun, broker_tun)
            self.apply(Conditions(coverage=Coverage.NONE))
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    def at_unit(self) -> contextlib.AbstractContextManager[None]:
        """Be in the unit's space for as long as the block runs."""
        return self.unit.entered()

    def at_broker(self) -> contextlib.AbstractContextManager[None]:
        """Be in the space of the broker and its receiver."""
        return self.outside.entered()

    def begin(self, broker_port: int) -> int:
        """Return the broker's own port: the unit calls it by its address on the other side."""
        return broker_port

    def apply(self, conditions: Conditions) -> None:
        """Let these conditions hold from now on. Raises SpaceRefused if the forwarder has ended."""
        self._order(Order(conditions=conditions))
        self.unit.switch(DEVICE, is_up=conditions.coverage is not Coverage.NONE)

    def reset_nat(self, *, silent: bool) -> None:
        """Forget all connections. Raises SpaceRefused if the forwarder has ended."""
        self._order(Order(nat_reset="silent" if silent else "reset"))

    def counted(self) -> tuple[int, int]:
        """Return the bytes of IP packets up and down. Raises SpaceRefused if the forwarder has ended."""
        counted = self._order(Order())
        return counted.up_bytes, counted.down_bytes

    def _start_forwarder(self, parts: contextlib.ExitStack, unit_tun: int, broker_tun: int) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(ANSWER_LIMIT_S)
        inherited = (unit_tun, broker_tun, theirs.fileno())
        with theirs:
            process = subprocess.Popen(  # noqa: S603  our own module, no shell
                [sys.executable, "-m", "hw_sim.tun_forwarder", *map(str, inherited), str(self._seed)],
                stdin=subprocess.DEVNULL,
                pass_fds=inherited,
                process_group=0,
            )
        parts.enter_context(process)  # leaving waits for it
        parts.callback(self._control.close)  # and this, which comes before, lets it end

    def _order(self, order: Order) -> Counted:
        try:
            self._control.send(msgspec.json.encode(order))
            return msgspec.json.decode(self._control.recv(ANSWER_BYTES_MAX), type=Counted)
        except (OSError, msgspec.DecodeError) as error:
            raise SpaceRefused("the process that carries the packets has ended; start the run again") from error
