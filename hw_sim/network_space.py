"""A network of its own inside this kernel, for whoever is root: a namespace that lives as long as a file descriptor.

It has no name, nothing of the machine's own network is touched, and it is gone with the last process that holds it,
however that ends. See network_namespaces(7), netdevice(7), and the kernel's Documentation/networking/tuntap.rst.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from firmware.faults import KestrelError

CLONE_NEWNET: Final = 0x40000000
THIS_SPACE: Final = "/proc/thread-self/ns/net"

TUN: Final = "/dev/net/tun"
TUNSETIFF: Final = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
SIOCSIFADDR, SIOCSIFDSTADDR, SIOCSIFMTU = 0x8916, 0x8918, 0x8922
IFF_UP: Final = 0x1


class SpaceRefused(KestrelError):
    """A network of its own cannot be made by this kernel or this user. The message says what to do."""


class NetworkSpace:
    """One network namespace. `with space.entered():` puts this thread and what it starts inside. A context manager."""

    def __init__(self) -> None:
        """Make it, with its loopback up. Raises SpaceRefused."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        here = os.open(THIS_SPACE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if self._libc.unshare(CLONE_NEWNET) != 0:
                raise SpaceRefused(
                    f"the kernel makes no network namespaces here ({os.strerror(ctypes.get_errno())}); be root"
                )
            self.descriptor = os.open(THIS_SPACE, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            self._enter(here)
            os.close(here)
        self.switch("lo", is_up=True)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be inside for as long as the block runs; threads and processes that it starts stay there."""
        here = os.open(THIS_SPACE, os.O_RDONLY | os.O_CLOEXEC)
        self._enter(self.descriptor)
        try:
            yield
        finally:
            self._enter(here)
            os.close(here)

    def open_tun(self, name: str, *, address: str, peer: str, mtu: int) -> int:
        """Return the descriptor of a new TUN device in here: one IP packet a read and a write. Raises SpaceRefused."""
        with self.entered():
            try:
                descriptor = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                raise SpaceRefused(f"{TUN} cannot be opened ({error.strerror}); load the module tun") from error
            try:
                fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
                self._ask(SIOCSIFADDR, name, _socket_address(address))
                self._ask(SIOCSIFDSTADDR, name, _socket_address(peer))
                self._ask(SIOCSIFMTU, name, struct.pack("i", mtu))
            except OSError as error:
                os.close(descriptor)
                raise SpaceRefused(f"no TUN device can be made here ({error.strerror}); be root") from error
        self.switch(name, is_up=True)
        return descriptor

    def switch(self, name: str, *, is_up: bool) -> None:
        """Switch a device on or off."""
        with self.entered():
            (flags,) = struct.unpack("H", self._ask(SIOCGIFFLAGS, name, b"")[16:18])
            self._ask(SIOCSIFFLAGS, name, struct.pack("H", (flags | IFF_UP) if is_up else (flags & ~IFF_UP)))

    def close(self) -> None:
        """Let it go. It ends with the last process and socket inside."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, request: int, name: str, value: bytes) -> bytes:
        """Ask the kernel for, or tell it, something of a device of the space in which this thread is."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            return fcntl.ioctl(any_socket, request, struct.pack("16s24s", name.encode(), value))

    def _enter(self, descriptor: int) -> None:
        if self._libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno() or errno.EPERM, "setns(2) is refused")


def _socket_address(address: str) -> bytes:
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
