"""The last step of the guided run: the hand-over record, as `accept` makes it, with the reasons given on the way."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from provisioning import accept_command, handover_folder
from provisioning.guiding import AnswerRefused, Field, Job, Outcome, Report

REAR, PHOTOS = "rear", "photos"
PHOTOS_AT_MOST: Final = 6
RECORDS: Final = "accepted-*.json"


def fields(job: Job) -> tuple[Field, ...]:
    """Return what is asked: the technician's own word on the camera's view, and photos if there are any."""
    state = job.file.state
    return (
        Field(
            name=REAR,
            label="Rears only?",
            hint="yes: no fronts, no faces",
            value="yes" if state.rear_plates_only else "",
        ),
        Field(name=PHOTOS, label="Photos", hint="pole.jpg, road.jpg", value=", ".join(state.photos), is_optional=True),
    )


def answer(job: Job, values: Mapping[str, str]) -> None:
    """Keep what was typed in. Raises AnswerRefused, and OSError."""
    if values[REAR].lower() not in {"yes", "y", "si", "s\u00ed", "s"}:
        raise AnswerRefused(
            REAR, "A unit that shows fronts or faces is not handed over: turn it to the rears, look, and type yes"
        )
    photos = tuple(part.strip() for part in values.get(PHOTOS, "").split(",") if part.strip())
    if len(photos) > PHOTOS_AT_MOST:
        raise AnswerRefused(PHOTOS, f"{len(photos)} photos are too many; give the best {PHOTOS_AT_MOST}")
    for photo in photos:
        if not Path(photo).is_file():
            raise AnswerRefused(PHOTOS, f"{photo}: there is no such file; correct it, or leave the line empty")
    job.file.change(rear_plates_only=True, photos=photos)


def is_done(job: Job) -> bool:
    """Say whether a signed record lies in the unit's folder."""
    return any(handover_folder.folder_of(job.unit).glob(RECORDS))


def run(job: Job, report: Report) -> Outcome:
    """Sign, keep and send the record. Raises ConfigRejected and DeviceFault."""
    report.say("Reading what was surveyed, checked and aimed.")
    job.open_office(report)
    from provisioning import accept_session, accept_words  # noqa: PLC0415  OpenCV and the networks take their time

    state = job.file.state
    reasons = "; ".join(f"{step}: {reason}" for step, reason in state.skipped.items())
    words = [str(job.unit), f"--by={state.by}", "--board", job.board, f"--despite={reasons}"]
    words += [f"--photo={photo}" for photo in state.photos]
    words += ["--rear-plates-only", "yes" if state.rear_plates_only else "no"]
    trip = accept_session.accepted(job.options(accept_command.add_to, *words), report.say)
    return Outcome(is_good=True, sentence=accept_words.outcome(trip))
