"""A small card, and what stands for the programs on it: dpkg, apt-get, python3, pip and systemd-sysusers.

Two faces: `run` is what the installer sees; `die_before` is the world, where power fails. They are no kinder than the
real ones: apt-get installs what the bundle has once dpkg is not interrupted; a power cut leaves a package half-done.
"""

import struct
from pathlib import PurePosixPath

import pytest

from provisioning.card import bundle, installing, mounted, mounts
from provisioning.card.bundle import BEGIN_NAME, DEBIAN, LOCK_NAME, WHEELS, Contents, digest_of, load, write
from provisioning.card.debian import REQUIRED, STATUS
from provisioning.card.findings import Refusal
from provisioning.card.inside import BUNDLE_INSIDE
from provisioning.card.installing import Wishes
from provisioning.card.wording import CardRefused

ELF64, ELF32 = 2, 1
AMD64, ARM64 = 62, 183
HASH = "$y$j9T$made.for.this.test$nobodys"
OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux {version}"\nID=debian\nVERSION_ID="{version}"\n'
CONFIG_TXT = "dtparam=i2c_arm=on\n[pi4]\narm_boost=1\n"
CMDLINE = "console=serial0,115200 console=tty1 root=PARTUUID=1234-02 rootfstype=ext4 rootwait\n"
FSTAB = "PARTUUID=1234-01 /boot/firmware vfat defaults 0 2\nPARTUUID=1234-02 / ext4 defaults,noatime 0 1\n"


class PowerCut(BaseException):
    """The card lost its power here. No error: nothing may catch it."""


def elf(bits=ELF64, machine=ARM64):
    """Return the head of a program (elf(5))."""
    return struct.pack("<4sB13xH", b"\x7fELF", bits, machine) + bytes(44)


def make_card(root, *, version="12", program=None):
    """Write what the installer asks of a card's system, as Raspberry Pi Imager leaves it."""
    texts = {
        "etc/os-release": OS_RELEASE.format(version=version),
        "var/lib/dpkg/status": paragraph("dpkg", "install ok installed", "1.21"),
        "etc/passwd": "root:x:0:0::/root:/bin/bash\npi:x:1000:1000::/home/pi:/bin/bash\n",
        "etc/shadow": f"root:*:20000:0:99999:7:::\npi:{HASH}:20000:0:99999:7:::\nguest::20000::::::\n",
        "etc/fstab": f"{FSTAB}/var/swap none swap sw 0 0\n",
        "etc/sudoers.d/010_pi-nopasswd": "pi ALL=(ALL) NOPASSWD: ALL\n",
        "boot/firmware/config.txt": CONFIG_TXT,
        "boot/firmware/cmdline.txt": CMDLINE,
        "boot/firmware/userconf.txt": f"pi:{HASH}\n",
    }
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "etc/shadow").chmod(0o640)
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/dpkg").write_bytes(program or elf())
    return root


def paragraph(name, state, version):
    return f"Package: {name}\nStatus: {state}\nVersion: {version}\n\n"


def make_bundle(folder, *, suite="bookworm", architecture="arm64", needed_mb=1, packages=REQUIRED, lock="one==1\n"):
    """Write a bundle whose packages and wheels hold nothing."""
    for name in (WHEELS, DEBIAN):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / WHEELS / "kestrel_camera-0.1.0-py3-none-any.whl").write_bytes(b"a wheel")
    (folder / DEBIAN / "Packages").write_text("".join(f"Package: {name}\n" for name in packages))
    (folder / LOCK_NAME).write_text(lock)
    (folder / BEGIN_NAME).write_text("#!/bin/sh\n")
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "bundle.json"]
    contents = Contents(
        version=1,
        product="0.1.0",
        suite=suite,
        architecture=architecture,
        wheels={"kestrel-camera": "0.1.0"},
        packages=dict.fromkeys(packages, "1"),
        absent=[],
        needed_mb=needed_mb,
        files={path.relative_to(folder).as_posix(): digest_of(path) for path in files},
    )
    write(folder, contents)
    return load(folder)


