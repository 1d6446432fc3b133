"""Erasing: everything of the unit goes, nothing else does, and a power cut at any moment only delays it."""

import os
import sqlite3
import stat
import subprocess
import sys
import uuid

import pytest

from firmware import erasure, identity
from firmware.__main__ import main
from firmware.command_line import EXIT_RETIRED
from firmware.faults import DeviceFault, FaultCode, Retired
from firmware.retirement import Cause

KEY = bytes(range(200, 256)) * 3
OWN = [identity.KEY_NAME, identity.CERTIFICATE_NAME, identity.AUTHORITY_NAME, identity.CONFIG_NAME]
BESIDE = [".device.key.k3x9", "device.key.old", "outbox.db-wal", "outbox.db-shm", "outbox.db.damaged"]
FOREIGN = ["notes.txt", "outbox", "models"]


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "unit"
    path.mkdir()
    for name in OWN + BESIDE:
        (path / name).write_bytes(KEY if "key" in name else b"sealed")
    with sqlite3.connect(path / identity.OUTBOX_NAME) as outbox:
        outbox.execute("CREATE TABLE reads (wire BLOB)")
        outbox.execute("INSERT INTO reads VALUES (?)", (os.urandom(100_000),))
    outbox.close()
    for name in FOREIGN[:2]:
        (path / name).write_bytes(b"not ours")
    (path / FOREIGN[2]).mkdir()
    (path / identity.HANDOVER_FOLDER / "page").mkdir(parents=True)
    for name in ("aim.json", ".guide.json", "page/state.js"):
        (path / identity.HANDOVER_FOLDER / name).write_bytes(b"where it hangs")
    (path / identity.VEHICLES_FOLDER).mkdir()
    (path / identity.VEHICLES_FOLDER / f"{uuid.uuid4()}.sealed").write_bytes(b"sealed")
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def holds_key(folder):
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return any(KEY[start : start + 8] in content for start in range(len(KEY) - 8))


def test_everything_of_the_unit_goes_and_nothing_else(folder):
    assert holds_key(folder)
    erasure.erase(folder, Cause.COMMAND)
    assert names(folder) == sorted([*FOREIGN, erasure.MARK_NAME])
    assert not holds_key(folder)
    assert stat.S_IMODE((folder / erasure.MARK_NAME).stat().st_mode) == 0o600


def test_the_key_s_own_blocks_are_overwritten_before_they_are_let_go(folder):
    with (folder / identity.KEY_NAME).open("rb") as held:  # the blocks stay as long as somebody holds them
        erasure.destroy_key(folder)
        assert held.read() == bytes(len(KEY))


def test_a_key_that_is_a_link_takes_nothing_else_with_it(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"another's")
    (folder / identity.KEY_NAME).unlink()
    (folder / identity.KEY_NAME).symlink_to(elsewhere)
    erasure.erase(folder, Cause.COMMAND)
    assert elsewhere.read_bytes() == b"another's"
    assert identity.KEY_NAME not in names(folder)


def test_a_technician_s_folder_that_is_a_link_or_a_file_takes_nothing_else_with_it(folder, tmp_path):
    handover = folder / identity.HANDOVER_FOLDER
    handover.rename(tmp_path / "elsewhere")
    handover.symlink_to(tmp_path / "elsewhere")
    erasure.erase(folder, Cause.COMMAND)
    assert len(list((tmp_path / "elsewhere").iterdir())) == 3
    handover.write_bytes(b"where it hangs")
    erasure.erase(folder, Cause.COMMAND)
    assert names(folder) == sorted([*FOREIGN, erasure.MARK_NAME])


def test_erasing_again_is_nothing_and_the_first_cause_counts(folder):
    erasure.erase(folder, Cause.TAMPER)
    before = (folder / erasure.MARK_NAME).read_bytes()
    erasure.erase(folder, Cause.COMMAND)
    assert (folder / erasure.MARK_NAME).read_bytes() == before


def test_a_unit_that_was_not_retired_runs(folder):
    with erasure.unless_retired(folder):
        pass
    assert holds_key(folder)


def test_what_a_dying_service_leaves_is_erased_at_its_end(folder):
    def dies():
        with erasure.unless_retired(folder):
            erasure.erase(folder, Cause.TAMPER)
            (folder / "outbox.db-wal").write_bytes(b"written while the outbox was closed")
            raise ValueError("on its way out")

    with pytest.raises(Retired, match="tamper contact"):
        dies()
    assert names(folder) == sorted([*FOREIGN, erasure.MARK_NAME])


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [(Cause.TAMPER, "tamper contact"), (Cause.COMMAND, "fleet"), (Cause.TECHNICIAN, "technician")],
)
def test_the_next_start_is_one_sentence_and_its_own_exit_code(folder, capsys, cause, sentence):
    erasure.erase(folder, cause)
    assert main(["--folder", str(folder)]) == EXIT_RETIRED == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert sentence in said
    assert "will not run again" in said


def test_a_mark_that_a_power_cut_left_empty_is_a_mark(folder, capsys):
    (folder / erasure.MARK_NAME).write_bytes(b"")
    assert main(["--folder", str(folder)]) == EXIT_RETIRED
    assert names(folder) == sorted([*FOREIGN, erasure.MARK_NAME])
    assert "will not run again" in capsys.readouterr().err


def test_a_disk_that_refuses_is_a_fault_that_says_what_is_left_to_do(folder):
    (folder / identity.KEY_NAME).unlink()
    folder.rename(folder.with_name("gone"))
    with pytest.raises(DeviceFault, match="take its card out") as refused:
        erasure.erase(folder, Cause.TAMPER)
    assert refused.value.code is FaultCode.STORAGE_REFUSED


CUTS = """
import os, shutil, signal, sys
from pathlib import Path
from firmware import erasure
from firmware.retirement import Cause

WORDS = {"open", "fsync", "unlink", "rmdir", "write", "chmod", "close", "flush", "listdir", "lstat"}

def erase_until(step, folder):
    left = step
    def cut(frame, event, argument):  # each call into the kernel is a step; the power goes just before one of them
        nonlocal left
        if event == "c_call" and argument.__name__ in WORDS:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
    sys.setprofile(cut)
    erasure.erase(folder, Cause.TAMPER)
    sys.setprofile(None)
    os._exit(0)

whole, status, step = Path(sys.argv[1]), signal.SIGKILL, 0
while status == signal.SIGKILL:
    folder = whole.with_name(f"cut{step}")
    shutil.copytree(whole, folder)
    child = os.fork()
    if child == 0:
        erase_until(step, folder)
    status, step = os.waitpid(child, 0)[1], step + 1
sys.exit(status)
"""


def test_a_kill_at_each_step_leaves_what_the_next_start_goes_on_with(folder, tmp_path):
    whole = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    subprocess.run([sys.executable, "-c", CUTS, str(folder)], timeout=60, check=True)
    *cut, complete = sorted(tmp_path.glob("cut*"), key=lambda path: int(path.name[3:]))
    assert len(cut) > 30
    assert names(complete) == sorted([*FOREIGN, erasure.MARK_NAME])
    unmarked = [path for path in cut if not (path / erasure.MARK_NAME).exists()]
    assert len(unmarked) < 5
    for path in unmarked:  # nothing is lost yet
        assert {name: (path / name).read_bytes() for name in whole} == whole
    for path in set(cut) - set(unmarked):
        with pytest.raises(Retired), erasure.unless_retired(path):
            pytest.fail("a unit that is being erased has started")
        assert names(path) == sorted([*FOREIGN, erasure.MARK_NAME])
        assert not holds_key(path)
