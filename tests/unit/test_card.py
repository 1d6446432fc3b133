"""A card's installation on a small root: every step, a second time, and the power cut at every line of it."""

import os
import shutil
import sys

import pytest
from fake_card import (
    FSTAB,
    HASH,
    FakeInside,
    Labels,
    PowerCut,
    below,
    install,
    make_bundle,
    make_card,
    paragraph,
    refused,
    table_of,
)  # fmt: skip

from firmware import config
from provisioning import durable_files
from provisioning.card import bundle, debian, installing, log_ins, mounted, mounts, programs, record
from provisioning.card.findings import Flaw, Part, Refusal
from provisioning.card.installing import Wishes
from provisioning.host import install as host


@pytest.fixture
def labels(tmp_path):
    return Labels(tmp_path / "by-label")


def contents(root):
    """Return every file's bytes, link's target and mode: what two cards can be compared by."""
    return {
        str(path.relative_to(root)): (
            str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None,
            path.lstat().st_mode,
        )
        for path in root.rglob("*")
    }


# -- the whole


def test_every_part_is_missing_at_first_and_none_afterwards(root, folder):
    found = installing.examine(table_of(root, None))
    assert list(found) == list(Part)
    assert all(found.values())
    assert install(root, folder) > 50
    assert not any(installing.examine(table_of(root, None)).values())


def test_a_second_time_changes_nothing_with_a_bundle_and_without(root, folder):
    install(root, folder)
    before = below(root)
    inside = FakeInside(root, folder)
    assert install(root, folder, inside=inside) == 0
    assert install(root, None, inside=inside) == 0
    assert below(root) == before
    assert inside.commands == []


def cut_at(step, modules):
    """Cut the power before the line of these modules that is executed as number `step`."""
    left, files = [step], {module.__file__ for module in modules}

    def on_line(frame, event, argument):
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                sys.settrace(None)
                raise PowerCut
        return on_line

    sys.settrace(on_line)


CHANGING = (debian, durable_files, host, installing, log_ins, mounts, programs, record)


@pytest.mark.parametrize("half", [0, 1])
def test_the_power_may_go_before_any_line_and_the_next_time_goes_on(half, tmp_path, labels, request):
    """Before every 127th line; with `--rounds` before each one, which takes half an hour."""
    labels.add(mounts.STATE_LABEL)
    packages = [*debian.REQUIRED, debian.READ_ONLY]
    folder = make_bundle(tmp_path / "bundle-read-only", packages=packages).folder
    wishes = Wishes(is_read_only=True)
    uncut = make_card(tmp_path / "uncut")
    install(uncut, folder, labels, wishes)
    apart = 1 if request.config.getoption("--rounds") else 127
    step, cuts = 1 + half * apart, 0
    while True:
        root = make_card(tmp_path / "cut")
        table = table_of(root, folder, labels, wishes)
        tracer = sys.gettrace()
        cut_at(step, CHANGING)
        try:
            installing.carry_out(table, lambda part: None, lambda part, count: None)
            break
        except PowerCut:
            cuts += 1
        finally:
            sys.settrace(tracer)
        install(root, folder, labels, wishes)
        assert without_leftovers(contents(root)) == without_leftovers(contents(uncut)), step
        assert install(root, folder, labels, wishes) == 0
        shutil.rmtree(root)
        step += 2 * apart
    assert cuts > 5


def without_leftovers(found):
    """Leave out what a cut leaves beside a file that was being written: it is never read."""
    return {path: one for path, one in found.items() if not path.rsplit("/", 1)[-1].startswith(".")}


@pytest.mark.parametrize("number", range(1, 7))
def test_the_power_may_go_in_the_middle_of_any_of_the_card_s_programs(number, root, folder):
    inside = FakeInside(root, folder)
    inside.die_before = number
    with pytest.raises(PowerCut):
        install(root, folder, inside=inside)
    assert any(installing.examine(table_of(root, None)).values())
    install(root, folder)
    assert not any(installing.examine(table_of(root, None)).values())


def test_a_part_that_cannot_be_mended_is_told_and_not_gone_round(root, folder):
    inside = FakeInside(root, folder)
    inside._install = lambda names, dies: None  # a disk that forgets
    assert refused(lambda: install(root, folder, inside=inside)) == Refusal.NOT_MENDED


# -- packages and programs


def test_a_package_that_is_half_installed_is_found_by_name(root, folder):
    install(root, folder)
    with (root / debian.STATUS).open("a") as file:
        file.write(paragraph("exim4", "install ok half-configured", "4"))
    found = installing.examine(table_of(root, None))[Part.PACKAGES]
    assert [(one.flaw, one.what) for one in found] == [(Flaw.PACKAGE_HALF_INSTALLED, "exim4")]


def test_packages_that_were_removed_but_for_their_settings_are_no_flaw(root, folder):
    install(root, folder)
    with (root / debian.STATUS).open("a") as file:
        file.write(paragraph("old", "deinstall ok config-files", "1"))
    assert install(root, None) == 0


def test_the_camera_s_packages_are_installed_where_the_bundle_has_them_and_told_where_not(root, tmp_path):
    without = make_bundle(tmp_path / "without")
    install(root, without.folder)
    assert record.load(mounted.look(root)).absent == list(debian.OF_THE_CAMERA)
    with_them = make_bundle(tmp_path / "with", packages=[*debian.REQUIRED, *debian.OF_THE_CAMERA])
    assert install(root, with_them.folder) > 0
    assert record.load(mounted.look(root)).absent == []


