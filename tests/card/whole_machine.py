"""An emulated card in a whole machine of its kind: qemu starts Debian's kernel, that the card's own partitions.

Everything is real but the speed: kernel, packet filter, systemd, sandbox, network service. The machine reaches nobody:
its network answers DHCP and nothing else. What is asked there comes back on a serial port of its own.
"""

import io
import re
import shutil
import subprocess
import tarfile

from firmware.board.linux import LinuxClock
from provisioning.host.install import BOOT_COMMAND
from tests.arm64.emulated_pi import NoEmulation
from tests.card import card_image, whole_kernel
from tests.card.self_checks import CAMERA, SELF_CHECK

EMULATOR = "qemu-system-aarch64"
LIMIT_S = 2400
TELL_S = 30
PORT = "kestrel.answer"
MACHINE = (
    "-machine", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "1024", "-no-reboot",
    "-display", "none", "-monitor", "none",
    "-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile=",
    "-device", "virtio-serial-pci", "-device", f"virtserialport,chardev=answer,name={PORT}",
)  # fmt: skip
"""Cores and memory of a small Pi. There is no watchdog: what counts 15 s of a wall's clock bites what is emulated."""

CONSOLE = "console=ttyAMA0"

SLOW = f"""{CAMERA}ExecStartPre=
TimeoutStartSec=900
WatchdogSec=300
"""
"""The same service before the simulated road; with more time, for it computes in an emulated processor, and without the
self-check before each start, which is asked afterwards."""

PROBE = f"""#!/bin/sh
mkdir -p /root/answers
cd /root/answers
timeout 600 systemctl is-system-running --wait >system
systemctl list-units --failed --plain --no-legend >failed
for second in $(seq 1 180); do
    [ "$(systemctl show -p NRestarts --value kestrel.service)" -ge 1 ] && break
    sleep 1
done
systemctl show -p ActiveState,SubState,Result,ExecMainStatus,NRestarts kestrel.service >as-installed
systemctl status --no-pager --full kestrel.service >status-as-installed
ss -Hlntu >sockets-as-installed
mkdir -p /run/systemd/system/kestrel.service.d
cp /root/simulated.conf /run/systemd/system/kestrel.service.d
systemctl daemon-reload
systemctl restart kestrel.service
for second in $(seq 1 300); do
    [ -n "$(systemctl show -p WatchdogTimestamp --value kestrel.service)" ] && break
    sleep 1
done
sleep 3
{" ".join(SELF_CHECK[:-1])} /root/answers/self-check.json >self-check 2>&1
systemctl status --no-pager --full kestrel.service >status
ss -Hlntu >sockets
systemctl show -p WatchdogDevice,WatchdogLastPingTimestamp >watchdog
uname -srm >kernel
journalctl --no-pager --boot --output=short-monotonic >journal
tar -c -f /dev/virtio-ports/{PORT} .
systemctl poweroff
"""
PROBE_UNIT = """[Unit]
After=basic.target
[Service]
Type=exec
ExecStart=/root/probe
"""


def booted(kind, root, folder):
    """Start the card in `root`, as an image in `folder`; return each answer's text by its name. Raises NoEmulation."""
    if shutil.which(EMULATOR) is None:
        raise NoEmulation(f"{EMULATOR} is missing; as root: apt-get install qemu-system-arm")
    place = root / "etc/systemd/system"
    (place / "probe.service").write_text(PROBE_UNIT)
    (place / "multi-user.target.wants/probe.service").symlink_to("/etc/systemd/system/probe.service")
    (root / "root/simulated.conf").write_text(SLOW)
    (root / "root/probe").write_text(PROBE)
    (root / "root/probe").chmod(0o755)
    kernel = whole_kernel.make(kind)
    shutil.copytree(kernel.modules, root / "usr/lib/modules" / kernel.modules.name, symlinks=True)
    image, answer, console = folder / "card.img", folder / "answer.tar", folder / "console"
    card_image.write(root, image)
    words = [
        EMULATOR, *MACHINE, "-kernel", kernel.image, "-initrd", kernel.initramfs,
        "-append", f"{(root / BOOT_COMMAND).read_text().strip()} {CONSOLE}",
        "-drive", f"if=none,id=card,format=raw,file={image}", "-device", "virtio-blk-pci,drive=card",
        "-chardev", f"file,id=answer,path={answer}", "-serial", f"file:{console}",
    ]  # fmt: skip
    _run(words, console)
    if not answer.stat().st_size:
        raise AssertionError(f"the machine gave no answer; {_tail(console)}")
    with tarfile.open(fileobj=io.BytesIO(answer.read_bytes())) as answers:
        return {
            member.name.removeprefix("./"): answers.extractfile(member).read().decode()
            for member in answers
            if member.isfile()
        }


def _run(words, console):
    """Let the machine run until it switches itself off, and say now and then how far it is."""
    clock = LinuxClock()
    begun_s = clock.monotonic_s()
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as machine:
        try:
            while machine.poll() is None:
                try:
                    machine.wait(TELL_S)
                except subprocess.TimeoutExpired:
                    run_s = clock.monotonic_s() - begun_s
                    if run_s > LIMIT_S:
                        raise AssertionError(f"the machine did not end in {LIMIT_S} s; {_tail(console)}") from None
                    print(f"       {run_s:4.0f} s  {_tail(console, 100).rpartition(chr(10))[2]}", flush=True)
        finally:
            machine.kill()
        complaint = machine.stderr.read()
    if machine.returncode != 0:
        raise AssertionError(f"{words[0]} did not end well; {complaint[-1500:]}")


def _tail(console, characters=1500):
    """Return the end of what the console has said, without the escapes of a terminal (ECMA-48, 5.4)."""
    text = console.read_text(errors="replace") if console.exists() else ""
    return re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1bM|\r", "", text).strip()[-characters:]
