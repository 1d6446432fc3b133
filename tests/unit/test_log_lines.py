"""A log line holds sentences of our own and typed values; whatever else strays into a log call is withheld."""

import ast
import json
import logging
import os
import string
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.board import log_output
from firmware.board.log_output import LogFormat
from firmware.faults import DeviceFault, DocumentRejected, FaultCode
from firmware.log_lines import FRAMES_AT_MOST, MESSAGE_CHARACTERS, Phrase, described, line_of
from firmware.records import PlateText

ROOT = Path(__file__).resolve().parents[2]
CANARY = "CANARY7"
OWN = ("firmware",)


def record(template, *values, name="firmware.uplink", level=logging.WARNING, exc_info=None):
    return logging.LogRecord(name, level, "/x/uplink.py", 7, template, values, exc_info, "step")


def line(template, *values, **how):
    return line_of(record(template, *values, **how), OWN)


def raised(error):
    try:
        raise error
    except type(error) as caught:  # with a traceback
        return caught


@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        CANARY.encode(),
        PlateText(CANARY),
        ValueError(CANARY),
        [CANARY],
        {"plate": CANARY},
        np.frombuffer(CANARY.encode(), np.uint8),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("form", ["%s", "%r", "%5s", "%d"])
def test_what_is_no_word_of_ours_is_withheld(value, form):
    told = line(f"a plate {form}", value)
    assert "withheld" in told.message
    assert CANARY not in repr(told)
    assert CANARY not in repr(told.fields())


@given(st.text(string.printable, min_size=3).filter(lambda text: text not in "a value (str withheld) text is"))
def test_no_text_gets_through(text):
    assert line("a value: %s", text).message == "a value: (str withheld)"


def test_numbers_faults_reads_files_and_own_words_are_told():
    read_id = uuid.uuid4()
    fault = DeviceFault(FaultCode.BROKER_REFUSED, "call the office")
    told = line("%d of %.1f: %s, %s, %s, %s", np.int64(3), 2.5, read_id, fault, Path("/a/b"), Phrase("kept"))
    assert told.message == f"3 of 2.5: {read_id}, broker-refused: call the office, /a/b, kept"
    assert told.fields()["KESTREL_FAULT"] == "broker-refused"
    assert told.fields()["KESTREL_READ"] == str(read_id)
    assert told.fields()["KESTREL_EVENT"] == "%d of %.1f: %s, %s, %s, %s"
    assert told.fields()["PRIORITY"] == "4"
    assert line("the phase is %s", FaultCode.STAGE_STUCK).fault is FaultCode.STAGE_STUCK
    assert line("%s", DocumentRejected("it is too long")).message == "it is too long"


@pytest.mark.parametrize(("level", "priority"), [(10, 7), (20, 6), (30, 4), (35, 4), (40, 3), (50, 2)])
def test_levels_are_those_of_syslog(level, priority):
    assert line("x", level=level).priority == priority


def test_of_another_library_only_the_place_is_told():
    told = line("read %s", CANARY, name="picamera2.picamera2", exc_info=(ValueError, raised(ValueError(CANARY)), None))
    assert told.message.startswith("picamera2.picamera2 has something to say at uplink.py:7 in step: ValueError (")
    assert CANARY not in repr(told)
    assert (
        line(f"text made before: {CANARY}", name="paho").message == "paho has something to say at uplink.py:7 in step"
    )


def test_a_bug_is_told_by_kind_and_place_however_deep():
    def deeper(text):
        return deeper(text)

    with pytest.raises(RecursionError) as endless:
        deeper(CANARY)
    text = described(endless.value)
    assert text.count(" in ") == FRAMES_AT_MOST
    assert CANARY not in text
    assert len(line("ends: %s", Phrase("x" * 100_000)).message) == MESSAGE_CHARACTERS


