"""Three steps of the guided run that look at site and unit: survey, check, aim. Each does what its command does.

What counts as done is what the hand-over counts: an answer that is there, good, new enough, of this unit and place.
"""

import threading
from typing import Any, Final

from cloud.handover import Step as Answered
from firmware import identity
from firmware.config import CaptureConfig, DeviceConfig
from firmware.faults import ConfigRejected
from provisioning import aim_command, check_command, handover_sources, survey_command
from provisioning.certificates import present
from provisioning.guide_place import settings_of
from provisioning.guiding import AimView, Job, Outcome, Report, Stopped

PRACTICE_MINUTES: Final = 0.15
SIGNAL_MINUTES: Final = 5.0


def survey(job: Job, report: Report) -> Outcome:
    """Do what `survey` does, with the unit's own place and mount."""
    from provisioning import survey_session  # noqa: PLC0415  what is slow to load is loaded when it is needed

    settings = _configured(job)
    site, mount = settings.site, settings.mount
    has_modem = job.is_practice or settings.modem is not None
    minutes = job.signal_minutes or (PRACTICE_MINUTES if job.is_practice else SIGNAL_MINUTES)
    options = job.options(
        survey_command.add_to, "--board", job.board, "--name", site.name,
        f"--latitude={site.latitude_deg!r}", f"--longitude={site.longitude_deg!r}", f"--bearing={site.bearing_deg!r}",
        f"--lens-mm={mount.lens_mm!r}", f"--height-m={mount.height_m!r}", f"--beside-m={mount.beside_m!r}",
        f"--ahead-m={mount.ahead_m!r}", "--signal", "modem" if has_modem else "none", f"--minutes={minutes!r}",
        "--out", str(job.file.folder),
    )  # fmt: skip
    waiting = threading.Event()

    def wait(for_s: float) -> None:
        if report.is_stopping():
            raise Stopped("the survey was stopped; start it again when the antenna is up")
        waiting.wait(for_s)

    report.say("Sun, panel and line of sight are reckoned, and the cell is listened to.")
    for line in survey_session.surveyed(options, wait):
        report.say(line)
    return Outcome(is_good=True, sentence=f"Surveyed; to print: {job.file.folder / survey_session.PAGE_NAME}")


def check(job: Job, report: Report) -> Outcome:
    """Do what `check` does, with the practice office open if the unit is one for practice."""
    _configured(job)
    report.say("The unit is opened.")
    job.open_office(report)
    from provisioning import check_session, check_words  # noqa: PLC0415
    from provisioning.part_reports import PartReport, PartState, worst  # noqa: PLC0415

    options = job.options(check_command.add_to, str(job.unit), "--board", job.board, "--seed", str(job.seed))

    def show(one: PartReport) -> None:
        report.say(check_words.line(one).rstrip("\n"))
        if report.is_stopping():
            raise Stopped("the check was stopped before every part was looked at; start it again")

    reports = check_session.checked(options, _Telling(report), show)
    return Outcome(is_good=worst(reports) is not PartState.FAIL, sentence=check_session.summary(reports))


def aim(job: Job, report: Report) -> Outcome:
    """Do what `aim` does, with the unit's own configuration."""
    _configured(job)
    report.say("The camera starts.")
    from provisioning import aim_session, aim_words  # noqa: PLC0415
    from provisioning.aim_advice import Advice  # noqa: PLC0415

    options = job.options(
        aim_command.add_to, "--board", job.board, "--config", str(job.unit / identity.CONFIG_NAME),
        "--seed", str(job.seed),
    )  # fmt: skip
    found = aim_session.aimed(options, _Looking(job, report))
    if report.is_stopping():
        raise Stopped("aiming was stopped before the camera was good; start it again")
    words = aim_words.said(found)
    return Outcome(is_good=found.advised.advice is Advice.GOOD, sentence=f"{words.verdict}: {words.sentence}")


def is_surveyed(job: Job) -> bool:
    """Say whether there is a survey that counts. Raises ConfigRejected."""
    return _counts(job, Answered.SURVEY)


def is_checked(job: Job) -> bool:
    """Say whether there is a check that counts. Raises ConfigRejected."""
    return _counts(job, Answered.CHECK)


def is_aimed(job: Job) -> bool:
    """Say whether there is an aim that counts. Raises ConfigRejected."""
    return _counts(job, Answered.AIM)


class _Telling:
    """Hands on what somebody should do during a check."""

    def __init__(self, report: Report) -> None:
        self.tell = report.say

    def begin(self, what: str) -> None:
        """Know what is looked at: the seconds on the screen say that something is."""


class _Looking:
    """Hands each look through the camera on to the guided run."""

    def __init__(self, job: Job, report: Report) -> None:
        self._tongue, self._report, self._is_enough = job.tongue, report, False

    def show(self, watch: Any, capture: CaptureConfig, cell: str) -> None:
        """Show how the camera is aimed."""
        from provisioning import aim_terminal, aim_watch, aim_words  # noqa: PLC0415
        from provisioning.aim_advice import Advice  # noqa: PLC0415

        found, seen = watch.aim(), watch.newest
        words, numbers = aim_words.spoken(found, cell, self._tongue)
        width_px = 4 * aim_terminal.PICTURE_COLUMNS
        view = AimView(
            words=words, numbers=numbers, is_good=found.advised.advice is Advice.GOOD,
            picture=None if seen is None else aim_watch.drawn(seen, capture.lane, width_px),
        )  # fmt: skip
        self._report.show(view)
        self._is_enough = self._report.is_enough(view)

    def is_over(self) -> bool:
        """Say whether somebody takes the aim as it is, or wants no more."""
        return self._is_enough or self._report.is_stopping()

    def end(self) -> None:
        """Keep nothing: the picture goes with the screen."""


def _counts(job: Job, answered: Answered) -> bool:
    settings = settings_of(job)
    if settings is None:
        return False
    amiss = handover_sources.gather(job.unit, settings, present()).shortcomings
    return all(one.step is not answered for one in amiss)


def _configured(job: Job) -> DeviceConfig:
    settings = settings_of(job)
    if settings is None:
        raise ConfigRejected("the unit has no configuration yet; do the step before")
    return settings
