"""What goes wrong at the roadside and in the office, through the tool's own door: one sentence, and nothing is changed.

Each mistake is made on real files, by the commands that a person would type; what is compared is every byte that was
there before. Of clocks, only what the machine says is set: no test may set the machine's own. Bundles that are damaged
or of another key, and names that two units ask for, are in test_stock and in the unit tests of bundles.
"""

import datetime as dt
import os
import shutil

import cv2
import numpy as np
import pytest
import segno
from loopback_fleet import NOW

from provisioning import certificates, fleet
from provisioning.__main__ import main

HERE = ("--name", "North gate", "--latitude", "37.77", "--longitude", "-122.42")
IN_1970 = dt.datetime(1970, 1, 1, 0, 3, tzinfo=dt.UTC)
AFTER_THE_AUTHORITY = NOW + dt.timedelta(days=certificates.AUTHORITY_DAYS, seconds=1)
HALF_A_CARD = {"etc/os-release": b"ID=debian\nVERSION_ID=12\n", "usr/bin/dpkg": bytes(64)}
"""A card's system as it is when the writer was pulled out: names are there, and blocks that were never written."""

YESTERDAY = dt.timedelta(days=-1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A fleet with one unit, two units in stock that have asked, and the bundles that the office made for them."""
    folder = tmp_path_factory.mktemp("bad-input")
    fleet.init(folder / "fleet", host="broker.example", port=8883, now=NOW)
    done("unit", "new", folder / "fleet", folder / "neighbour", *HERE, "--id", "k-bridge7")
    for name in ("mine", "other"):
        done("unit", "request", folder / name, "--out", folder / f"{name}.json")
        done("unit", "label", folder / name, "--out", folder / f"{name}.png")
        done("unit", "bundle", folder / "fleet", folder / f"{name}.json", "--out", folder / f"{name}.bundle")
    (folder / "somebody.png").write_bytes(code_of("https://maker.example/part/4711"))
    (folder / "nothing.png").write_bytes(cv2.imencode(".png", np.full((400, 400), 90, np.uint8))[1].tobytes())
    for name, content in HALF_A_CARD.items():
        path = folder / "card" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def place(made, tmp_path):
    return shutil.copytree(made, tmp_path / "place")


def done(*arguments):
    """Run one of the technician's commands, which must succeed."""
    assert main([str(argument) for argument in arguments]) == 0


def code_of(text):
    """Return a PNG of somebody's own QR code."""
    modules = np.array(list(segno.make(text).matrix_iter(border=4)))
    picture = np.kron(np.where(modules, 0, 255).astype(np.uint8), np.ones((8, 8), np.uint8))
    return cv2.imencode(".png", picture)[1].tobytes()


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def apply(bundle, *options):
    """Return the command that makes a unit of what hangs here by a bundle."""
    return lambda place: ["unit", "apply", place / "mine", place / bundle, *HERE, *(each(place) for each in options)]


def word(text):
    return lambda _: text


def file(name):
    return lambda place: place / name


def new(*options):
    """Return the command that makes a unit in the office."""
    return lambda place: ["unit", "new", place / "fleet", place / "new", *options]


MISTAKES = {
    "wrong QR: another unit's label": (apply("mine.bundle", word("--label"), file("other.png")), "the label is of k-"),
    "wrong QR: somebody else's code": (
        apply("mine.bundle", word("--label"), file("somebody.png")),
        "this code is no Kestrel label; scan the one on the unit's housing",
    ),
    "wrong QR: no code in the photo": (
        apply("mine.bundle", word("--label"), file("nothing.png")),
        "no code can be read in this photo; take it again",
    ),
    "wrong unit: another's bundle": (apply("other.bundle"), "bring the bundle of k-"),
    "duplicate unit id: made": (new(*HERE, "--id", "k-bridge7"), "the fleet has a unit of this name; choose another"),
    "location: a sign is missing": (
        new("--name", "N", "--latitude", "37.77", "--longitude", "122.42"),
        "-122.42 would be near them; correct its sign (west is negative)",
    ),
    "location: another continent": (
        new("--name", "N", "--latitude", "51.5", "--longitude", "-0.12"),
        "km from the nearest other site of the fleet; check the digits",
    ),
    "location: both swapped": (
        new("--name", "N", "--latitude", "-122.42", "--longitude", "37.77"),
        "are the wrong way round; give latitude 37.77",
    ),
}

CLOCKS = {
    "clock at 1970": (IN_1970, "this machine's clock says 1970-01-01, which cannot be right"),
    "clock behind the authority": (NOW + 2 * YESTERDAY, "which is before the fleet's authority was made"),
    "expired CA": (AFTER_THE_AUTHORITY, "the fleet's authority ended on"),
}
SIGNING = {
    "unit new": new(*HERE),
    "unit sign": lambda place: ["unit", "sign", place / "fleet", place / "mine.json", "--out", place / "new", *HERE],
    "unit rotate": lambda place: ["unit", "rotate", place / "fleet", place / "neighbour"],
    "unit retire": lambda place: ["unit", "retire", place / "fleet", place / "neighbour", "--reason", "worn"],
    "fleet revoke": lambda place: ["fleet", "revoke", place / "fleet", "k-bridge7", "--reason", "stolen"],
    "fleet add-receiver": lambda place: ["fleet", "add-receiver", place / "fleet"],
}


def refused(capsys, place, command, *, code=2):
    """Run a command that must be refused; return its sentence. Nothing that was there, or was not, may have changed."""
    capsys.readouterr()
    before = contents(place)
    assert main([str(one) for one in command(place)]) == code
    said = capsys.readouterr()
    assert said.err.startswith("kestrel-provision: ")
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert "; " in said.err
    changed = {path for path, content in contents(place).items() if before.pop(path, None) != content}
    # a key that waits for its certificate is made before anybody signs, and is used the next time
    assert {path.name for path in changed} <= {"device.next.key", "request.json"}
    assert before == {}
    return said.err


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_changes_nothing(place, capsys, mistake):
    command, sentence = MISTAKES[mistake]
    assert sentence in refused(capsys, place, command)
    assert not (place / "new").exists()
    assert not (place / "mine" / "config.json").exists()


@pytest.mark.parametrize("signing", SIGNING)
@pytest.mark.parametrize("clock", CLOCKS)
def test_nothing_is_signed_by_a_clock_that_cannot_be_right(place, capsys, monkeypatch, clock, signing):
    now, sentence = CLOCKS[clock]
    monkeypatch.setattr("provisioning.certificates.present", lambda: now)
    error = refused(capsys, place, SIGNING[signing])
    assert sentence in error
    assert "timedatectl" in error


@pytest.mark.parametrize("now", [IN_1970, NOW + YESTERDAY * 2], ids=["1970", "two days behind"])
def test_a_unit_s_clock_that_is_behind_is_named_at_the_roadside(place, capsys, monkeypatch, now):
    monkeypatch.setattr("provisioning.certificates.present", lambda: now)
    assert "clock" in refused(capsys, place, apply("mine.bundle"))
    assert not (place / "mine" / "config.json").exists()
    monkeypatch.undo()
    done(*apply("mine.bundle")(place))  # once the clock is right the same command goes through


@pytest.mark.parametrize("command", ["check", "install"])
def test_a_half_written_card_is_not_touched(place, capsys, command):
    if command == "install" and os.geteuid() != 0:
        pytest.skip("a card is installed on as root only")
    error = refused(capsys, place, lambda place: ["card", command, "--root", place / "card"], code=1)
    assert "the card is half written" in error
    assert "write Raspberry Pi OS Lite (64-bit) to it again" in error
