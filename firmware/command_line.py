"""How every command of this product ends: an exit code, and one sentence on standard error when something was wrong."""

import sys
from collections.abc import Callable

from firmware.faults import ConfigRejected, KestrelError, Retired

EXIT_STOPPED, EXIT_FAULT, EXIT_USAGE, EXIT_RETIRED = 0, 1, 2, 3
"""A unit that was retired ends with 3 and at every start again: systemd must not go on starting it, so its service has
RestartPreventExitStatus=3 (systemd.service(5))."""


def ended(program: str, work: Callable[[], int | None]) -> int:
    """Run `work` and return its exit code (None counts as 0); each error family becomes one sentence and its code.

    EXIT_USAGE for what the caller must correct, EXIT_RETIRED for a unit that was erased, EXIT_FAULT for a part or a
    disk that refuses. A bug is let through.
    """
    try:
        return work() or EXIT_STOPPED
    except Retired as retired:
        sys.stderr.write(f"{program}: {retired}\n")
        return EXIT_RETIRED
    except KestrelError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return EXIT_USAGE if isinstance(error, ConfigRejected) else EXIT_FAULT
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        sys.stderr.write(f"{program}: {what}; check the folder, its owner and the disk\n")
        return EXIT_FAULT
