"""What a unit on an installed card says of itself, booted in a container by its systemd; and programs in its root."""

import json
import subprocess
from pathlib import PurePosixPath

from tests.card.card_roots import python, run

LIMIT_S = 300
ANSWER = PurePosixPath("root/self-check.json")
SELF_CHECK = ("/opt/kestrel/bin/kestrel", "--self-check", "--json", f"/{ANSWER}")

# No machine but a Pi has its camera: the same service before the simulated road, in the same sandbox.
CAMERA = """[Service]
ExecStart=
ExecStart=/opt/kestrel/bin/kestrel-sim device --folder /var/lib/kestrel
"""
PROBE = f"""#!/bin/sh
for second in $(seq 1 120); do
    [ -n "$(systemctl show -p WatchdogTimestamp --value kestrel.service)" ] && break
    sleep 1
done
sleep 3
{" ".join(SELF_CHECK)} >/root/self-check.txt 2>&1
journalctl --no-pager -b >/root/journal
systemctl poweroff --force
"""
PROBE_UNIT = """[Unit]
After=kestrel.service
[Service]
Type=oneshot
ExecStart=/root/probe
"""
TARGET = """[Unit]
Requires=basic.target
After=basic.target
Wants=kestrel.service kestrel-addresses.service probe.service
AllowIsolate=yes
"""
UNITS = {"kestrel.service.d/simulated.conf": CAMERA, "probe.service": PROBE_UNIT, "probe.target": TARGET}


def booted(root):
    """Start the card under its own systemd, without a network; return the self-check's answer, asked as root."""
    for name, text in UNITS.items():
        path = root / "etc/systemd/system" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (root / "root/probe").write_text(PROBE)
    (root / "root/probe").chmod(0o755)
    done = subprocess.run(
        [
            "systemd-nspawn", "--quiet", f"--directory={root}", "--boot", "--private-network", "--register=no",
            "--keep-unit", "--machine=kestrel-card-test", "systemd.unit=probe.target",
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    if not (root / ANSWER).exists():
        raise AssertionError(f"no answer; {done.stdout[-1500:]} {done.stderr[-1500:]}")
    return json.loads((root / ANSWER).read_text())


def entered_by(kind, root, bundle, *words):
    """Run a program of the card in the card's root, as the installer does, without a network; return how it ended."""
    namespaces = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--net"]
    return run(kind, [*namespaces, *python("provisioning.card.entering", 2, root, bundle, *words)])
