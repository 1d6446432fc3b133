"""Cards and bundles that do not fit, and what is said of each."""

import shutil

import fake_card
import pytest
from fake_card import below, elf, make_bundle, make_card, refused, table_of

from provisioning.card import bundle, installing, mounted
from provisioning.card.findings import Flaw, Part, Refusal
from provisioning.card.inside import locked
from provisioning.card.wording import FLAWS, PARTS, REFUSALS, CardRefused, said


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda root: (root / "etc/os-release").unlink(), Refusal.HALF_WRITTEN),
        (lambda root: (root / "etc/os-release").write_text(""), Refusal.HALF_WRITTEN),
        (lambda root: (root / "var/lib/dpkg/status").unlink(), Refusal.HALF_WRITTEN),
        (lambda root: (root / "usr/bin/dpkg").write_bytes(bytes(64)), Refusal.HALF_WRITTEN),
        (lambda root: (root / "usr/bin/dpkg").write_bytes(b"\x7fELF"), Refusal.HALF_WRITTEN),
        (lambda root: (root / "etc/os-release").write_text("ID=ubuntu\nVERSION_ID=24.04\n"), Refusal.NOT_DEBIAN),
        (lambda root: (root / "etc/os-release").write_text("ID=debian\nVERSION_ID=11\n"), Refusal.OTHER_SUITE),
        (lambda root: (root / "etc/os-release").write_text("ID=debian\n"), Refusal.OTHER_SUITE),
        (
            lambda root: (root / "usr/bin/dpkg").write_bytes(elf(fake_card.ELF32, 40)),
            Refusal.THIRTY_TWO_BIT,
        ),
        (lambda root: (root / "usr/bin/dpkg").write_bytes(elf(machine=243)), Refusal.OTHER_ARCHITECTURE),
        (shutil.rmtree, Refusal.NO_ROOT),
    ],
)
def test_what_is_no_card_of_ours_is_refused(spoil, why, root):
    spoil(root)
    assert refused(lambda: mounted.look(root)) == why


@pytest.mark.parametrize(("version", "suite", "python"), [("12", "bookworm", "3.11"), ("13", "trixie", "3.13")])
@pytest.mark.parametrize(("program", "architecture"), [(elf(), "arm64"), (elf(machine=fake_card.AMD64), "amd64")])
def test_a_card_is_known_by_its_files(version, suite, python, program, architecture, tmp_path):  # noqa: PLR0917
    card = mounted.look(make_card(tmp_path / "card", version=version, program=program))
    assert (card.suite, card.python, card.architecture, card.is_running) == (suite, python, architecture, False)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"suite": "trixie"}, Refusal.BUNDLE_OTHER_SUITE),
        ({"architecture": "amd64"}, Refusal.BUNDLE_OTHER_ARCHITECTURE),
    ],
)
def test_a_bundle_for_another_card_is_refused(given, why, root, tmp_path):
    make_bundle(tmp_path / "other", **given)
    assert refused(lambda: bundle.load_for(tmp_path / "other", mounted.look(root))) == why


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: (folder / "bundle.json").unlink(), Refusal.BUNDLE_UNFINISHED),
        (lambda folder: (folder / "bundle.json").write_text("{"), Refusal.BUNDLE_UNFINISHED),
        (shutil.rmtree, Refusal.BUNDLE_UNFINISHED),
        (lambda folder: (folder / "wheels/kestrel_camera-0.1.0-py3-none-any.whl").unlink(), Refusal.BUNDLE_DAMAGED),
        (lambda folder: (folder / "lock.txt").write_text("one==2\n"), Refusal.BUNDLE_DAMAGED),
        (
            lambda folder: (folder / "bundle.json").write_text(
                (folder / "bundle.json").read_text().replace("lock.txt", "../lock.txt")
            ),
            Refusal.BUNDLE_DAMAGED,
        ),
    ],
)
def test_a_bundle_that_is_not_whole_is_refused(spoil, why, folder):
    spoil(folder)
    assert refused(lambda: bundle.load(folder)) == why


def test_what_has_no_chance_is_refused_before_anything_is_written(root, folder, tmp_path):
    before = below(root)
    huge = make_bundle(tmp_path / "huge", needed_mb=10**9)
    card = mounted.look(root)
    for given, why in ((None, Refusal.NO_BUNDLE), (huge, Refusal.TOO_LITTLE_SPACE)):
        table = table_of(root, given.folder if given else None)
        assert refused(lambda given=given, table=table: installing.require_fit(card, given, table, "")) == why
    (root / "boot/firmware/config.txt").unlink()
    given = bundle.load(folder)
    assert refused(lambda: installing.require_fit(card, given, table, "")) == Refusal.BOOT_NOT_MOUNTED
    (root / "boot/firmware/config.txt").touch()
    installing.require_fit(card, given, table_of(root, folder), "")
    assert below(root).keys() == before.keys()


def test_a_read_only_system_that_runs_is_known_by_its_mounts():
    line = "/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n"
    assert not mounted.is_overlaid(line)
    assert mounted.is_overlaid(f"{line}overlayroot / overlay rw,lowerdir=/media/root-ro 0 0\n")
    running = mounted.Card(root=mounted.Path("/"), suite="bookworm", architecture="arm64")
    assert running.is_running
    overlaid = "overlayroot / overlay rw 0 0\n"
    assert refused(lambda: installing.require_fit(running, None, (), overlaid)) == Refusal.READ_ONLY_NOW


def test_two_installers_do_not_work_on_one_card(root):
    with locked(root):
        assert refused(lambda: locked(root).__enter__()) == Refusal.BUSY
    with locked(root):
        pass


def test_there_is_one_sentence_for_each_refusal_flaw_and_part():
    assert (set(REFUSALS), set(FLAWS), set(PARTS)) == (set(Refusal), set(Flaw), set(Part))


@pytest.mark.parametrize("refusal", list(Refusal))
def test_a_refusal_says_what_is_wrong_and_what_to_do(refusal):
    words = dict.fromkeys(("root", "what", "bundle", "given", "free", "needed", "tail", "part"), "X")
    sentence = str(CardRefused(refusal, **words))
    wrong, _, advice = sentence.partition("; ")
    assert len(wrong.split()) >= 4 or refusal == Refusal.NOT_DEBIAN
    assert len(advice.split()) >= 4
    assert "{" not in sentence
    assert "\n" not in sentence


def test_what_is_found_is_said_by_name(root):
    sentences = [said(one) for found in installing.examine(table_of(root, None)).values() for one in found]
    assert {"nftables is not installed", "pi can log in with a password", "/var/swap is mounted as swap"} <= set(
        sentences
    )
