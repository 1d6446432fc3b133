"""The first step of a guided run: is the clock believable, where will the unit hang, who does the work.

Owns the reading of what was typed in: each refusal is one sentence and names its field.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from firmware import config, identity
from firmware.config import DeviceConfig, SiteConfig
from firmware.faults import ConfigRejected
from provisioning import clock_sense, fleet_sites, site_files
from provisioning.certificates import present
from provisioning.guiding import AnswerRefused, Field, Job, Outcome, Report

PERSON_AT_MOST: Final = 60
BY: Final = "by"
_NUMBERS: Final = {"latitude": "latitude_deg", "longitude": "longitude_deg", "bearing": "bearing_deg"}
_EXAMPLES: Final = {"latitude": "37.77", "longitude": "-122.42", "bearing": "250"}
_FIELD_OF_KEY: Final = {"name": "name"} | {key: name for name, key in _NUMBERS.items()}


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
        raise AnswerRefused(BY, f"Your name is too long; give {PERSON_AT_MOST} characters at most")
    if settings_of(job) is not None:
        job.file.change(by=by)
        return
    typed = {key: _number(name, values[name]) for name, key in _NUMBERS.items()}
    try:
        site = msgspec.convert({"name": values["name"], **typed}, SiteConfig)
    except msgspec.ValidationError as error:
        raise _refused(str(error), typed["latitude_deg"], typed["longitude_deg"]) from error
    _refuse_place(job, site)
    job.file.change(by=by, site=site)


def is_done(job: Job) -> bool:
    """Say whether place and person are known and the clock can be believed."""
    state = job.file.state
    try:
        clock_sense.believable(present(), None)
    except ConfigRejected:
        return False
    return bool(state.by) and (state.site is not None or settings_of(job) is not None)


def run(job: Job, report: Report) -> Outcome:
    """Look at the clock. Raises ConfigRejected if it cannot be believed."""
    now = present()
    clock_sense.believable(now, None)
    report.say(f"The clock says {now:%Y-%m-%d %H:%M} UTC.")
    settings = settings_of(job)
    site = job.file.state.site if settings is None else settings.site
    return Outcome(is_good=True, sentence=f"{site.name if site else ''}: place and person are kept.")


def settings_of(job: Job) -> DeviceConfig | None:
    """Return the unit's configuration, or None while it has none. Raises ConfigRejected for one that is no good."""
    path = job.unit / identity.CONFIG_NAME
    return config.load(path) if path.exists() else None


def take_file(job: Job, path: Path) -> None:
    """Keep what a site file says, as if it had been typed in. Raises ConfigRejected, and OSError."""
    plan = site_files.load(path)
    _refuse_place(job, plan.site)
    job.file.change(site=plan.site, others=dict(plan.others))


def _refuse_place(job: Job, site: SiteConfig) -> None:
    """Return if the unit may hang there, beside the fleet's other units if there are any. Raises AnswerRefused."""
    device_id = job.file.state.device_id or ""
    others = [] if job.fleet is None else fleet_sites.places(job.fleet, but=device_id)
    try:
        fleet_sites.refuse_place(site, others, is_far_meant=False)
    except ConfigRejected as error:
        raise AnswerRefused("latitude", str(error)) from error


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
            "latitude", f"latitude and longitude are the wrong way round; give {longitude_deg:g} as latitude"
        )
    key = flaw.rpartition("$.")[2].rstrip("`")
    return AnswerRefused(_FIELD_OF_KEY.get(key, "name"), f"{flaw}; correct this line")
