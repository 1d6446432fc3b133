"""One survey: checks what was typed in, reckons, logs the signal, writes a JSON file and a page to print."""

import argparse
import dataclasses
import datetime as dt
import math
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from firmware import strict_json
from firmware.board.linux import LinuxClock
from firmware.board.modem import ManagedModem
from firmware.config import MountConfig, SiteConfig
from firmware.faults import ConfigRejected
from firmware.ports import Modem
from provisioning import durable_files, handover_folder, places, survey_page, survey_words, surveying
from provisioning.signal_log import ModemSignal, SignalSample, SignalSource, SignalSummary, summary_of
from provisioning.sun import Horizon, Place
from provisioning.surveying import Survey

LOOK_EVERY_S = 2.0
HORIZON_POINTS_AT_MOST = 72
JSON_NAME, PAGE_NAME = "survey.json", "survey.html"


class Assumptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What the figures rest on, with bounds."""

    clearness: Annotated[float, Meta(ge=0.1, le=0.8)]
    load_w: Annotated[float, Meta(ge=0.2, le=50)]
    days: Annotated[float, Meta(ge=1, le=30)]
    minutes: Annotated[float, Meta(gt=0, le=120)]
    utc_offset: Annotated[float, Meta(ge=-12, le=14)]


class _OtherSite(msgspec.Struct, frozen=True):
    """The part of a survey or of a unit's configuration that says where it is."""

    site: SiteConfig


def run(options: argparse.Namespace) -> None:
    """Survey a site and print what came of it. Raises as `surveyed`."""
    announced = iter([f"Listening to the cell for {options.minutes:g} min "])
    end = ""

    def wait(for_s: float) -> None:
        nonlocal end
        end = "\n"
        sys.stderr.write(f"{next(announced, '')}.")
        sys.stderr.flush()
        time.sleep(for_s)

    try:
        lines = surveyed(options, wait)
    finally:
        sys.stderr.write(end)
    page = options.out / PAGE_NAME
    sys.stdout.write("\n".join([*lines, f"To print: {page.resolve().as_uri()}"]) + "\n")


def surveyed(options: argparse.Namespace, wait: Callable[[float], object]) -> list[str]:
    """Survey a site, write file and page, return what is to be said; `wait` passes the seconds between two looks.

    Raises ConfigRejected for what cannot be meant, DeviceFault, and OSError.
    """
    site, mount, assumptions = _checked(options)
    horizon = horizon_of(options.horizon)
    place = places.place_of(site)
    year = dt.datetime.now(dt.UTC).year
    survey = Survey(
        site=site, mount=mount, horizon=horizon, year=year,
        sight=surveying.line_of_sight(mount),
        sun=tuple(surveying.sun_spells(place, site.bearing_deg, mount, horizon, year)),
        power=surveying.power_figure(
            place, horizon, clearness_ratio=assumptions.clearness, load_w=assumptions.load_w, days=assumptions.days
        ),
        signal=_signal(options, assumptions.minutes * 60.0, wait),
    )  # fmt: skip
    durable_files.make_folder(options.out)
    data = msgspec.json.encode(
        {"kind": "kestrel-survey/v1", **dataclasses.asdict(survey), "site": site, "mount": mount}
    )
    answer = msgspec.json.format(data, indent=2) + b"\n"
    durable_files.write(options.out / JSON_NAME, answer)
    if options.unit is not None:
        handover_folder.keep(options.unit, JSON_NAME, answer)
    page = options.tongue.said_page(survey_page.page(survey, assumptions.utc_offset))
    durable_files.write(options.out / PAGE_NAME, page.encode())
    return survey_words.all_lines(survey, assumptions.utc_offset)