def test_other_wheels_are_another_release_and_the_old_one_goes(root, folder, tmp_path):
    install(root, folder)
    first = (root / programs.LINK).readlink()
    newer = make_bundle(tmp_path / "newer", lock="one==2\n")
    install(root, newer.folder)
    assert (root / programs.LINK).readlink() != first
    assert [path.name for path in (root / programs.RELEASES).iterdir()] == [newer.release]


def test_programs_that_were_not_finished_are_made_again(root, folder):
    install(root, folder)
    release = bundle.load(folder).release
    (root / programs.RELEASES / release / programs.MARK).unlink()
    found = installing.examine(table_of(root, None))[Part.PROGRAMS]
    assert [one.flaw for one in found] == [Flaw.PROGRAMS_MISSING]
    install(root, folder)
    assert programs.installed_release(mounted.look(root)) == release


def test_programs_that_somebody_put_there_by_hand_are_left_alone(root, folder):
    (root / "opt/kestrel/bin").mkdir(parents=True)
    assert refused(lambda: install(root, folder)) == Refusal.PROGRAMS_IN_THE_WAY
    assert (root / "opt/kestrel/bin").is_dir()


# -- settings


def test_without_a_unit_nothing_may_be_called_and_with_one_its_broker(root, folder, device_config):
    install(root, folder)
    rules, service = root / "etc/kestrel/firewall.nft", root / "etc/systemd/system/kestrel.service"
    assert "elements" not in rules.read_text()
    assert "IPAddressAllow=" not in service.read_text()
    (root / "var/lib/kestrel").mkdir(parents=True)
    (root / "var/lib/kestrel/config.json").write_bytes(config.encode(device_config))
    assert install(root, None) > 0
    assert "IPAddressAllow=" in service.read_text()


# -- log-ins


def test_passwords_are_locked_and_can_be_unlocked_again(root, folder):
    install(root, folder)
    text = (root / "etc/shadow").read_text()
    assert log_ins.open_accounts(text) == []
    assert f"pi:!{HASH}:" in text  # as usermod --lock does
    assert "guest:!:" in text
    assert (root / "etc/shadow").stat().st_mode & 0o777 == 0o640
    for name in ("etc/sudoers.d/010_pi-nopasswd", "boot/firmware/userconf.txt"):
        assert not (root / name).exists()


def test_one_account_may_keep_its_password_and_a_second_time_too(root, folder):
    install(root, folder, wishes=Wishes(kept_account="pi"))
    assert log_ins.open_accounts((root / "etc/shadow").read_text()) == ["pi"]
    assert install(root, None) == 0


def test_an_account_that_is_locked_already_cannot_be_kept(root, folder):
    install(root, folder)
    before = below(root)
    assert refused(lambda: install(root, None, wishes=Wishes(kept_account="pi"))) == Refusal.NO_LOG_IN_ACCOUNT
    assert below(root) == before


@pytest.mark.parametrize("name", ["root", "nobody-of-this-card"])
def test_an_account_without_a_password_cannot_be_the_one(name, root, folder):
    assert refused(lambda: install(root, folder, wishes=Wishes(kept_account=name))) == Refusal.NO_LOG_IN_ACCOUNT


# -- mounts


def test_swap_goes_and_all_else_of_fstab_stays(root, folder):
    install(root, folder)
    assert (root / "etc/fstab").read_text() == FSTAB
    assert str((root / "etc/systemd/system-generators/rpi-swap-generator").readlink()) == os.devnull


def test_a_read_only_card_keeps_its_unit_on_a_partition_of_its_own(root, labels, tmp_path):
    folder = make_bundle(tmp_path / "all", packages=[*debian.REQUIRED, debian.READ_ONLY]).folder
    wishes = Wishes(is_read_only=True)
    assert refused(lambda: install(root, folder, labels, wishes)) == Refusal.NO_STATE_PARTITION
    labels.add(mounts.STATE_LABEL)
    (root / "var/lib/kestrel").mkdir(parents=True)
    (root / "var/lib/kestrel/outbox.db").touch()
    assert refused(lambda: install(root, folder, labels, wishes)) == Refusal.STATE_WOULD_HIDE
    (root / "var/lib/kestrel/outbox.db").unlink()
    install(root, folder, labels, wishes)
    assert (root / "etc/fstab").read_text().endswith(f"{host.BEGIN}\n{mounts.STATE_LINE}{host.END}\n")
    assert (root / host.BOOT_COMMAND).read_text().split()[0] == "overlayroot=tmpfs:recurse=0"
    assert "Storage=volatile" in (root / mounts.VOLATILE_LOG).read_text()
    assert install(root, None, labels) == 0  # remembered


def test_and_back(root, labels, tmp_path):
    labels.add(mounts.STATE_LABEL)
    folder = make_bundle(tmp_path / "all", packages=[*debian.REQUIRED, debian.READ_ONLY]).folder
    install(root, folder, labels, Wishes(is_read_only=True))
    install(root, folder, labels, Wishes(is_read_only=False))
    assert (root / "etc/fstab").read_text() == FSTAB
    assert mounts.SWITCH not in (root / host.BOOT_COMMAND).read_text()
    assert not (root / mounts.VOLATILE_LOG).exists()


def test_the_record_names_versions_and_holds_no_secret(root, folder):
    install(root, folder)
    known = record.load(mounted.look(root))
    assert known.packages["nftables"] == "1"
    assert known.wheels == {"kestrel-camera": "0.1.0"}
    assert HASH not in (root / record.PATH).read_text()
