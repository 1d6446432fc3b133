"""Roots of Debian as a card has them, written by mmdebstrap and made to look like Raspberry Pi OS; in build/card.

An arm64 root's programs are run by qemu's user emulation, which the kernel is told of (binfmt_misc) in a user namespace
of its own: nothing of it is seen on this machine, and it ends with the process. Linux 6.7 has that.
"""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from provisioning.card.fetching import Wanted, apt_folder
from tests.arm64.emulated_pi import ROOT, UNPACKER, NoEmulation, once
from tests.card.card_image import BOOT_PARTITION, SYSTEM_PARTITION

FOLDER = ROOT / "build" / "card"
EMULATOR_SUITE = "trixie"  # Debian 12's emulator crashes in the networks' runtime
EMULATOR = FOLDER / "emulator" / "usr" / "bin" / "qemu-aarch64"
INCLUDED = "systemd,systemd-sysv,dbus,udev,kmod,iproute2"
"""What Raspberry Pi OS has beside Debian's least to start a machine, load its modules and look at its sockets."""

IDS = 65536

# binfmt-misc.rst of Linux: magic and mask of an ELF header for 64-bit little-endian AArch64; F opens the emulator now,
# O and C keep the program's file and rights
REGISTRATION = (
    r":qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:"
)
GATE = """read -r go
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf '%s' "$1" >/proc/sys/fs/binfmt_misc/register
shift
exec "$@" </dev/null
"""

COMMAND_LINE = f"console=serial0,115200 console=tty1 root={SYSTEM_PARTITION} rootfstype=ext4 rootwait\n"
PASSWORD = "$y$j9T$made.for.this.test$nobodys"  # noqa: S105  no digest of anything
BOOT_FILES = {
    "boot/firmware/config.txt": "dtparam=audio=on\ncamera_auto_detect=1\n",
    "boot/firmware/cmdline.txt": COMMAND_LINE,
    "boot/firmware/userconf.txt": f"pi:{PASSWORD}\n",
    "boot/firmware/ssh": "",
    "etc/sudoers.d/010_pi-nopasswd": "pi ALL=(ALL) NOPASSWD: ALL\n",
    "etc/fstab": f"{BOOT_PARTITION} /boot/firmware vfat defaults 0 2\n{SYSTEM_PARTITION} / ext4 defaults,noatime 0 1\n"
    "/var/swap none swap sw 0 0\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CardKind:
    """One kind of card: Debian's suite and architecture."""

    suite: str
    architecture: str

    def __str__(self):
        return f"{self.suite}-{self.architecture}"

    @property
    def is_emulated(self):
        return self.architecture != ("arm64" if platform.machine() in {"aarch64", "arm64"} else "amd64")

    @property
    def archive(self):
        return FOLDER / f"root-{self}" / "root.tar"


def run(kind, words, **options):
    """Run a program of this machine that may start programs of the card. Returns what subprocess.run does."""
    with subprocess.Popen(words if not kind.is_emulated else _gated(words), **_piped(kind, options)) as child:
        if kind.is_emulated:
            _open_gate(child)
        said, _ = child.communicate("go\n" if kind.is_emulated else None)
    return subprocess.CompletedProcess(words, child.returncode, said, "")


def _piped(kind, options):
    start = subprocess.PIPE if kind.is_emulated else subprocess.DEVNULL
    return {
        "stdin": start, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": ROOT,
        "env": os.environ | {"PYTHONPATH": str(ROOT)}, **options,
    }  # fmt: skip


def _gated(words):
    registration = f"{REGISTRATION}{EMULATOR}:OCF"
    unshare = ["unshare", "--user", "--mount", "--pid", "--fork", "--kill-child"]
    return [*unshare, "sh", "-e", "-c", GATE, "sh", registration, *words]


def _open_gate(child):
    """Give the new user namespace the ids of this one, once it is there (user_namespaces(7))."""
    outside = Path("/proc/self/ns/user").readlink()
    while child.poll() is None and Path(f"/proc/{child.pid}/ns/user").readlink() == outside:
        os.sched_yield()
    for name in ("gid_map", "uid_map"):
        Path(f"/proc/{child.pid}/{name}").write_text(f"0 0 {IDS}\n")


def make_archive(kind):
    """Write Debian into build/card unless it is there. Raises NoEmulation, CardRefused."""
    if shutil.which(UNPACKER) is None:
        raise NoEmulation(f"{UNPACKER} is missing; as root: apt-get install mmdebstrap arch-test")
    if kind.is_emulated:
        once(EMULATOR.parents[2], EMULATOR_SUITE, _unpack_emulator, "Fetching qemu-user (70 MB)")
    key = f"{kind} {INCLUDED}"
    once(kind.archive.parent, key, lambda _: _write_debian(kind), f"Writing Debian's {kind.suite}, {kind.architecture}")


def _unpack_emulator(folder):
    native = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    with apt_folder(Wanted(suite=EMULATOR_SUITE, architecture=native)) as options:
        subprocess.run(["apt-get", "-qq", *options, "update"], check=True)
        subprocess.run(["apt-get", "-qq", *options, "download", "qemu-user"], check=True, cwd=folder)
    package = next(folder.glob("qemu-user_*.deb"))
    subprocess.run(["dpkg", "-x", package, folder], check=True)
    package.unlink()


def _write_debian(kind):
    words = ["mmdebstrap", "--quiet", "--mode=root", f"--arch={kind.architecture}", "--variant=minbase"]
    done = run(kind, [*words, f"--include={INCLUDED}", kind.suite, str(kind.archive)])
    if done.returncode != 0:
        raise NoEmulation(f"mmdebstrap did not end well; {done.stdout[-2000:]}")


def fresh(kind, folder):
    """Unpack the kind's root into `folder`, with what Raspberry Pi OS and its Imager put on a card."""
    folder.mkdir()
    subprocess.run(["tar", "-x", "-f", kind.archive, "-C", folder, "--numeric-owner", "--exclude=./dev/*"], check=True)
    for name, text in BOOT_FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with (folder / "etc/passwd").open("a") as file:
        file.write("pi:x:1000:1000::/home/pi:/bin/bash\n")
    with (folder / "etc/shadow").open("a") as file:
        file.write(f"pi:{PASSWORD}:20000:0:99999:7:::\n")


def snapshot(folder):
    """Return everything on a card that a second installation could change."""
    return {
        path: (path.lstat().st_mtime_ns, path.lstat().st_ino, path.lstat().st_mode, path.lstat().st_size)
        for path in folder.rglob("*")
    }


def python(*words):
    """Return a command of ours by this Python."""
    return [sys.executable, "-m", *map(str, words)]