def horizon_of(text: str) -> Horizon:
    """Return the horizon that somebody typed: pairs azimuth:elevation with commas. Raises ConfigRejected."""
    if not text.strip():
        return Horizon()
    points = []
    for pair in text.split(","):
        azimuth, _, elevation = pair.strip().partition(":")
        try:
            point = (float(azimuth), float(elevation))
        except ValueError:
            point = (math.nan, math.nan)
        if not (0 <= point[0] <= 360 and -5 <= point[1] <= 85):
            raise ConfigRejected(
                f"--horizon: {pair.strip()!r} is no azimuth of 0 to 360 and elevation of -5 to 85 degrees; "
                "write it as 120:14, with commas between"
            )
        points.append(point)
    if len(points) > HORIZON_POINTS_AT_MOST:
        raise ConfigRejected(f"--horizon has {len(points)} points; give {HORIZON_POINTS_AT_MOST} at most")
    return Horizon(tuple(points))


def looks(
    source: SignalSource, seconds: float, *, now_s: Callable[[], float], wait: Callable[[float], object]
) -> list[SignalSample]:
    """Return a look every LOOK_EVERY_S for so long, the first at once. Raises DeviceFault."""
    begun_s, samples = now_s(), []
    while True:
        at_s = now_s() - begun_s
        samples.append(source.sample(at_s))
        if at_s + LOOK_EVERY_S > seconds:
            return samples
        wait(LOOK_EVERY_S)


def _signal(options: argparse.Namespace, seconds: float, wait: Callable[[float], object]) -> SignalSummary | None:
    """Return what the modem received, or None if nobody wants to know. Raises DeviceFault."""
    if options.signal == "none":
        return None
    source = ModemSignal(_simulated_modem() if options.board == "sim" else _modem_here())
    try:
        return summary_of(looks(source, seconds, now_s=time.monotonic, wait=wait))
    finally:
        source.close()


def _modem_here() -> Modem:
    return ManagedModem(LinuxClock(), signal_period_s=int(LOOK_EVERY_S))


def _simulated_modem() -> Modem:
    """Return a modem for practice. Imported here, because a unit's own tool does without."""
    from hw_sim.modem import SimModem  # noqa: PLC0415

    return SimModem(LinuxClock(), threading.Timer)


def _checked(options: argparse.Namespace) -> tuple[SiteConfig, MountConfig, Assumptions]:
    """Return what was given, checked by the device's own configuration. Raises ConfigRejected."""
    others = [_other(path) for path in options.others]
    if not 0 <= options.bearing < 360:
        raise ConfigRejected(f"--bearing {options.bearing:g} is no compass bearing; give 0 (north) to 359.9")
    flaw = places.place_flaw(options.latitude, options.longitude, others)
    if flaw is not None:
        place = Place(latitude_deg=options.latitude, longitude_deg=options.longitude)
        km = places.nearest_km(place, others) if others else 0.0
        raise ConfigRejected(places.refusal(flaw, options.latitude, options.longitude, km))
    offset = options.utc_offset if options.utc_offset is not None else float(round(options.longitude / 15.0))
    site = {
        "name": options.name, "latitude_deg": options.latitude, "longitude_deg": options.longitude,
        "bearing_deg": options.bearing,
    }  # fmt: skip
    mount = {
        "lens_mm": options.lens_mm, "height_m": options.height_m, "beside_m": options.beside_m,
        "ahead_m": options.ahead_m,
    }  # fmt: skip
    assumed = {
        "clearness": options.clearness, "load_w": options.load_w, "days": options.days, "minutes": options.minutes,
        "utc_offset": offset,
    }  # fmt: skip
    return _converted(site, SiteConfig), _converted(mount, MountConfig), _converted(assumed, Assumptions)


def _converted(given: dict[str, Any], kind: Any) -> Any:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise ConfigRejected(f"the survey cannot be made so ({error}); correct that option") from error


def _other(path: Path) -> Place:
    """Return where another site is. Raises ConfigRejected."""
    try:
        with path.open("rb") as file:
            data = file.read(strict_json.MAX_BYTES + 1)
        site = msgspec.json.decode(data, type=_OtherSite).site
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); leave it out of --others") from error
    except msgspec.DecodeError as error:
        raise ConfigRejected(f"{path} is no survey and no unit's configuration; leave it out of --others") from error
    return places.place_of(site)
