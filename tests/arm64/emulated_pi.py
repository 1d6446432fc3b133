"""An arm64 Debian 12 with the unit's own Python packages, run by qemu's user emulation; what lies in build/arm64.

No part of it is installed on this machine, and none of it is an image: Debian's packages are unpacked, not set up, and
the emulator is told to look for files there first (`-L`), so it needs neither root nor the kernel's binfmt_misc. The
arithmetic is the processor's; the speed is not, and nothing here says anything about speed on a Raspberry Pi.
"""

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioning.card.fetching import target_words
from provisioning.card.mounted import PYTHONS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "arm64"
SYSTEM = FOLDER / "system"
PACKAGES = FOLDER / "packages"

EMULATOR = "qemu-aarch64-static"
UNPACKER = "mmdebstrap"
SUITE = "bookworm"
DEBIAN_PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6")
PYTHON = PYTHONS[SUITE]
CORES = 4


class NoEmulation(Exception):
    """The emulated Raspberry Pi could not be made; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A Raspberry Pi by its processor: qemu's name of it, and how the kernel describes it."""

    title: str
    cpu: str
    part: int  # MIDR_EL1, Arm's numbers of its cores
    variant: int
    revision: int
    features: str

    def cpuinfo(self) -> str:
        """Return what /proc/cpuinfo says there.

        The runtime chooses its kernels by it, and falls over the emulating machine's own.
        """
        core = (
            f"Features\t: {self.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
            f"CPU variant\t: {self.variant:#x}\nCPU part\t: {self.part:#05x}\nCPU revision\t: {self.revision}\n\n"
        )
        cores = "".join(f"processor\t: {core_number}\n{core}" for core_number in range(CORES))
        return f"{cores}Model\t\t: {self.title}\n"


