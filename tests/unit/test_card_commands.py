"""What the technician types and reads, and what a bundle is made of; real programs, no network."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from fake_card import below, make_bundle, refused

from provisioning.__main__ import main
from provisioning.card import fetching
from provisioning.card.findings import Part, Refusal
from provisioning.card.processes import finished
from provisioning.card.wording import MEND

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="a card's root is entered as root only")


def lines_of(capsys):
    said = capsys.readouterr()
    return said.out.splitlines(), said.err.splitlines()


def test_check_says_of_each_part_how_it_is_and_changes_nothing(root, capsys):
    before = below(root)
    assert main(["card", "check", "--root", str(root)]) == 1
    out, err = lines_of(capsys)
    states = {line.split()[0]: line.split()[1] for line in out if line[0] != " "}
    assert {part: states[part] for part in Part} == dict.fromkeys(Part, "fail")
    assert out[-1] == MEND
    assert "nftables is not installed" in "".join(out)
    assert err == []
    assert below(root) == before


@pytest.mark.parametrize("command", ["check", "install"])
def test_what_is_no_card_is_one_sentence(command, tmp_path, capsys):
    if command == "install" and os.geteuid() != 0:
        pytest.skip("a card is installed on as root only")
    assert main(["card", command, "--root", str(tmp_path)]) == 1
    out, err = lines_of(capsys)
    assert out == []
    assert len(err) == 1
    assert "half written" in err[0]


@as_root
def test_without_a_bundle_it_says_what_one_is_for(root, capsys):
    before = below(root)
    assert main(["card", "install", "--root", str(root)]) == 1
    _, err = lines_of(capsys)
    assert "Debian packages and our programs, which come from a bundle" in err[0]
    assert below(root) == before


@as_root
def test_programs_of_another_machine_are_one_sentence_and_nothing_stays_mounted(root, folder, capsys):
    (root / "usr/bin/dpkg").chmod(0o755)
    for name in ("proc", "dev", "sys", "run", "tmp"):
        (root / name).mkdir()
    mounted = Path("/proc/self/mounts").read_text()
    assert main(["card", "install", "--root", str(root), "--bundle", str(folder)]) == 1
    out, err = lines_of(capsys)
    assert [line for line in out if line[0] != " "] == ["The bundle is read ...", "[1/7] Debian packages ..."]
    assert "this machine cannot run them; install qemu-user-static" in err[0]
    assert Path("/proc/self/mounts").read_text() == mounted
    assert not any(any((root / name).iterdir()) for name in ("proc", "dev", "sys", "run", "tmp"))


@as_root
def test_a_bundle_for_another_card_is_told_before_anything_is_done(root, tmp_path, capsys):
    make_bundle(tmp_path / "other", suite="trixie")
    before = below(root)
    assert main(["card", "install", "--root", str(root), "--bundle", str(tmp_path / "other")]) == 1
    assert "make one with --suite bookworm" in lines_of(capsys)[1][0]
    assert below(root) == before


def test_a_program_that_takes_its_time_is_told_of_each_second(monkeypatch):
    monkeypatch.setattr("provisioning.card.processes.TICK_S", 0.05)
    ticks = []
    assert finished(["sleep", "0.5"], lambda: ticks.append(1)) == (0, "")
    assert len(ticks) >= 3


def test_a_program_is_ended_when_waiting_for_it_is_interrupted(monkeypatch):
    monkeypatch.setattr("provisioning.card.processes.TICK_S", 0.05)
    children = []

    def interrupt():
        children.extend(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finished(["sleep", "60"], interrupt)
    assert children
    assert not Path(f"/proc/{children[-1]}").exists()


# -- what a bundle is made of


@pytest.mark.parametrize(
    ("suite", "architecture", "newest", "too_new"),
    [
        ("bookworm", "arm64", "manylinux_2_36_aarch64", "manylinux_2_37_aarch64"),
        ("trixie", "arm64", "manylinux_2_41_aarch64", "manylinux_2_42_aarch64"),
        ("bookworm", "amd64", "manylinux_2_36_x86_64", "manylinux_2_36_aarch64"),
    ],
)
def test_wheels_are_those_that_the_card_s_c_library_can_load(suite, architecture, newest, too_new):
    platforms = fetching.wheel_platforms(suite, architecture)
    assert newest in platforms
    assert too_new not in platforms
    assert "--only-binary=:all:" in fetching.target_words(suite, architecture)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is Debian's")
def test_the_index_names_each_package_with_its_digest(tmp_path):
    control = tmp_path / "made/DEBIAN/control"
    control.parent.mkdir(parents=True)
    control.write_text(
        "Package: one\nVersion: 1:2-3\nArchitecture: all\nMaintainer: A <a@example.org>\n"
        "Installed-Size: 7\nDescription: nothing\n at all\n"
    )
    folder = tmp_path / "debian"
    folder.mkdir()
    subprocess.run(["dpkg-deb", "--build", tmp_path / "made", folder / "one.deb"], check=True, capture_output=True)
    assert fetching.index(folder) == {"one": ("1:2-3", 7)}
    lines = (folder / "Packages").read_text().splitlines()
    assert f"SHA256: {fetching.bundle.digest_of(folder / 'one.deb')}" in lines
    assert "Filename: ./one.deb" in lines


def test_a_wheel_says_its_name_version_and_size(tmp_path):
    path = tmp_path / "one-1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("one-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: one\nVersion: 1.2\n\nVersion: 9\n")
        wheel.writestr("one.py", "x" * 100)
    name, version, digest, size = fetching._wheel_facts(path)
    assert (name, version, digest) == ("one", "1.2", fetching.bundle.digest_of(path))
    assert size > 100


def test_without_debian_s_tools_no_bundle_is_begun(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = fetching.Wanted(suite="bookworm", architecture="arm64")
    never = pytest.fail
    assert refused(lambda: fetching.make(tmp_path / "out", wanted, never, never)) == Refusal.NO_APT
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_fetched_is_told_with_the_program_s_own_words(tmp_path):
    broken = tmp_path / "sources.list"
    broken.write_text("deb nonsense\n")
    wanted = fetching.Wanted(suite="bookworm", architecture="arm64", sources=broken)
    assert refused(lambda: fetching._fetch_packages(tmp_path / "debian", wanted, lambda: None)) == Refusal.NOT_FETCHED


def test_begin_sh_is_a_shell_s(tmp_path):
    script = Path(fetching.__file__).with_name("begin.sh")
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    done = subprocess.run(["sh", script], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0  # no bundle beside it
