"""All units of a fleet and how they fared when they last said so: what a technician reads at six in the morning. Pure.

A unit that says nothing is the one to look at first, so that silent units come first, then those with faults.
"""

from typing import Final

import msgspec

from cloud.registry import Registry, State
from cloud.store import ReadStore
from firmware.health_report import Health, PowerState, Thrift
from firmware.log_lines import printable

SILENT_MS: Final = 26 * 3_600_000
"""Without a word for so long a unit is silent: even one that saves bytes says one every twelve hours."""

_HEADING: Final = (
    f"{'unit':<28}  {'site':<20}  {'state':<8}  {'heard':>9}  {'waiting':>8}  {'reads/h':>7}  {'MB/month':>8}  "
    f"{'board':>6}  {'battery':>14}  {'panel':>6}  {'firmware':<9}  faults"
)


class UnitFares(msgspec.Struct, frozen=True, kw_only=True):
    """One unit, and its newest health (None: it has never said anything)."""

    device_id: str
    site_name: str
    state: State
    at_utc_ms: int | None
    received_utc_ms: int | None
    health: Health | None


def all_units(registry: Registry, store: ReadStore) -> list[UnitFares]:
    """Return every unit of the registry, by name. Raises ConfigRejected and StoreRefused."""
    fares = []
    for unit in registry.units():
        newest = next(iter(store.health(unit.device_id)), None)
        fares.append(
            UnitFares(
                device_id=unit.device_id,
                site_name=unit.site_name,
                state=unit.state,
                at_utc_ms=None if newest is None else newest.at_utc_ms,
                received_utc_ms=None if newest is None else newest.received_utc_ms,
                health=None if newest is None else newest.health,
            )
        )
    return fares


def encode(fares: list[UnitFares]) -> bytes:
    """Return `fares` as JSON: a list of objects, health with its fields by name."""
    return msgspec.json.encode([_named(one) for one in fares])


def table(fares: list[UnitFares], now_utc_ms: int) -> str:
    """Return a table of the units as they are at `now_utc_ms`: silent ones first, then those with faults."""
    ranked = sorted(fares, key=lambda one: (_rank(one, now_utc_ms), one.device_id))
    return "".join(f"{text}\n" for text in (_HEADING, *(_line(one, now_utc_ms) for one in ranked)))


def _rank(fares: UnitFares, now_utc_ms: int) -> int:
    if fares.state is not State.ACTIVE:
        return 3
    if fares.at_utc_ms is None or now_utc_ms - fares.at_utc_ms > SILENT_MS:
        return 0
    return 1 if fares.health is not None and fares.health.faults else 2


def _line(fares: UnitFares, now_utc_ms: int) -> str:
    state = fares.state.value
    if _rank(fares, now_utc_ms) == 0:
        state = "SILENT"
    begin = f"{fares.device_id:<28}  {printable(fares.site_name):<20.20}  {state:<8}"
    health = fares.health
    if health is None or fares.at_utc_ms is None:
        return f"{begin}  {'never':>9}"
    spent = "--" if health.spent is None else f"{health.spent.month_bytes / 1e6:.0f}"
    if health.spent is not None and health.spent.thrift is not Thrift.PLENTY:
        spent += "!"
    board = "--" if health.board_decidegrees is None else f"{health.board_decidegrees / 10:.0f} C"
    if health.throttled:
        board += "!"
    faults = "; ".join(f"{one.code} for {_span(1000 * one.since_s)}: {one.hint}" for one in health.faults)
    return (
        f"{begin}  {_span(now_utc_ms - fares.at_utc_ms):>9}  {health.waiting:>8}  {health.reads_last_hour:>7}  "
        f"{spent:>8}  {board:>6}  {_battery(health.power):>14}  {_panel(health.power):>6}  "
        f"{health.firmware_version:<9.9}  {faults or '--'}"
    )


def _battery(power: PowerState | None) -> str:
    if power is None or power.battery_mv is None:
        return "--"
    charging = "" if power.battery_ma is None else f" {power.battery_ma / 1000:+.1f} A"
    return f"{power.battery_mv / 1000:.1f} V{charging}"


def _panel(power: PowerState | None) -> str:
    return "--" if power is None or power.panel_mw is None else f"{power.panel_mw / 1000:.0f} W"


def _span(milliseconds: int) -> str:
    """Return a time as people say it, in its largest unit."""
    seconds = max(0, milliseconds) // 1000
    for name, length_s in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds // length_s} {name}"
    return f"{seconds} s"


def _named(value: object) -> object:
    """Return builtins in which the records of health have names, though they travel without."""
    if isinstance(value, msgspec.Struct):
        return {name: _named(getattr(value, name)) for name in value.__struct_fields__}
    return [_named(one) for one in value] if isinstance(value, tuple) else value