MACHINES = {
    "pi5": Machine(
        title="Raspberry Pi 5",
        cpu="cortex-a76",
        part=0xD0B,
        variant=4,
        revision=1,
        features="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
    "pi4": Machine(
        title="Raspberry Pi 4",
        cpu="cortex-a72",
        part=0xD08,
        variant=0,
        revision=3,
        features="fp asimd evtstrm crc32 cpuid",
    ),
    "zero2": Machine(
        title="Raspberry Pi Zero 2 W",
        cpu="cortex-a53",
        part=0xD03,
        variant=0,
        revision=4,
        features="fp asimd evtstrm crc32 cpuid",
    ),
}
"""Pi 5 has the dot product instructions, Pi 4, CM4 and Zero 2 W have not: other kernels run there."""


def make() -> None:
    """Make what is missing of build/arm64; takes half a minute once. Raises NoEmulation."""
    if platform.machine() in {"aarch64", "arm64"}:
        raise NoEmulation("this machine is arm64 itself; run `make test` here")
    for command in (EMULATOR, UNPACKER):
        if shutil.which(command) is None:
            raise NoEmulation(f"{command} is missing; as root: apt-get install qemu-user-static mmdebstrap")
    once(SYSTEM, " ".join((SUITE, *DEBIAN_PACKAGES)), _make_system, "Unpacking Debian 12 for arm64 (30 MB)")
    once(PACKAGES, "\n".join(requirements() + pins()), _make_packages, "Fetching arm64 wheels (100 MB)")


def once(folder: Path, key: str, work: Callable[[Path], None], title: str) -> None:
    """Do `work` on an empty folder unless it was done to its end for the same `key`."""
    marker = folder.with_suffix(".made")
    if folder.is_dir() and marker.exists() and marker.read_text() == key:
        return
    print(f"{title} into {folder.relative_to(ROOT)} ...", flush=True)
    marker.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    work(folder)
    marker.write_text(key)


def _ran(command: Sequence[str | Path], hint: str) -> None:
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoEmulation(f"{Path(command[0]).name} did not end well ({error}); {hint}") from error


def _make_system(folder: Path) -> None:
    """Unpack Debian's packages by way of an archive, so that the files are ours and no device node is made."""
    archive = folder.with_suffix(".tar")
    include = f"--include={','.join(DEBIAN_PACKAGES)}"
    mode = "root" if os.geteuid() == 0 else "chrootless"  # nothing is run in there, so it needs no rights
    unpack = (UNPACKER, "--quiet", f"--mode={mode}", "--variant=extract", "--arch=arm64", include, SUITE, archive)
    _ran(unpack, "check that Debian's packages can be reached")
    left_out = [f"--exclude=./{name}" for name in ("dev", "proc", "sys", "usr/share/doc", "usr/share/man", "var")]
    _ran(("tar", "-x", "-f", archive, "-C", folder, "--no-same-owner", *left_out), "check the disk's free space")
    archive.unlink()
    processors = folder / "sys" / "devices" / "system" / "cpu"
    for name in ("possible", "present", "online"):
        _write(processors / name, f"0-{CORES - 1}\n")
    _write(processors / "kernel_max", f"{CORES - 1}\n")
    for number in range(CORES):
        topology = processors / f"cpu{number}" / "topology"
        _write(topology / "physical_package_id", "0\n")
        _write(topology / "core_id", f"{number}\n")
        for name in ("core_siblings_list", "package_cpus_list", "cluster_cpus_list"):
            _write(topology / name, f"0-{CORES - 1}\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def requirements() -> list[str]:
    """Return what the product needs, as pip takes it."""
    return [line for line in importlib.metadata.requires("kestrel-camera") or [] if "extra ==" not in line]


def pins() -> list[str]:
    """Return the versions that are installed here, so that both sides run the same; empty where Python is another."""
    if platform.python_version_tuple()[:2] != tuple(PYTHON.split(".")):
        return []
    return [f"{name}=={version}" for name, version in sorted(_versions("kestrel-camera").items())]


def _versions(name: str) -> dict[str, str]:
    """Return the installed versions of all that a package needs, and of all that these need."""
    found: dict[str, str] = {}
    left = [name]
    while left:
        for line in importlib.metadata.requires(left.pop()) or []:
            needed = re.split(r"[^\w.-]", line, maxsplit=1)[0]
            if "extra ==" in line or needed in found:
                continue
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # not needed on this Python
                found[needed] = importlib.metadata.version(needed)
                left.append(needed)
    return found


def pip_arguments(folder: Path, names: Sequence[str], constraints: Path) -> list[str]:
    """Return the arguments of `pip` that fetch arm64 wheels of `names` into `folder`."""
    return [
        "install", "-qq", "--disable-pip-version-check", "--no-compile", f"--target={folder}",
        *target_words(SUITE, "arm64"), f"--constraint={constraints}", *names,
    ]  # fmt: skip


def _make_packages(folder: Path) -> None:
    constraints = folder.with_suffix(".constraints")
    constraints.write_text("\n".join(pins()) + "\n")
    arguments = pip_arguments(folder, requirements(), constraints)
    _ran((sys.executable, "-m", "pip", *arguments), "check that Python's packages can be reached")


def command(machine: Machine, arguments: Sequence[str | Path]) -> list[str]:
    """Return the command that runs arm64 Python with `arguments`; it works with binfmt_misc and without."""
    interpreter = SYSTEM / "usr" / "bin" / f"python{PYTHON}"
    return [EMULATOR, "-cpu", machine.cpu, "-L", str(SYSTEM), str(interpreter), "-s", *map(str, arguments)]


def run(machine: Machine, arguments: Sequence[str | Path], *, silent: bool = False) -> None:
    """Run arm64 Python on this machine as if it were `machine`. Raises NoEmulation when it does not end well."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),  # the emulator itself is looked for there
        "LANG": "C.UTF-8",
        "PYTHONPATH": f"{PACKAGES}:{ROOT}",
        "PYTHONPYCACHEPREFIX": str(FOLDER / "bytecode"),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    output = subprocess.DEVNULL if silent else None
    try:
        _write(SYSTEM / "proc" / "cpuinfo", machine.cpuinfo())
        subprocess.run(command(machine, arguments), check=True, env=environment, stdout=output, cwd=ROOT)
    except OSError as error:
        hint = "as root: apt-get install qemu-user-static"
        raise NoEmulation(f"{error.filename or EMULATOR} cannot be used ({error.strerror}); {hint}") from error
    except subprocess.CalledProcessError as error:
        hint = f"remove {FOLDER.relative_to(ROOT)} and try again"
        raise NoEmulation(f"the emulated {machine.title} ended with {error.returncode}; {hint}") from error
