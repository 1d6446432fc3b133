"""Looks at the machine for the self-check: kernel's rules, sockets, keys, disk, networks, service. Judges nothing.

Nothing here needs root: what a plain user may not see is `Unseen`, with the command that shows it. Nothing is written
and nothing is sent.
"""

import importlib.metadata
import os
import platform
import pwd
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from firmware import identity
from firmware.board.linux import PROC
from firmware.board.pkcs11_token import key_store
from firmware.board.sockets import waiting_sockets
from firmware.config import DeviceConfig
from firmware.faults import ConfigRejected, DeviceFault
from firmware.key_files import KEY_NAME, MAKE_AGAIN
from firmware.ports import Clock
from firmware.self_check import (
    CertificateFacts,
    DiskFacts,
    Facts,
    KeyFacts,
    ModelFacts,
    ServiceFacts,
    Unseen,
    VersionFacts,
)
from firmware.tflite import Model, read_manifest

PACKAGE: Final = "kestrel-camera"
SERVICE: Final = "kestrel.service"
TIME_SERVICE_USER: Final = "systemd-timesync"
NFT_PLACES: Final = "/usr/sbin:/sbin:/usr/bin"  # Debian puts it where only root's search path looks
NFT_LIMIT_S: Final = 10.0
RUNS: Final = 5
AS_ROOT: Final = "run it as root: `sudo kestrel --self-check ...`"


def look(config: DeviceConfig, folder: Path, models: Path, clock: Clock, *, proc: Path = PROC) -> Facts:
    """Return what is seen of the unit whose folder this is. Takes about a second, for the networks are run."""
    return Facts(
        now_utc_ms=clock.utc_ms(),
        clock_is_trusted=clock.is_trusted(),
        time_service_uid=_uid_of(TIME_SERVICE_USER),
        sockets=waiting_sockets(proc),
        ruleset=ruleset(),
        key=key(config, folder),
        certificate=certificate(config, folder),
        disk=disk(folder),
        models=tuple(_networks(models, clock)),
        service=service(proc),
        versions=_versions(models),
    )