class FakeInside:
    """The card's programs."""

    def __init__(self, root, bundle_folder):
        self._root, self._bundle_folder = root, bundle_folder
        self.commands = []
        self.die_before = None  # the number of the command in whose middle the power fails

    @property
    def bundle(self):
        return BUNDLE_INSIDE

    def run(self, words):
        self.commands.append(list(words))
        dies = self.die_before is not None and len(self.commands) == self.die_before
        name = PurePosixPath(words[0]).name
        if name == "apt-get" and "install" in words:
            self._install(words[words.index("--fix-broken") + 1 :], dies=dies)
        elif name == "dpkg":
            self._close_interruption()
        elif "venv" in words:
            self._touch(words[-1], ["bin/python"])
        elif "pip" in words:
            self._touch(
                str(PurePosixPath(words[0]).parents[1]),
                ["bin/kestrel"] if dies else ["bin/kestrel", "bin/kestrel-provision"],
            )
        elif name == "systemd-sysusers" and not dies:
            assert (self._root / "etc/sysusers.d/kestrel.conf").exists()
            with (self._root / "etc/passwd").open("a") as file:
                file.write("kestrel:x:999:999::/var/lib/kestrel:/usr/sbin/nologin\n")
        if dies:
            raise PowerCut
        return ""

    def _close_interruption(self):
        """As dpkg does: what it cannot configure for lack of something is an error, no interruption any more."""
        states = self._states()
        half = [name for name, state in states.items() if state.endswith(" half-configured")]
        self._write_status(states | dict.fromkeys(half, "install ok unpacked"))
        if half:
            raise CardRefused(Refusal.COMMAND_FAILED, what="dpkg", tail=half[-1])

    def _states(self):
        text = (self._root / STATUS).read_text()
        names = [line.split()[1] for line in text.splitlines() if line.startswith("Package")]
        states = [line.split(" ", 1)[1] for line in text.splitlines() if line.startswith("Status")]
        return dict(zip(names, states, strict=True))

    def _install(self, names, *, dies):
        offered = (self._bundle_folder / DEBIAN / "Packages").read_text()
        for name in names:
            if f"Package: {name}\n" not in offered:
                raise CardRefused(Refusal.COMMAND_FAILED, what="apt-get", tail=f"E: Unable to locate package {name}")
        if any(state.endswith(" half-configured") for state in self._states().values()):
            raise CardRefused(Refusal.COMMAND_FAILED, what="apt-get", tail="E: dpkg was interrupted")
        states = dict.fromkeys(names, "install ok installed")
        if dies:
            states[names[1]] = "install ok half-configured"
            states = dict(list(states.items())[:2])
        self._write_status(self._states() | states)

    def _write_status(self, states):
        text = "".join(paragraph(name, state, "1") for name, state in states.items())
        (self._root / STATUS).write_text(text)

    def _touch(self, folder, names):
        for name in names:
            path = self._root / folder.lstrip("/") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


class Labels:
    """Partitions by label, as udev shows them."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder

    def add(self, label):
        (self.folder / label).touch()


def table_of(root, folder, labels=None, wishes=Wishes(), inside=None):  # noqa: B008  frozen
    card = mounted.look(root)
    given = bundle.load_for(folder, card) if folder else None
    inside = inside or FakeInside(card.root, folder)
    return installing.steps(card, given, inside, wishes, labels=labels.folder if labels else mounts.LABELS)


def install(root, folder, labels=None, wishes=Wishes(), inside=None):  # noqa: B008  frozen
    return installing.carry_out(
        table_of(root, folder, labels, wishes, inside), lambda part: None, lambda part, count: None
    )


def refused(work):
    with pytest.raises(CardRefused) as caught:
        work()
    return caught.value.refusal


def below(root):
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_ino, path.lstat().st_mode) for path in root.rglob("*")}
