"""The table of the guided run's steps. Each calls what its own command calls, and adds nothing to that."""

from collections.abc import Callable, Mapping
from typing import Final

from cloud import fleet_folder
from firmware import identity
from firmware.board.pkcs11_token import key_store
from firmware.faults import ConfigRejected
from provisioning import (
    bundling,
    fleet,
    guide_accept,
    guide_looks,
    guide_place,
    requests,
    signing,
    unit,
)
from provisioning.certificates import present
from provisioning.guide_place import settings_of
from provisioning.guide_words import TITLES, TO_DO
from provisioning.guiding import Field, Job, Outcome, Report, Step, StepName
from provisioning.site_files import SitePlan

BUNDLE_NAME: Final = "bundle"
ANSWER_NAME: Final = "answer.json"
"""Where what the office made is put, in the unit's hand-over folder."""


def steps() -> tuple[Step, ...]:
    """Return the steps in their order."""
    return (
        _step(StepName.PLACE, guide_place.run, guide_place.is_done, guide_place.fields, guide_place.answer),
        _step(StepName.FLEET, _make_fleet, _has_fleet),
        _step(StepName.UNIT, _make_unit, _has_unit),
        _step(StepName.SURVEY, guide_looks.survey, guide_looks.is_surveyed, may_skip=True),
        _step(StepName.CHECK, guide_looks.check, guide_looks.is_checked, may_skip=True),
        _step(StepName.AIM, guide_looks.aim, guide_looks.is_aimed, may_skip=True),
        _step(StepName.ACCEPT, guide_accept.run, guide_accept.is_done, guide_accept.fields, guide_accept.answer),
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
    """Make a practice fleet, or go on with one that is half made."""
    if job.fleet is None or not job.is_practice:
        raise ConfigRejected(
            f"{job.fleet}: no fleet is there; make it in the office with `kestrel-provision fleet init`, or leave "
            "--fleet out and bring the unit's answer from there"
        )
    if _has_fleet(job):
        return Outcome(is_good=True, sentence=f"The fleet in {job.fleet} stays as it is.")
    report.say("The authority and the agency's keys are made.")
    made = fleet.init(job.fleet, host="localhost", port=_free_port(), now=present())
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
    asked = unit.waiting(job.unit)
    device_id = asked.device_id if asked else state.device_id or unit.new_id()
    job.file.change(device_id=device_id)  # before the key: after a kill the same unit is gone on with
    if state.site is None:
        raise ConfigRejected("the place of the unit is not known yet; do the first step")
    plan = SitePlan(site=state.site, others=state.others)
    if job.fleet is None:
        _take_answer(job, device_id, plan, report)
    else:
        report.say(f"{device_id} makes its key, and the fleet certifies it.")
        unit.enrol(job.fleet, job.unit, plan.site, present(), device_id=device_id, others=plan.others)
        report.say(f"Print its label {signing.label_path(job.fleet, device_id)}, 50 x 25 mm.")
    return Outcome(is_good=True, sentence=f"{device_id} has its key, its certificate and its configuration.")


def _take_answer(job: Job, device_id: str, plan: SitePlan, report: Report) -> None:
    """Ask by a file, and take bundle or answer if one is there. Raises ConfigRejected."""
    asked = job.unit / unit.REQUEST_NAME
    bundle, answered = job.file.folder / BUNDLE_NAME, job.file.folder / ANSWER_NAME
    unit.request_new(job.unit, device_id=device_id)
    report.say(f"{device_id} asks in {asked}, which holds no secret.")
    if bundle.exists():
        try:
            bundling.apply(job.unit, bundle, present())
        except ConfigRejected:  # one for stock has no site, and takes what was typed in; whatever else is said again
            bundling.apply(job.unit, bundle, present(), plan=plan)
    elif answered.exists():
        unit.install(job.unit, requests.load_answer(answered), present())
    else:
        raise ConfigRejected(
            f"the office's bundle is not here yet; let it do `kestrel-provision unit bundle` with {asked}, put the "
            f"bundle at {bundle}, and try again"
        )
