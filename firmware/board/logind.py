"""Asking systemd-logind for a restart of the machine, over D-Bus. polkit decides whether this user may.

`org.freedesktop.login1.Manager.Reboot` (org.freedesktop.login1(5)) stops every service in good order first. While
somebody else is logged in polkit asks for another right (`reboot-multiple-sessions`), which the service has not: nobody
reboots a unit under a technician's hands.
"""

import asyncio
from typing import Final

from firmware.board.system_bus import CallFailed, SystemBus
from firmware.faults import DeviceFault, FaultCode

ANSWER_LIMIT_S: Final = 5.0
"""Below the limit of a stage's heartbeat."""


def reboot(bus_address: str, *, answer_limit_s: float = ANSWER_LIMIT_S) -> None:
    """Ask for a restart; wait for the answer so long at most. Raises DeviceFault(REBOOT_REFUSED)."""
    try:
        asyncio.run(_asked(bus_address, answer_limit_s))
    except CallFailed as failed:
        hint = f"{failed}; run `kestrel-provision card install`, and see whether somebody is logged in (`loginctl`)"
        raise DeviceFault(FaultCode.REBOOT_REFUSED, hint) from failed


async def _asked(bus_address: str, answer_limit_s: float) -> None:
    bus = SystemBus(bus_address, answer_limit_s)
    try:
        await bus.call(
            "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager.Reboot", "b", (False,)
        )
    finally:
        bus.close()
