"""The first step of a guided run: is the clock believable, where will the unit hang, who does the work.

Owns the reading of what was typed in: each refusal is one sentence and names its field.
"""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from firmware import config, identity, strict_json
from firmware.config import DeviceConfig, SiteConfig
from firmware.faults import ConfigRejected, DocumentRejected
from provisioning import survey_words, surveying
from provisioning.guiding import AnswerRefused, Field, Job, Outcome, Report

PERSON_AT_MOST: Final = 60
EARLIEST: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""No unit was made before."""

BY: Final = "by"
_NUMBERS: Final = {"latitude": "latitude_deg", "longitude": "longitude_deg", "bearing": "bearing_deg"}
_EXAMPLES: Final = {"latitude": "37.77", "longitude": "-122.42", "bearing": "250"}
_FIELD_OF_KEY: Final = {"name": "name"} | {key: name for name, key in _NUMBERS.items()}


class _SiteFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    site: SiteConfig


def fields(job: Job) -> tuple[Field, ...]:
    """Return what is asked: of a unit that has its configuration, only who works on it."""
    state = job.file.state
    who = Field(name=BY, label="Your name", hint="A. Ruiz", value=state.by)
    if settings_of(job) is not None:
        return (who,)
    site = state.site
    return (
        Field(name="name", label="Site", hint="North gate", value=site.name if site else ""),
        Field(
            name="latitude",
            label="Latitude",
            hint=_EXAMPLES["latitude"],
            value=f"{site.latitude_deg:g}" if site else "",
        ),
        Field(
            name="longitude",
            label="Longitude",
            hint=_EXAMPLES["longitude"],
            value=f"{site.longitude_deg:g}" if site else "",
        ),
        Field(name="bearing", label="Lens looks to", hint=f"{_EXAMPLES['bearing']} (0 is north)", value=_bearing(site)),
        who,
    )


def answer(job: Job, values: Mapping[str, str]) -> None:
    """Keep what was typed in. Raises AnswerRefused, and OSError."""
    by = values[BY]
    if len(by) > PERSON_AT_MOST or not by.isprintable():
        raise AnswerRefused(BY, f"Your name: give {PERSON_AT_MOST} characters at most")
    if settings_of(job) is not None:
        job.file.change(by=by)
        return
    typed = {key: _number(name, values[name]) for name, key in _NUMBERS.items()}
    try:
        site = msgspec.convert({"name": values["name"], **typed}, SiteConfig)
    except msgspec.ValidationError as error:
        raise _refused(str(error), typed["latitude_deg"], typed["longitude_deg"]) from error
    flaw = surveying.place_flaw(site.latitude_deg, site.longitude_deg, [])
    if flaw is not None:
        sentence = survey_words.place_refused(flaw, site.latitude_deg, site.longitude_deg, 0.0)
        raise AnswerRefused("latitude", sentence)
    job.file.change(by=by, site=site)


def is_done(job: Job) -> bool:
    """Say whether place and person are known and the clock can be believed."""
    state = job.file.state
    return bool(state.by) and (state.site is not None or settings_of(job) is not None) and _now() >= EARLIEST


def run(job: Job, report: Report) -> Outcome:
    """Look at the clock. Raises ConfigRejected if it cannot be believed."""
    now = _now()
    if now < EARLIEST:
        raise ConfigRejected(
            f"this machine's clock says {now:%Y-%m-%d}, so that no certificate would be valid: its battery is "
            "empty or it has had no network yet; set it with `timedatectl set-time`, then try again"
        )
    report.say(f"The clock says {now:%Y-%m-%d %H:%M} UTC.")
    settings = settings_of(job)
    site = job.file.state.site if settings is None else settings.site
    return Outcome(is_good=True, sentence=f"{site.name if site else ''}: place and person are kept.")


def settings_of(job: Job) -> DeviceConfig | None:
    """Return the unit's configuration, or None while it has none. Raises ConfigRejected for one that is no good."""
    path = job.unit / identity.CONFIG_NAME
    return config.load(path) if path.exists() else None


def site_of(path: Path) -> SiteConfig:
    """Return the place that a site's file says. Raises ConfigRejected."""
    try:
        return strict_json.read(path, _SiteFile).site
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); bring the site's file") from error
    except DocumentRejected as error:
        raise ConfigRejected(f"{path}: {error}; correct that key") from error


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _bearing(site: SiteConfig | None) -> str:
    return "" if site is None else f"{site.bearing_deg:g}"


def _number(name: str, text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise AnswerRefused(name, f"{text!r} is no number; type degrees, such as {_EXAMPLES[name]}") from None


def _refused(flaw: str, latitude_deg: float, longitude_deg: float) -> AnswerRefused:
    """Return a refusal by the device's own bounds, at the field that they name."""
    if abs(latitude_deg) > 90 >= abs(longitude_deg):
        return AnswerRefused(
            "latitude", f"latitude and longitude are the wrong way round; latitude is {longitude_deg:g}"
        )
    key = flaw.rpartition("$.")[2].rstrip("`")
    return AnswerRefused(_FIELD_OF_KEY.get(key, "name"), f"{flaw.partition(' - at')[0]}; correct this line")
