"""Makes a bundle on a laptop with a network: wheels by pip, Debian packages by apt, for another machine than this one.

The only place that fetches. apt works in a folder of its own, with the status of an empty system, so that the bundle
holds every package with all that it needs: nobody knows yet what the card has. apt checks Debian's signatures, pip what
the index says of each wheel; from then on the bundle's own digests count.
"""

import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path
from typing import Final

import provisioning
from provisioning.card import bundle
from provisioning.card.bundle import BEGIN_NAME, DEBIAN, LOCK_NAME, WHEELS, Bundle, Contents
from provisioning.card.debian import OF_THE_CAMERA, READ_ONLY, REQUIRED
from provisioning.card.findings import Refusal
from provisioning.card.inside import TAIL_CHARACTERS
from provisioning.card.mounted import GLIBCS, MB, PROCESSORS, PYTHONS
from provisioning.card.processes import Tick, finished
from provisioning.card.wording import CardRefused

OLDEST_GLIBC: Final = 17  # manylinux2014 (PEP 599)
BESIDE: Final = ("simplejpeg>=1.9", "python-pkcs11>=0.9")
"""What picamera2 needs built for this NumPy, and what a key in a secure element needs."""

REPEATABLE: Final = {"SOURCE_DATE_EPOCH": "315532800"}
"""1980, where ZIP begins: the same source makes the same wheel, and so the same release on a card."""

OUR_PACKAGE: Final = "kestrel_camera"
KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
SOURCES: Final = "$(LABEL)\t$(REPO_URI)"
LABELS: Final = {"Debian": ("{suite}", "{suite}-updates"), "Debian-Security": ("{suite}-security",)}
"""Repositories that this machine's apt knows, by the Label of their Release file, and which suites they have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a bundle is to be for."""

    suite: str
    architecture: str
    sources: Path | None = None


def make(folder: Path, wanted: Wanted, begun: Callable[[str], None], tick: Tick) -> Bundle:
    """Fetch everything into `folder` and finish the bundle; what is there already is not fetched again.

    Raises CardRefused, OSError.
    """
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise CardRefused(Refusal.NO_APT)
    tree = Path(provisioning.__file__).resolve().parents[1]
    if not (tree / "setup.py").is_file():
        raise CardRefused(Refusal.NO_SOURCE_TREE)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / bundle.NAME).unlink(missing_ok=True)
    begun("our wheel")
    _build_own(tree, folder / WHEELS, tick)
    begun("Python packages")
    wheels = _fetch_wheels(folder / WHEELS, wanted, tick)
    lock = "".join(f"{name}=={version} --hash=sha256:{digest}\n" for name, (version, digest, _) in wheels.items())
    (folder / LOCK_NAME).write_text(lock)
    begun("Debian packages")
    absent = _fetch_packages(folder / DEBIAN, wanted, tick)
    packages = index(folder / DEBIAN)
    shutil.copyfile(Path(__file__).with_name(BEGIN_NAME), folder / BEGIN_NAME)
    begun("digests")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    contents = Contents(
        version=1,
        product=wheels[OUR_PACKAGE.replace("_", "-")][0],
        suite=wanted.suite,
        architecture=wanted.architecture,
        wheels={name: version for name, (version, _, _) in wheels.items()},
        packages={name: version for name, (version, _) in packages.items()},
        absent=absent,
        needed_mb=sum(size for *_, size in wheels.values()) // MB * 3 // 2
        + sum(kb for _, kb in packages.values()) // 1000,
        files={path.relative_to(folder).as_posix(): bundle.digest_of(path) for path in paths},
    )
    return bundle.write(folder, contents)


def wheel_platforms(suite: str, architecture: str) -> list[str]:
    """Return the platform tags (PEP 600) of wheels that run on this Debian."""
    processor = PROCESSORS[architecture]
    newer = [f"manylinux_2_{minor}_{processor}" for minor in range(OLDEST_GLIBC, GLIBCS[suite] + 1)]
    return [f"manylinux2014_{processor}", *newer]


def target_words(suite: str, architecture: str) -> list[str]:
    """Return pip's words for wheels of that Debian, and for nothing that would have to be built."""
    platforms = [f"--platform={name}" for name in wheel_platforms(suite, architecture)]
    return ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHONS[suite]}", *platforms]


def _build_own(tree: Path, folder: Path, tick: Tick) -> None:
    """Build our wheel from a copy of the source, so that nothing is left in it."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "source"
        left_out = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "tests")
        shutil.copytree(tree, copy, ignore=left_out)
        made = Path(name) / "made"
        _fetched(
            "our wheel",
            [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", f"--wheel-dir={made}", str(copy)],
            tick,
        )
        folder.mkdir(exist_ok=True)
        for before in folder.glob(f"{OUR_PACKAGE}-*.whl"):
            before.unlink()
        for wheel in made.glob("*.whl"):
            shutil.move(wheel, folder / wheel.name)


def _fetch_wheels(folder: Path, wanted: Wanted, tick: Tick) -> dict[str, tuple[str, str, int]]:
    """Return version, digest and unpacked bytes of each wheel by its package's name. Raises CardRefused, OSError."""
    own = next(folder.glob(f"{OUR_PACKAGE}-*.whl"))
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".wheels-") as name:
        command = [
            sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", f"--dest={name}",
            f"--find-links={folder}", *target_words(wanted.suite, wanted.architecture), str(own), *BESIDE,
        ]  # fmt: skip
        _fetched("Python packages", command, tick)
        kept = {path.name for path in Path(name).iterdir()} | {own.name}
        for path in Path(name).iterdir():
            if path.name != own.name:
                path.replace(folder / path.name)
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()
    return {name: rest for name, *rest in map(_wheel_facts, sorted(folder.glob("*.whl")))}  # type: ignore[misc]


