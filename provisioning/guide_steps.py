"""The table of the guided run's steps. Each calls what its own command calls, and adds nothing to that."""

import argparse
import shutil
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from cloud import fleet_folder
from firmware import identity
from firmware.board.pkcs11_token import key_store
from firmware.config import CaptureConfig, DeviceConfig
from firmware.faults import ConfigRejected
from provisioning import aim_command, durable_files, fleet, guide_place, requests, survey_command, unit
from provisioning.aim_advice import Advice
from provisioning.certificates import present
from provisioning.guide_place import settings_of
from provisioning.guide_words import TITLES, TO_DO
from provisioning.guiding import AimView, Field, Job, Outcome, Report, Step, StepName, Stopped

PRACTICE_MINUTES: Final = 0.15
SIGNAL_MINUTES: Final = 5.0
AIM_NAME, SURVEY_NAME = "aim.json", "survey.json"
REQUEST_NAME, ANSWER_NAME = "request.json", "answer.json"


def steps() -> tuple[Step, ...]:
    """Return the steps in their order."""
    return (
        _step(StepName.PLACE, guide_place.run, guide_place.is_done, guide_place.fields, guide_place.answer),
        _step(StepName.FLEET, _make_fleet, _has_fleet),
        _step(StepName.UNIT, _make_unit, _has_unit),
        _step(StepName.SURVEY, _survey, _is_surveyed, may_skip=True),
        _step(StepName.AIM, _aim, _is_aimed, may_skip=True),
    )


def _step(
    name: StepName,
    run: Callable[[Job, Report], Outcome],
    is_done: Callable[[Job], bool],
    fields: Callable[[Job], tuple[Field, ...]] = lambda _: (),
    answer: Callable[[Job, Mapping[str, str]], None] = lambda _, __: None,
    *,
    may_skip: bool = False,
) -> Step:
    return Step(
        name=name, title=TITLES[name], to_do=TO_DO[name], may_skip=may_skip,
        fields=fields, answer=answer, is_done=is_done, run=run,
    )  # fmt: skip


def _has_fleet(job: Job) -> bool:
    return job.fleet is None or (job.fleet / fleet_folder.FLEET_NAME).exists() or _has_unit(job)


