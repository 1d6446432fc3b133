"""What `fleet list` shows: each unit, until when it may connect, and when it was last heard of. Read, not changed."""

import datetime as dt
from pathlib import Path
from typing import Final

import msgspec

from cloud import fleet_folder
from cloud.registry import Registry, State, Unit, moment
from firmware.faults import ConfigRejected
from firmware.log_lines import printable
from provisioning import clock_sense, fleet, revocation, update_warnings

WARN_DAYS: Final = 30  # a unit itself says so from then on
NAMED_AT_MOST: Final = 5
SITE_WIDTH_MIN: Final = 8
COLUMNS: Final = 80


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One unit. Times are UTC; what is not known is None."""

    device_id: str
    state: State
    site_name: str
    enrolled_utc: str
    certificate_until_utc: str
    certificate_days_left: int | None  # whole days, negative once it has ended; None: the unit is out
    is_here: bool | None  # whether the broker holds its connection, as the receiver on this machine last heard
    last_seen_utc: dt.datetime | None
    ended_utc: str | None
    reason: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """All units of a fleet by name, and what somebody must do about it."""

    units: list[Listed]
    warnings: list[str]


def listing(fleet_path: Path, now: dt.datetime) -> Listing:
    """Return the fleet in `fleet_path` as it is at `now`. Raises ConfigRejected."""
    fleet_folder.load(fleet_path)
    told = _warnings_of_the_fleet(fleet_path, now)
    here: dict[str, tuple[bool, int]] = {}
    newest: dict[str, int] = {}
    store_path = fleet_path / fleet_folder.STORE
    if store_path.exists():
        from cloud.store import ReadStore, StoreRefused  # noqa: PLC0415  an office without a receiver does without

        try:
            with ReadStore(store_path) as store:
                here, newest = store.units(), store.newest_utc_ms()
        except StoreRefused as refused:
            told.append(f"when units were last heard of is not known: {refused}")
    units = [
        _listed(unit, here.get(unit.device_id), newest.get(unit.device_id), now)
        for unit in Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).units()
    ]
    return Listing(units=units, warnings=[*told, *_warning_of_certificates(units)])


def table(units: list[Listed], now: dt.datetime, columns: int = COLUMNS) -> str:
    """Return the units as lines of `columns` characters, or what their names need, under a heading."""
    width = max([12, *(len(unit.device_id) for unit in units)])
    space = max(SITE_WIDTH_MIN, columns - width - 53)
    lines = [f"{'unit':<{width}}  {'state':<8}  {'certificate until':<17}  {'enrolled':<10}  {'seen':<8}  {'site'}"]
    for unit in units:
        days = unit.certificate_days_left
        left = "" if days is None else f"{days:>5}d{'!' if days < WARN_DAYS else ''}"
        until = "--" if days is None else unit.certificate_until_utc[:10]
        lines.append(
            f"{unit.device_id:<{width}}  {unit.state:<8}  {until:<10}{left:<7}  {unit.enrolled_utc[:10]}  "
            f"{_seen(unit, now):<8}  {_fitted(unit.site_name, space)}".rstrip()
        )
        if unit.ended_utc:
            lines.append(f"{'':<{width}}  since {unit.ended_utc[:10]}: {_fitted(unit.reason, 80)}")
    return "".join(f"{line}\n" for line in lines)


def _listed(unit: Unit, presence: tuple[bool, int] | None, newest_utc_ms: int | None, now: dt.datetime) -> Listed:
    is_active = unit.state is State.ACTIVE
    heard = [at for at in (newest_utc_ms, None if presence is None else presence[1]) if at is not None]
    return Listed(
        device_id=unit.device_id,
        state=unit.state,
        site_name=unit.site_name,
        enrolled_utc=unit.enrolled_utc,
        certificate_until_utc=unit.certificate_until_utc,
        certificate_days_left=(moment(unit.certificate_until_utc) - now).days if is_active else None,
        is_here=None if presence is None else presence[0],
        last_seen_utc=dt.datetime.fromtimestamp(max(heard) // 1000, tz=dt.UTC) if heard else None,
        ended_utc=unit.ended_utc,
        reason=unit.reason,
    )


def _seen(unit: Listed, now: dt.datetime) -> str:
    if unit.is_here and unit.state is State.ACTIVE:
        return "now"
    if unit.last_seen_utc is None:
        return "--"
    age_s = max(0.0, (now - unit.last_seen_utc).total_seconds())
    for seconds, letter in ((86_400, "d"), (3600, "h"), (60, "min")):
        if age_s >= seconds:
            return f"{age_s // seconds:.0f} {letter}"
    return "<1 min"


def _fitted(text: str, width: int) -> str:
    shown = printable(text)
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def _warnings_of_the_fleet(fleet_path: Path, now: dt.datetime) -> list[str]:
    try:
        clock_sense.believable(now, fleet.load_authority(fleet_path).certificate)
    except ConfigRejected as wrong:
        return [str(wrong)]
    warning = revocation.warning(fleet_path, now)
    return [*([warning] if warning else []), *update_warnings.warnings(fleet_path, now)]


def _warning_of_certificates(units: list[Listed]) -> list[str]:
    ending = [
        unit.device_id
        for unit in units
        if unit.certificate_days_left is not None and unit.certificate_days_left < WARN_DAYS
    ]
    if not ending:
        return []
    named = ", ".join(ending[:NAMED_AT_MOST]) + (", ..." if len(ending) > NAMED_AT_MOST else "")
    return [
        f"certificates that end within {WARN_DAYS} days: {len(ending)} ({named}); give each of these units a new key "
        "with `kestrel-provision unit rotate`"
    ]