def _wheel_facts(path: Path) -> tuple[str, str, str, int]:
    with zipfile.ZipFile(path) as wheel:
        about = next(one for one in wheel.namelist() if one.endswith(".dist-info/METADATA"))
        fields = message_from_bytes(wheel.read(about))
        size = sum(entry.file_size for entry in wheel.infolist())
    return fields["Name"], fields["Version"], bundle.digest_of(path), size


def _fetch_packages(folder: Path, wanted: Wanted, tick: Tick) -> list[str]:
    """Fetch the Debian packages; return which of the camera's the sources do not have. Raises CardRefused, OSError."""
    with apt_folder(wanted) as apart, tempfile.TemporaryDirectory(dir=folder.parent, prefix=".debian-") as name:
        archives = Path(name)
        (archives / "partial").mkdir()
        if folder.is_dir():
            for path in folder.glob("*.deb"):
                shutil.copy2(path, archives)
        options = ["-q", *apart, "-o", f"Dir::Cache::Archives={archives}"]
        _fetched("Debian's list of packages", ["apt-get", *options, "update"], tick)
        install = ["apt-get", *options, "install", "--yes", "--download-only", "--no-install-recommends"]
        absent = [one for one in OF_THE_CAMERA if not _is_offered([*install, "--simulate", one], tick)]
        offered = [one for one in OF_THE_CAMERA if one not in absent]
        needed = [*REQUIRED, READ_ONLY, *offered]
        _fetched("Debian packages", [*install, *needed], tick)
        _fetched("Debian packages", ["apt-get", *options, "autoclean"], tick)  # of an earlier attempt, now outdated
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path in archives.glob("*.deb"):
            path.replace(folder / path.name)
    return absent


@contextmanager
def apt_folder(wanted: Wanted) -> Iterator[list[str]]:
    """Yield the options with which apt knows nothing but `wanted`. Raises CardRefused, OSError."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for below in ("etc/preferences.d", "state/lists/partial", "cache/archives/partial"):
            (place / below).mkdir(parents=True)
        (place / "state/status").touch()
        text = wanted.sources.read_text(encoding="utf-8") if wanted.sources else debian_sources(wanted.suite)
        (place / "etc/sources.list").write_text(text)
        values = {
            "Dir::Etc": place / "etc",
            "Dir::Etc::SourceList": place / "etc/sources.list",
            "Dir::Etc::SourceParts": "-",
            "Dir::State": place / "state",
            "Dir::State::Status": place / "state/status",
            "Dir::Cache": place / "cache",
            "APT::Architecture": wanted.architecture,
            "APT::Architectures": wanted.architecture,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        yield [word for key, value in values.items() for word in ("-o", f"{key}={value}")]


def debian_sources(suite: str) -> str:
    """Return sources.list(5) of `suite` where this machine's apt has its own Debian from. Raises CardRefused."""
    known = _fetched(
        "Debian's sources", ["apt-get", "indextargets", f"--format={SOURCES}", "Created-By: Packages"], _idle
    )
    lines = {
        f"deb [signed-by={KEYRING}] {address} {one.format(suite=suite)} main\n"
        for label, _, address in (line.partition("\t") for line in known.splitlines())
        for one in LABELS.get(label, ())
    }
    if not lines:
        raise CardRefused(Refusal.NO_SOURCES, what=suite)
    return "".join(sorted(lines))


def index(folder: Path) -> dict[str, tuple[str, int]]:
    """Write `Packages` (deb822(5)) for the packages in `folder`; return version and installed kB by name.

    Raises CardRefused, OSError.
    """
    found, text = {}, ""
    for path in sorted(folder.glob("*.deb")):
        fields = _fetched(path.name, ["dpkg-deb", "--field", str(path)], _idle).strip()
        text += f"{fields}\nFilename: ./{path.name}\nSize: {path.stat().st_size}\nSHA256: {bundle.digest_of(path)}\n\n"
        values = dict(line.split(": ", 1) for line in fields.splitlines() if ": " in line and line[0] != " ")
        found[values["Package"]] = (values["Version"], int(values.get("Installed-Size", 0)))
    (folder / "Packages").write_text(text, encoding="utf-8")
    return found


def _is_offered(command: Sequence[str], tick: Tick) -> bool:
    try:
        _fetched(command[-1], command, tick)
    except CardRefused:
        return False
    return True


def _fetched(what: str, command: Sequence[str], tick: Tick) -> str:
    """Run a program of this machine; return what it said. Raises CardRefused with its last line."""
    code, text = finished(command, tick, environment=os.environ | REPEATABLE)
    if code != 0:
        errors = [line for line in text.splitlines() if line.startswith(("ERROR:", "E:"))] or text.splitlines()
        raise CardRefused(Refusal.NOT_FETCHED, what=what, tail=(errors or ["it said nothing"])[0][:TAIL_CHARACTERS])
    return text


def _idle() -> None:
    """Do nothing: what is run takes no time."""
