"""What the guided run says of itself, in one place: titles, what to do now, choices. Results are the steps'."""

from pathlib import Path

from provisioning.guiding import Mark, StepName

TITLES = {
    StepName.PLACE: "Clock and place",
    StepName.FLEET: "Fleet",
    StepName.UNIT: "Unit",
    StepName.SURVEY: "Survey",
    StepName.CHECK: "Check",
    StepName.AIM: "Aim",
    StepName.ACCEPT: "Hand-over",
}

TO_DO = {
    StepName.PLACE: "Say where the unit will hang, which way the lens will look, and who you are.",
    StepName.FLEET: "The unit needs a fleet: whom it obeys and who opens its reads. A practice fleet is made here.",
    StepName.UNIT: "The unit makes its key, and gets certificate and configuration. The key never leaves it.",
    StepName.SURVEY: "Before you climb: line of sight, sun in the lens, panel and battery, cellular signal.",
    StepName.CHECK: "Every part is tried. Keep the lane clear of people; it takes about a minute.",
    StepName.AIM: "Turn the camera as the large words say until they say GOOD, and tighten it.",
    StepName.ACCEPT: "The unit signs what was measured here and sends it, sealed, to the office.",
}

MARKS = {Mark.DONE: "[x]", Mark.TO_DO: "[ ]", Mark.SKIPPED: "[-]", Mark.FAILED: "[!]"}
"""ASCII, for a serial console."""

START, AGAIN, CHANGE, SKIP, STOP = "START", "TRY AGAIN", "CHANGE THE ANSWERS", "LEAVE OUT, WITH A REASON", "STOP HERE"
NEXT, END = "NEXT", "END"

REASON = "Why is it left out?"
REASON_LABEL = "Reason"
REASON_HINT = "lamp comes on Monday"
PRACTICE = "PRACTICE"
KEPT = "Stopped. All that is done stays done: start the guide again and it carries on."
FORM_FOOT = "Type, Enter: next   Up/Down: other line   Esc: menu"
CHOICE_FOOT = "Digit or arrows + Enter   PgUp/PgDn: scroll   F2: dark/light"
WORK_FOOT = "Working. Esc: stop this step   Ctrl-C: stop the guide"
AIM_FOOT = "Enter: take this aim   Esc: stop   Plates: found (by geometry)"
OFFICE_OPENS = "The practice office opens: a broker and a receiver on this machine."
BEGIN = "Seven steps from a blank card to a signed hand-over. Ctrl-C stops; start again, and it carries on."


def office_absent(output: Path) -> str:
    """Return why there is nobody to talk to in practice; `output` holds what the office said."""
    return (
        f"the practice office did not start; look into {output} for why (a missing mosquitto is installed with "
        "`apt install mosquitto`), then try again"
    )


def carried_on(done: int, steps: int, interrupted: str | None) -> str:
    """Return what a run says that was started before; `interrupted` is the title of the step that was cut off."""
    if interrupted is None:
        return f"Carrying on: {done} of {steps} steps are done."
    return (
        f"Carrying on: {done} of {steps} steps are done; '{interrupted}' was cut off and goes on from where it stood."
    )


def step_of(number: int, steps: int, title: str) -> str:
    """Return a step's heading."""
    return f"Step {number} of {steps}: {title}"


def next_is(title: str) -> str:
    """Return the choice that leads on."""
    return f"{NEXT}: {title}"


def ended(*, is_whole: bool) -> str:
    """Return what is said after the last step."""
    if is_whole:
        return "All steps are done. Every one can be done again without harm."
    return "All steps are behind you; some were left out, with your reasons."