def _make_fleet(job: Job, report: Report) -> Outcome:
    """Make a practice fleet beside its place, and move it there whole: one that is half made is made anew."""
    if job.fleet is None or not job.is_practice:
        raise ConfigRejected(
            f"{job.fleet}: no fleet is there; make it in the office with `kestrel-provision fleet init`, or leave "
            "--fleet out and bring the unit's answer from there"
        )
    if _has_fleet(job):
        return Outcome(is_good=True, sentence=f"The fleet in {job.fleet} stays as it is.")
    report.say("The authority and the agency's keys are made.")
    unfinished = job.fleet.with_name(f".{job.fleet.name}.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    durable_files.make_folder(unfinished.parent)
    made = fleet.init(unfinished, host="localhost", port=_free_port(), now=present())
    unfinished.rename(job.fleet)
    return Outcome(
        is_good=True, sentence=f"Practice fleet made in {job.fleet}; its broker will be port {made.port} here."
    )


def _free_port() -> int:
    """Return a port of this machine for a practice broker. Imported here: a unit's own tool does without."""
    from hw_sim.broker import free_port  # noqa: PLC0415

    return free_port()


def _has_unit(job: Job) -> bool:
    settings = settings_of(job)
    if settings is None:
        return False
    identity.load(job.unit, settings.device_id, key_store(settings.token, job.unit))
    return True


def _make_unit(job: Job, report: Report) -> Outcome:
    """Do what `unit new` does, or where the office is elsewhere what `unit request` and `unit install` do."""
    known = settings_of(job)
    if known is not None and _has_unit(job):
        return Outcome(is_good=True, sentence=f"{known.device_id} has its certificate and its configuration already.")
    state = job.file.state
    device_id = state.device_id or unit.new_id()
    job.file.change(device_id=device_id)  # before the key: after a kill the same unit is gone on with
    if job.fleet is not None:
        if state.site is None:
            raise ConfigRejected("the place of the unit is not known yet; do the first step")
        report.say(f"{device_id} makes its key, and the fleet certifies it.")
        unit.enrol(job.fleet, job.unit, state.site, present(), device_id=device_id)
    else:
        _take_answer(job, device_id, report)
    return Outcome(is_good=True, sentence=f"{device_id} has its key, its certificate and its configuration.")


def _take_answer(job: Job, device_id: str, report: Report) -> None:
    """Ask by a file, and take the answer if it is there. Raises ConfigRejected."""
    asked, answered = job.file.folder / REQUEST_NAME, job.file.folder / ANSWER_NAME
    request = unit.request_new(job.unit, device_id=device_id)
    durable_files.write(asked, requests.encode(request))
    report.say(f"{device_id} asks in {asked}, which holds no secret.")
    if not answered.exists():
        raise ConfigRejected(
            f"the office's answer is not here yet; let it do `kestrel-provision unit sign` with {asked}, put the "
            f"answer at {answered}, and try again"
        )
    unit.install(job.unit, requests.load_answer(answered))


def _survey(job: Job, report: Report) -> Outcome:
    """Do what `survey` does, with the unit's own place and mount."""
    from provisioning import survey_session  # noqa: PLC0415  what is slow to load is loaded when it is needed

    settings = _configured(job)
    site, mount = settings.site, settings.mount
    minutes = job.handed.signal_minutes or (PRACTICE_MINUTES if job.is_practice else SIGNAL_MINUTES)
    options = _parsed(
        survey_command.add_to, "survey", "--name", site.name, f"--latitude={site.latitude_deg!r}",
        f"--longitude={site.longitude_deg!r}", f"--bearing={site.bearing_deg!r}",
        f"--lens-mm={mount.lens_mm!r}", f"--height-m={mount.height_m!r}", f"--beside-m={mount.beside_m!r}",
        f"--ahead-m={mount.ahead_m!r}", "--signal", "sim" if job.is_practice else "none", f"--minutes={minutes!r}",
        "--out", str(job.file.folder),
    )  # fmt: skip
    clock = threading.Event()

    def wait(for_s: float) -> None:
        if report.is_stopping():
            raise Stopped("the survey was stopped; start it again when the antenna is up")
        clock.wait(for_s)

    report.say("Sun, panel and line of sight are reckoned, and the cell is listened to.")
    lines = survey_session.surveyed(options, wait)
    for line in lines:
        report.say(line)
    return Outcome(is_good=True, sentence=f"Surveyed; to print: {job.file.folder / survey_session.PAGE_NAME}")


def _is_surveyed(job: Job) -> bool:
    settings, found = settings_of(job), _found(job, SURVEY_NAME)
    if settings is None or found is None:
        return False
    return bool(found.get("site") == msgspec.to_builtins(settings.site))


class _Looking:
    """Hands each look through the camera on to the guided run."""

    def __init__(self, report: Report) -> None:
        self._report, self._is_enough = report, False

    def show(self, watch: Any, capture: CaptureConfig, cell: str) -> None:
        from provisioning import aim_terminal, aim_watch, aim_words  # noqa: PLC0415

        aim, seen = watch.aim(), watch.newest
        width_px = 4 * aim_terminal.PICTURE_COLUMNS
        view = AimView(
            words=aim_words.said(aim), numbers=aim_words.numbers(aim),
            picture=None if seen is None else aim_watch.drawn(seen, capture.lane, width_px),
            is_good=aim.advised.advice is Advice.GOOD,
        )  # fmt: skip
        self._report.show(view)
        self._is_enough = self._report.is_enough(view)

    def is_over(self) -> bool:
        return self._is_enough or self._report.is_stopping()

    def end(self) -> None:
        """Keep nothing: the picture goes with the screen."""


def _aim(job: Job, report: Report) -> Outcome:
    """Do what `aim` does, with the unit's own configuration."""
    _configured(job)
    report.say("The camera starts.")
    from provisioning import aim_session, aim_words  # noqa: PLC0415

    options = _parsed(
        aim_command.add_to, "aim", "--board", job.board, "--config", str(job.unit / identity.CONFIG_NAME),
        "--json", str(job.file.folder / AIM_NAME), "--seed", str(job.handed.seed),
    )  # fmt: skip
    aim = aim_session.aimed(options, _Looking(report))
    if report.is_stopping():
        raise Stopped("aiming was stopped before the camera was good; start it again")
    words = aim_words.said(aim)
    return Outcome(is_good=aim.advised.advice is Advice.GOOD, sentence=f"{words.verdict}: {words.sentence}")


def _is_aimed(job: Job) -> bool:
    found = _found(job, AIM_NAME)
    return found is not None and bool((found.get("advised") or {}).get("advice") == Advice.GOOD)


def _configured(job: Job) -> DeviceConfig:
    settings = settings_of(job)
    if settings is None:
        raise ConfigRejected("the unit has no configuration yet; do the step before")
    return settings


def _found(job: Job, name: str) -> dict[str, Any] | None:
    """Return what an earlier step has left; None if there is nothing that can be read."""
    try:
        found = msgspec.json.decode((job.file.folder / name).read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return found if isinstance(found, dict) else None


def _parsed(add_to: Callable[[Any], None], *words: str) -> argparse.Namespace:
    """Return the options of a command as its own parser reads them, so that its defaults are the guided run's too."""
    parser = argparse.ArgumentParser()
    add_to(parser.add_subparsers())
    return parser.parse_args(words)
