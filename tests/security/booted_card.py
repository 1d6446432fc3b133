"""A card with the host's files, under a real systemd in a container, its camera before a simulated road.

The container has this machine's /usr, this Python and this source, all read-only, and no network but loopback. A probe
unit waits until the service has fed its watchdog, writes down what it sees, and switches the machine off.
"""

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from network_spaces import run

SOURCE = Path(__file__).parents[2]
LIMIT_S = 240
SEEN = ("service", "status", "devices", "folder", "inside.json", "outside.json")

LAUNCH = """#!/bin/sh
export PYTHONPATH=/opt/src:/opt/site {library_path} PYTHONDONTWRITEBYTECODE=1
cd /opt/src
case "$1" in
--self-check) exec {python} -m firmware "$@" ;;
host) exec {python} -m provisioning "$@" ;;
*) exec {python} -m hw_sim device "$@" ;;
esac
"""

PROBE = """#!/bin/sh
for second in $(seq 1 60); do
    [ -n "$(systemctl show -p WatchdogTimestamp --value kestrel.service)" ] && break
    sleep 1
done
sleep 3
main=$(systemctl show -p MainPID --value kestrel.service)
systemctl show kestrel.service -p ActiveState,NRestarts,WatchdogTimestamp >/seen/service
cat /proc/$main/status >/seen/status
nsenter -t $main -m ls /dev >/seen/devices
nsenter -t $main -m stat -c '%a %U %n' /var/lib/kestrel /var/lib/kestrel/device.key >/seen/folder
cp /run/kestrel/self-check.json /seen/inside.json
/opt/kestrel/bin/kestrel --self-check --config /var/lib/kestrel/config.json --json /seen/outside.json
journalctl --no-pager -b >/seen/journal
systemctl poweroff --force
"""

PROBE_UNIT = """[Unit]
After=kestrel.service
[Service]
Type=oneshot
ExecStart=/seen/probe
"""

PROBE_TARGET = """[Unit]
Requires=basic.target
After=basic.target
Wants=kestrel.service kestrel-addresses.service probe.service
AllowIsolate=yes
"""


def prepare(root, seen):
    """Add to the card what a real one has by its system: accounts, programs, and our probe."""
    root.chmod(0o755)  # a system's root, and not a test's private folder
    for name in (
        "usr",
        "opt/python",
        "opt/site",
        "opt/src",
        "opt/kestrel/bin",
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "root",
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "sbin", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    shutil.copy("/etc/os-release", root / "etc/os-release")
    (root / "etc/machine-id").touch()
    accounts = Path("/usr/lib/sysusers.d/basic.conf").read_text() + (root / "etc/sysusers.d/kestrel.conf").read_text()
    run("systemd-sysusers", f"--root={root}", "-", input=accounts)
    is_debians = sys.base_prefix == "/usr"
    python = f"{'/usr' if is_debians else '/opt/python'}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    launch = LAUNCH.format(python=python, library_path="" if is_debians else "LD_LIBRARY_PATH=/opt/python/lib")
    for name in ("kestrel", "kestrel-provision"):
        _write(root / "opt/kestrel/bin" / name, launch)
    _write(seen / "probe", PROBE)
    (root / "etc/systemd/system/probe.service").write_text(PROBE_UNIT)
    (root / "etc/systemd/system/probe.target").write_text(PROBE_TARGET)


def boot(root, seen):
    """Start the card, wait until it has switched itself off, and return what was seen by name."""
    mounts = {
        "/usr": "/usr",
        sys.base_prefix: "/opt/python",
        sysconfig.get_path("purelib"): "/opt/site",
        SOURCE: "/opt/src",
    }
    done = subprocess.run(
        [
            "systemd-nspawn", "--quiet", f"--directory={root}", "--boot", "--private-network", "--register=no",
            "--keep-unit", f"--machine=kestrel-{root.name[-20:].replace('_', '-').strip('-')}",
            *(f"--bind-ro={source}:{place}" for source, place in mounts.items()),
            f"--bind={seen}:/seen",
            "--bind=/dev/zero:/dev/media0",  # stands for a node of the camera
            "systemd.unit=probe.target",
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    missing = [name for name in SEEN if not (seen / name).exists()]
    assert not missing, f"not written: {missing}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    texts = {name: (seen / name).read_text() for name in SEEN}
    return {name: json.loads(text) if name.endswith(".json") else text for name, text in texts.items()}


def _write(path, text):
    path.write_text(text)
    path.chmod(0o755)