def ruleset() -> bytes | Unseen:
    """Return the kernel's packet filter as nft lists it: what is in force, whatever the files say."""
    program = shutil.which("nft", path=NFT_PLACES)
    if program is None:
        return Unseen(
            why="nft is not installed, so the kernel's rules cannot be listed",
            how="install it with `apt install nftables`",
        )
    try:
        done = subprocess.run(  # noqa: S603  a fixed program with fixed words, no shell
            [program, "-j", "list", "ruleset"], capture_output=True, timeout=NFT_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return Unseen(why="the kernel does not show its rules to this user", how=AS_ROOT)
    return done.stdout


def key(config: DeviceConfig, folder: Path) -> KeyFacts | Unseen:
    """Return where the unit's key is and whether it can be used."""
    path = folder / KEY_NAME
    try:
        mode = path.stat().st_mode & 0o7777
        unit = identity.load(folder, config.device_id, key_store(config.token, folder))
    except PermissionError:
        return _hidden(path)
    except FileNotFoundError:
        return KeyFacts(kind="none", mode=0, problem=f"{path}: there is no key; {MAKE_AGAIN}")
    except ConfigRejected as error:
        is_hidden = isinstance(error.__cause__, PermissionError) and not mode & 0o077
        return _hidden(path) if is_hidden else KeyFacts(kind="file", mode=mode, problem=str(error))
    except DeviceFault as fault:
        return KeyFacts(kind="token", mode=mode, problem=str(fault))
    kind = "a file, in no secure element" if config.token is None else unit.key_store
    return KeyFacts(kind=kind, mode=mode, problem="")


def certificate(config: DeviceConfig, folder: Path) -> CertificateFacts | Unseen:
    """Return when the unit's certificates hold, both of them where the key that signs lies in a token."""
    try:
        found = identity.own_certificates(folder, in_token=config.token is not None).values()
    except ConfigRejected as error:
        cause = error.__cause__
        if isinstance(cause, PermissionError):
            return _hidden(Path(cause.filename))
        return CertificateFacts(problem=str(error))
    return CertificateFacts(
        from_utc_ms=max(int(one.not_valid_before_utc.timestamp() * 1000) for one in found),
        until_utc_ms=min(int(one.not_valid_after_utc.timestamp() * 1000) for one in found),
    )


def disk(folder: Path) -> DiskFacts | Unseen:
    """Return how the file system under `folder` is mounted (statvfs(3)) and what is free for users."""
    outbox = folder / identity.OUTBOX_NAME
    try:
        system = os.statvfs(folder)
        return DiskFacts(
            is_read_only=bool(system.f_flag & os.ST_RDONLY),
            free_bytes=system.f_bavail * system.f_frsize,
            outbox_bytes=outbox.stat().st_size if outbox.exists() else 0,
            folder_mode=folder.stat().st_mode & 0o7777,
        )
    except PermissionError:
        return _hidden(folder)


def service(proc: Path = PROC) -> ServiceFacts | Unseen:
    """Return how the kernel confines the processes of kestrel.service: of several, the least confined counts."""
    found = [one for status in _statuses(proc) if (one := _service_facts(status))]
    if not found:
        return Unseen(
            why=f"no process of {SERVICE} is seen",
            how=f"start it with `systemctl start {SERVICE.removesuffix('.service')}`",
        )
    return max(found, key=lambda one: (one.uid == 0, one.capabilities, not one.no_new_privileges, -one.seccomp))


def _statuses(proc: Path) -> Iterator[str]:
    """Return proc_pid_status(5) of each process in the service's control group."""
    for folder in proc.iterdir():
        if folder.name.isdecimal():
            try:
                groups = (folder / "cgroup").read_text()
                if any(line.endswith(f"/{SERVICE}") for line in groups.splitlines()):
                    yield (folder / "status").read_text()
            except OSError:  # it has ended
                continue


def _service_facts(status: str) -> ServiceFacts | None:
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    if not {"Uid", "NoNewPrivs", "Seccomp", "CapEff", "CapBnd"} <= set(lines):
        return None
    return ServiceFacts(
        uid=int(lines["Uid"].split()[1]),
        no_new_privileges=lines["NoNewPrivs"].strip() == "1",
        seccomp=int(lines["Seccomp"]),
        capabilities=int(lines["CapEff"], 16),
        reachable_capabilities=int(lines["CapBnd"], 16),
    )


def _networks(folder: Path, clock: Clock) -> Iterator[ModelFacts]:
    """Yield how each pinned network of `folder` loads and runs, here and now."""
    try:
        entries = read_manifest(folder).files
    except DeviceFault as fault:
        yield ModelFacts(name="manifest", problem=fault.hint)
        return
    for name, entry in entries.items():
        try:
            model = Model.load(folder, name)
        except DeviceFault as fault:
            yield ModelFacts(name=name, problem=fault.hint)
            continue
        nothing, times_s = np.zeros(entry.input.shape, np.float32), []
        for _ in range(RUNS):
            begun_s = clock.monotonic_s()
            model.run(nothing)
            times_s.append(clock.monotonic_s() - begun_s)
        yield ModelFacts(
            name=Path(name).stem, latency_ms=statistics.median(times_s) * 1000, is_accelerated=model.is_accelerated()
        )


def _versions(models: Path) -> VersionFacts:
    try:
        product = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        product = "not installed"
    try:
        networks = read_manifest(models).version
    except DeviceFault:
        networks = "none"
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    return VersionFacts(
        product=product,
        models=networks,
        python=platform.python_version(),
        system=system.get("ID", "unknown system"),
        system_version=system.get("VERSION_ID", ""),
        kernel=platform.release(),
    )


def _uid_of(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _hidden(path: Path) -> Unseen:
    return Unseen(why=f"{path} is hidden from this user", how=AS_ROOT)