def log_calls():
    """Yield every call of a LOG in the product, with its file."""
    for package in ("firmware", "hw_sim", "cloud", "provisioning"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    owner = node.func.value
                    if isinstance(owner, ast.Name) and owner.id in {"LOG", "log", "logging"}:
                        yield path.relative_to(ROOT), node


LEVEL_CALLS = {"debug", "info", "warning", "error", "critical", "exception", "log"}


def test_every_log_call_is_a_constant_sentence_with_values():
    """A sentence that is made before it is handed over, or a traceback, would go round what is checked here."""
    calls = [(path, call) for path, call in log_calls() if call.func.attr in LEVEL_CALLS]
    assert len(calls) > 10
    assert [
        f"{path}:{call.lineno}"
        for path, call in calls
        if not isinstance(call.args[0], ast.Constant) or call.keywords or call.func.attr in {"exception", "log"}
    ] == []


def test_no_log_call_hands_over_a_bare_text():
    """Such a value would be withheld, so a technician would miss it: it is a Phrase, or no value of a log line."""
    bare = [
        f"{path}:{call.lineno}"
        for path, call in log_calls()
        if call.func.attr in LEVEL_CALLS
        for value in call.args[1:]
        if isinstance(value, ast.JoinedStr)
        or (isinstance(value, ast.Constant) and isinstance(value.value, str))
        or (isinstance(value, ast.Call) and getattr(value.func, "id", "") in {"str", "repr"})
    ]
    assert bare == []


@pytest.fixture
def begun(capsys):
    """Begin logging to standard error; return what reads it."""

    def begin(form, level="info"):
        log_output.begin(level, form)
        return lambda: capsys.readouterr().err

    return begin


def test_text_is_one_printable_line(begun):
    out = begun(LogFormat.TEXT)
    logging.getLogger("firmware.uplink").info("%s", Phrase("two\nlines \x1b[31m"))
    assert out() == "INFO firmware.uplink: two?lines ?[31m\n"


def test_json_has_the_fields_of_the_journal(begun):
    out = begun(LogFormat.JSON)
    logging.getLogger("firmware.uplink").error("%s", DeviceFault(FaultCode.STORAGE_REFUSED, "free space"))
    told = json.loads(out())
    assert told["kestrel_fault"] == "storage-refused"
    assert told["kestrel_stage"] == "main"
    assert told["message"] == "storage-refused: free space"
    assert told["priority"] == "3"


def test_other_libraries_speak_from_warning_on_however_loud_they_are_set(begun):
    out = begun(LogFormat.TEXT, level="debug")
    loud = logging.getLogger("paho.mqtt.client")
    loud.setLevel(logging.DEBUG)
    loud.info("topic %s", CANARY)
    logging.getLogger("firmware.app").debug("ours")
    loud.warning("topic %s", CANARY)
    loud.setLevel(logging.NOTSET)
    first, second = out().splitlines()
    assert first == "DEBUG firmware.app: ours"
    assert second.startswith("WARNING paho.mqtt.client: paho.mqtt.client has something to say at test_log_lines.py:")


def test_a_line_that_cannot_be_made_tells_no_value(begun):
    out = begun(LogFormat.TEXT)
    for template, value in (("%d reads of %d", 3), ("no place", CANARY)):
        logging.getLogger("firmware.app").info(template, value)
    assert out() == (
        "INFO firmware.app: %d reads of %d (values withheld)\nINFO firmware.app: no place (values withheld)\n"
    )


STRAYS = """
import sys, threading, warnings
from firmware.board import log_output
from firmware.board.log_output import LogFormat
log_output.catch_strays()
log_output.begin("debug", LogFormat.TEXT)
plate = sys.argv[1]

def fails():
    raise ValueError(f"bad {plate}")

class Dies:
    def __del__(self):
        fails()

warnings.warn(f"odd {plate}")
Dies()
thread = threading.Thread(target=fails)
thread.start()
thread.join()
fails()
"""


def test_what_nobody_caught_is_told_without_values():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", STRAYS, CANARY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env=environment)
    assert done.returncode == 1
    assert CANARY not in done.stdout + done.stderr
    assert [line.split(": ")[1] + line.split(": ")[2][:12] for line in done.stderr.splitlines()] == [
        "Python warnsUserWarning ",
        "an exception that nobody can catchValueError (",
        "a bug ends a threadValueError (",
        "a bug ends the processValueError (",
    ]
