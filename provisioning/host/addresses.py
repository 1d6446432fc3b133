"""Where a unit may call, as addresses: from its configuration, and for names from DNS, into the firewall's sets.

Only this module knows which hosts and ports a configuration names. It opens no connection but that of the resolver.
"""

import ipaddress
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from firmware.config import DeviceConfig
from firmware.faults import KestrelError

KEPT_DAYS: Final = 7
"""How long an address that a name led to stays in the firewall's set after it was last seen."""

SET_SIZE: Final = 64
"""Addresses that one set holds at most: an answer of DNS must not be able to fill the kernel's memory."""

NFT: Final = "/usr/sbin/nft"
NFT_LIMIT_S: Final = 10.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class FirewallRefused(KestrelError):
    """The firewall's sets could not be filled. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """One place that a unit calls: a name or an address, and a TCP port."""

    host: str
    port: int

    @property
    def address(self) -> Address | None:
        """Return the address that `host` is, or None for a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def __str__(self) -> str:
        """Return it as one word of a command line; `parsed` reads it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parsed(word: str) -> Called:
    """Return the place that `word` names as `host:port`. Raises ValueError."""
    host, _, port = word.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{word!r} is not host:port")
    return Called(host=host.strip("[]"), port=int(port))


def called_places(settings: DeviceConfig) -> tuple[Called, ...]:
    """Return all places that a unit of this configuration calls: each gets its way through the firewall."""
    return (Called(host=settings.uplink.host, port=settings.uplink.port),)


def looked_up(places: Iterable[Called]) -> list[tuple[Address, int]]:
    """Return the addresses, with their ports, that DNS has for `places`. Raises FirewallRefused if a name has none."""
    found = []
    for place in places:
        try:
            answers = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise FirewallRefused(
                f"the name {place.host} is not known; check uplink.host and the modem's connection"
            ) from error
        found += [(ipaddress.ip_address(answer[4][0]), place.port) for answer in answers]
    return sorted(set(found), key=str)


def element(address: Address, port: int) -> str:
    """Return one element of the firewall's sets."""
    return f"{address} . {port}"


def transaction(found: Iterable[tuple[Address, int]]) -> str:
    """Return what `nft -f` must do to hold `found` for KEPT_DAYS from now.

    The kernel leaves the time of an element that is there as it is; so each is added (which does nothing if it is
    there), deleted and added anew, all in one step that no packet sees half done.
    """
    lines = []
    for address, port in found:
        one, name = element(address, port), f"inet kestrel called{address.version}"
        lines += [
            f"add element {name} {{ {one} timeout {KEPT_DAYS}d }}",
            f"delete element {name} {{ {one} }}",
            f"add element {name} {{ {one} timeout {KEPT_DAYS}d }}",
        ]
    return "\n".join(lines) + "\n"


def fill(places: Iterable[Called]) -> int:
    """Look `places` up and put their addresses in the kernel's sets; return how many. Raises FirewallRefused."""
    found = looked_up(places)
    if not found:
        return 0
    try:
        subprocess.run(  # noqa: S603  a fixed program, no shell; the words are addresses and numbers
            [NFT, "-f", "-"],
            input=transaction(found).encode(),
            capture_output=True,
            timeout=NFT_LIMIT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise FirewallRefused(
            "nftables did not take the addresses; run as root, and load the rules with "
            "`systemctl restart kestrel-firewall`"
        ) from error
    return len(found)
