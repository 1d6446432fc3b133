"""A card that is half written, or gone while it is worked on: an image on a loop device, whose file is cut off."""

import os
import subprocess
from pathlib import Path

import pytest
from fake_card import make_bundle, make_card, refused

from provisioning.__main__ import main
from provisioning.card import mounted
from provisioning.card.findings import Refusal
from provisioning.card.wording import CardRefused

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists(), reason="a card's image is mounted by root only"
)
MIB = 1 << 20
SIZE = 700 * MIB


@pytest.fixture
def image(tmp_path):
    """A card's system partition as a file."""
    path = tmp_path / "card.img"
    with path.open("wb") as file:
        file.truncate(SIZE)
    made = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", make_card(tmp_path / "card"), path]
    subprocess.run(made, check=True, timeout=60)
    return path


@pytest.fixture
def place(tmp_path):
    """A folder to mount it at; nothing is mounted there afterwards."""
    path = tmp_path / "mounted"
    path.mkdir()
    yield path
    subprocess.run(["umount", "--quiet", path], check=False, timeout=60)


def is_mounted(image, place):
    return subprocess.run(["mount", "-o", "loop", image, place], check=False, timeout=60, stderr=-3).returncode == 0


def pull(image):
    """Take the card out: the disk has no blocks any more, whatever of it the kernel still remembers (losetup(8))."""
    os.truncate(image, 0)
    words = ["losetup", "--associated", image, "--noheadings", "--output", "NAME"]
    disk = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
    subprocess.run(["losetup", "--set-capacity", disk], check=True, timeout=60)


def forget():
    """Let the kernel forget what it has read."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def said_by(capsys, *words):
    assert main(["card", *map(str, words)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("written", [1 * MIB, 8 * MIB, SIZE // 2])
def test_a_card_whose_writing_was_broken_off_is_not_mounted_and_told(written, image, place, capsys):
    os.truncate(image, written)
    assert not is_mounted(image, place)
    sentence = said_by(capsys, "check", "--root", place)
    assert "half written" in sentence
    assert "write Raspberry Pi OS Lite (64-bit) to it again" in sentence


@pytest.mark.parametrize("name", mounted.NEEDED)
def test_files_whose_blocks_were_never_written_are_half_written(name, image, place):
    assert is_mounted(image, place)
    path = place / name
    path.write_bytes(bytes(path.stat().st_size))
    assert refused(lambda: mounted.look(place)) == Refusal.HALF_WRITTEN


@pytest.mark.parametrize("command", ["check", "install"])
def test_a_card_that_was_taken_out_is_told_as_such(command, image, place, tmp_path, capsys):
    make_bundle(tmp_path / "bundle")
    assert is_mounted(image, place)
    pull(image)
    forget()
    words = ["--bundle", tmp_path / "bundle"] if command == "install" else []
    sentence = said_by(capsys, command, "--root", place, *words)
    assert f"nothing can be read from the card at {place} or kept on it" in sentence
    assert "it was taken out" in sentence


def test_a_program_that_fails_because_the_card_is_gone_is_not_blamed(image, place):
    def fail():
        with mounted.answering(place):
            raise CardRefused(Refusal.COMMAND_FAILED, what="dpkg", tail="Bus error")

    assert is_mounted(image, place)
    assert refused(fail) == Refusal.COMMAND_FAILED
    pull(image)
    assert refused(fail) == Refusal.CARD_SILENT


def test_a_card_that_is_locked_is_told_as_such(image, place, tmp_path, capsys):
    make_bundle(tmp_path / "bundle")
    assert is_mounted(image, place)
    subprocess.run(["mount", "-o", "remount,ro", place], check=True, timeout=60)
    sentence = said_by(capsys, "install", "--root", place, "--bundle", tmp_path / "bundle")
    assert "locked by its switch" in sentence


def test_a_fault_of_another_disk_is_not_the_card_s(tmp_path):
    def fail():
        with mounted.answering(tmp_path):
            raise PermissionError(13, "Permission denied", "/elsewhere")

    with pytest.raises(PermissionError):
        fail()
