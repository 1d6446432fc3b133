"""Debian's own kernel for the whole machine, and what finds the card's system with it: fetched once, in build/card.

A card for a Pi has Raspberry Pi's kernel, which no other machine starts. The initramfs is the least that mounts the
second partition: busybox and the modules of the disk and of ext4, in the order that modprobe(8) names.
"""

import lzma
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from provisioning.card.fetching import Wanted, apt_folder
from tests.arm64.emulated_pi import once
from tests.card.card_roots import FOLDER

PACKAGE = "linux-image-arm64"
BUSYBOX = "busybox-static"
MODULES = ("virtio_pci", "virtio_blk", "ext4")
DISK = "/dev/vda2"

INIT = f"""#!/bin/busybox sh
/bin/busybox mount -t devtmpfs devtmpfs /dev
while read -r module; do
    /bin/busybox insmod "/modules/$module"
done </modules/order
until [ -b {DISK} ]; do
    /bin/busybox sleep 1
done
/bin/busybox mount -t ext4 -o ro {DISK} /root
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel, the initramfs that starts it, and its modules: `modules` is a folder by the kernel's release."""

    image: Path
    initramfs: Path
    modules: Path


def make(kind):
    """Return the kernel of the kind's Debian; fetch it unless it is there. Raises CardRefused."""
    folder = FOLDER / f"kernel-{kind}"
    key = f"{kind} {PACKAGE} {MODULES} {INIT}"
    once(folder, key, lambda place: _fetch(kind, place), "Fetching Debian's kernel (70 MB)")
    return Kernel(
        image=next((folder / "boot").glob("vmlinuz-*")),
        initramfs=folder / "initramfs",
        modules=next((folder / "lib/modules").iterdir()),
    )


def _fetch(kind, folder):
    with apt_folder(Wanted(suite=kind.suite, architecture=kind.architecture)) as options:
        subprocess.run(["apt-get", "-qq", *options, "update"], check=True)
        newest = _unpacked(options, PACKAGE, folder)
        _unpacked(options, newest.split()[0], folder)
        _unpacked(options, BUSYBOX, folder)
    modules = next((folder / "lib/modules").iterdir())
    subprocess.run(["depmod", "--basedir", folder, modules.name], check=True)
    files = {"init": (INIT.encode(), 0o755), "bin/busybox": ((folder / "bin/busybox").read_bytes(), 0o755)}
    order = []
    for path in _needed(folder, modules.name):
        name = path.name.removesuffix(".xz")
        content = path.read_bytes()
        files[f"modules/{name}"] = (lzma.decompress(content) if path.suffix == ".xz" else content, 0o644)
        order.append(name)
    files["modules/order"] = ("".join(f"{name}\n" for name in order).encode(), 0o644)
    (folder / "initramfs").write_bytes(archive(files, ["bin", "modules", "dev", "root"]))


def _unpacked(options, package, folder):
    """Fetch one package and unpack it; return what it depends on."""
    subprocess.run(["apt-get", "-qq", *options, "download", package], check=True, cwd=folder)
    path = next(folder.glob(f"{package}_*.deb"))
    fields = subprocess.run(["dpkg-deb", "--field", path, "Depends"], check=True, capture_output=True, text=True)
    subprocess.run(["dpkg", "-x", path, folder], check=True)
    path.unlink()
    return fields.stdout


def _needed(folder, release):
    """Return the files of MODULES and of what they need, in the order in which they can be loaded."""
    words = ["modprobe", "--dirname", folder, "--set-version", release, "--show-depends", "--ignore-install"]
    found = {}
    for module in MODULES:
        lines = subprocess.run([*words, module], check=True, capture_output=True, text=True).stdout.splitlines()
        found |= dict.fromkeys(Path(line.split()[1]) for line in lines if line.startswith("insmod "))
    return list(found)


def archive(files, folders):
    """Return an initramfs (Linux Documentation/driver-api/early-userspace/buffer-format.rst, newc)."""
    entries = [(name, b"", stat.S_IFDIR | 0o755) for name in folders]
    entries += [(name, content, stat.S_IFREG | mode) for name, (content, mode) in files.items()]
    text = b""
    for number, (name, content, mode) in enumerate([*entries, ("TRAILER!!!", b"", 0)], start=1):
        values = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % value for value in values) + name.encode() + b"\0"
        text += _padded(head) + _padded(content)
    return text


def _padded(content):
    return content + bytes(-len(content) % 4)
