"""The unit files and settings, judged by systemd's own programs without a running systemd."""

import shutil
import subprocess
from pathlib import Path

import pytest
from network_spaces import need_root_and, run

from firmware.app import STOP_LIMIT_S
from provisioning.host import install

EXPOSURE_AT_MOST = "10"  # tenths: 1.0 of 10
HARDWARE_WATCHDOG_S = 15
UNITS = ("kestrel.service", "kestrel-firewall.service", "kestrel-addresses.service", "kestrel-addresses.timer")
DEBIAN_UNITS = Path("/usr/lib/systemd/system")


@pytest.fixture
def root(tmp_path, configured):
    """A card with the host's files, with Debian's units and stand-ins for the programs that it starts."""
    for program in ("systemd-analyze", "systemd-sysusers", "systemd-tmpfiles"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; `make tools` installs it")
    install.install(tmp_path, configured("broker.example"))
    (tmp_path / "usr/lib/systemd").mkdir(parents=True)
    shutil.copytree(DEBIAN_UNITS, tmp_path / "usr/lib/systemd/system", symlinks=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    for program in ("opt/kestrel/bin/kestrel", "opt/kestrel/bin/kestrel-provision", "usr/sbin/nft"):
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("/usr/bin/true", tmp_path / program)
    return tmp_path


def settings_of(root, unit):
    text = (root / install.SYSTEMD / unit).read_text()
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


@pytest.mark.parametrize("host", ["broker.example", "192.0.2.1"])
def test_the_service_is_exposed_to_1_of_10_at_most(root, configured, host):
    install.install(root, configured(host))
    words = ("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_AT_MOST}")
    judge(*words, root / install.SYSTEMD / "kestrel.service")


def test_a_weaker_service_is_over_the_threshold(root):
    path = root / install.SYSTEMD / "kestrel.service"
    path.write_text(path.read_text().replace("PrivateUsers=yes", ""))
    with pytest.raises(subprocess.CalledProcessError) as refused:
        judge("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_AT_MOST}", path)
    assert "Overall exposure level" in refused.value.stdout


def judge(*words):
    return run("systemd-analyze", *map(str, words))


def test_systemd_understands_every_line(root):
    done = judge("verify", "--recursive-errors=yes", "--man=no", f"--root={root}", *UNITS)
    assert done.stdout + done.stderr == ""


def test_systemd_would_not_understand_a_wrong_line(root):
    with (root / install.SYSTEMD / "kestrel.service").open("a") as file:
        file.write("[Service]\nProtectEverything=yes\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=yes", "--man=no", f"--root={root}", "kestrel.service"],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert "ProtectEverything" in done.stderr


def test_the_watchdog_is_within_what_the_hardware_can_count(root):
    service = settings_of(root, "kestrel.service")
    assert 0 < int(service["WatchdogSec"]) <= HARDWARE_WATCHDOG_S
    assert service["Type"] == "notify"
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "2 3"
    assert int(service["TimeoutStopSec"]) > 3 * STOP_LIMIT_S
    manager = (root / "etc/systemd/system.conf.d/kestrel.conf").read_text()
    assert f"RuntimeWatchdogSec={HARDWARE_WATCHDOG_S}s" in manager


def test_what_xnnpack_looks_at_stays_visible(root):
    service = settings_of(root, "kestrel.service")
    assert service["ProcSubset"] == "all"
    assert "InaccessiblePaths" not in service
    assert "RootDirectory" not in service


def test_account_and_folder_are_the_services_alone(root):
    need_root_and("systemd-sysusers")
    folder = root / "var/lib/kestrel"
    folder.mkdir(parents=True)
    (folder / "device.key").write_text("as copied from a laptop")
    (folder / "device.key").chmod(0o644)
    folder.chmod(0o755)
    run("systemd-sysusers", f"--root={root}")
    run("systemd-tmpfiles", f"--root={root}", "--create", "--prefix=/var/lib/kestrel")
    account = next(line for line in (root / "etc/passwd").read_text().splitlines() if line.startswith("kestrel:"))
    assert account.endswith(":/usr/sbin/nologin")
    uid = int(account.split(":")[2])
    assert uid != 0
    groups = {line.split(":")[0] for line in (root / "etc/group").read_text().splitlines() if "kestrel" in line}
    assert {"video", "gpio"} <= groups
    for path, mode in ((folder, 0o700), (folder / "device.key", 0o600)):
        assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (mode, uid)


def test_the_kernel_knows_each_setting(root):
    """Names of sysctl that this kernel does not have would be passed over in silence."""
    lines = (root / "etc/sysctl.d/90-kestrel.conf").read_text().splitlines()
    names = [line.partition("=")[0].strip() for line in lines if "=" in line and not line.startswith("#")]
    assert len(names) > 20
    built_out = {"kernel.yama.ptrace_scope", "kernel.kexec_load_disabled", "kernel.sysrq"}  # not in every kernel
    missing = [name for name in names if not Path("/proc/sys", *name.split(".")).exists()]
    assert set(missing) <= built_out
