"""Is the clock of this machine to be believed? Whoever signs with a wrong one makes certificates that nobody takes.

A laptop whose battery was empty and a Pi without a network begin in 1970 or on the day they were last switched off.
What is known without asking anybody: no day is before this program was written, nor before the authority was made.
"""

import datetime as dt
from typing import Final

from cryptography import x509

from firmware.faults import ConfigRejected

WRITTEN: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""No clock that is right shows an earlier day to this program; raised with a release now and then."""

_HOW_TO_SET: Final = (
    "set it with `sudo timedatectl set-ntp true`, or without a network `sudo date -u -s '2026-05-04 06:00'`"
)


def believable(now: dt.datetime, authority: x509.Certificate | None) -> None:
    """Return if `now`, as this machine's clock says it, can be the time at which `authority` signs something.

    Without an authority, because there is none yet, the clock alone is judged. Raises ConfigRejected for a clock that
    cannot be right, and for an authority that has ended (RFC 5280, section 4.1.2.5).
    """
    if now < WRITTEN:
        raise ConfigRejected(
            f"this machine's clock says {now:%Y-%m-%d}, which cannot be right, and what is signed by it would be "
            f"refused everywhere; {_HOW_TO_SET} (today's date and time, UTC), and do this again"
        )
    if authority is None:
        return
    if now < authority.not_valid_before_utc:
        raise ConfigRejected(
            f"this machine's clock says {now:%Y-%m-%d}, which is before the fleet's authority was made "
            f"({authority.not_valid_before_utc:%Y-%m-%d}); {_HOW_TO_SET} (today's date and time, UTC), and do this "
            "again"
        )
    if now > authority.not_valid_after_utc:
        raise ConfigRejected(
            f"the fleet's authority ended on {authority.not_valid_after_utc:%Y-%m-%d} and this machine's clock says "
            f"{now:%Y-%m-%d}; if the clock is right, make a new fleet with `kestrel-provision fleet init` and move the "
            f"units to it, else {_HOW_TO_SET}"
        )
