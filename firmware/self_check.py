"""What is enforced on this unit now, judged from what was seen of it. Pure: facts in, checks out.

Four states: `pass`; `warn`, enforced, but not for ever or not at its best; `fail`, not enforced; and `unknown`, what
could not be looked at, which is no pass. `firmware.board.host_facts` looks.
"""

import datetime as dt
import enum
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from firmware.config import DeviceConfig
from firmware.faults import DocumentRejected
from firmware.firewall_rules import Calls, judged
from firmware.identity import EXPIRY_WARN_DAYS, MS_PER_DAY, RENEW, days_left
from firmware.wall_clock import EARLIEST_UTC_MS

DISK_LEAST_BYTES: Final = 50_000_000
MODEL_SLOW_MS: Final = 300.0
"""With XNNPACK the detector takes tens of milliseconds on a Pi 4; fifteen times as long without."""

DHCP_PORTS: Final = frozenset({68, 546})  # the client's side (RFC 2131, RFC 8415), held by root's network service
UNPRIVILEGED_PORT: Final = 1024

SUPPORT_ENDS: Final = {("debian", "12"): "2028-06-30", ("debian", "13"): "2030-06-30"}
"""End of Debian's long-term support (wiki.debian.org/LTS); Raspberry Pi OS 64-bit calls itself Debian."""

PYTHONS: Final = ("3.11", "3.13")


class State(enum.StrEnum):
    """How one part does."""

    PASS = "pass"  # noqa: S105  a state and no password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """What could not be looked at: why, and how it can be seen."""

    why: str
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingSocket:
    """A socket that takes what strangers send: listening TCP, or UDP without a peer. `owner` is empty if hidden."""

    protocol: str
    address: str
    port: int
    uid: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """Where the unit's key is kept. `problem` is a sentence if it cannot be used as it is, empty otherwise."""

    kind: str
    mode: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """When the unit's certificate holds (milliseconds since 1970), or what is wrong with the file."""

    from_utc_ms: int = 0
    until_utc_ms: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFacts:
    """The file system under the unit's folder, and the folder's permissions."""

    is_read_only: bool
    free_bytes: int
    outbox_bytes: int
    folder_mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """One network: whether it is the pinned one and runs, and how fast."""

    name: str
    problem: str = ""
    latency_ms: float = 0.0
    is_accelerated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """What the kernel says of the running service (proc_pid_status(5))."""

    uid: int
    no_new_privileges: bool
    seccomp: int  # 2 is a filter
    capabilities: int  # effective
    reachable_capabilities: int  # bounding set


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """What runs here."""

    product: str
    models: str
    python: str
    system: str  # of os-release(5): ID
    system_version: str  # VERSION_ID
    kernel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that was seen of a unit at one moment."""

    now_utc_ms: int
    clock_is_trusted: bool
    time_service_uid: int | None
    sockets: tuple[WaitingSocket, ...]
    ruleset: bytes | Unseen
    key: KeyFacts | Unseen
    certificate: CertificateFacts | Unseen
    disk: DiskFacts | Unseen
    models: tuple[ModelFacts, ...]
    service: ServiceFacts | Unseen
    versions: VersionFacts


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the answer: what was found, and what to do about it (empty if nothing)."""

    name: str
    state: State
    found: str
    hint: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer. `passed` if every check passes or warns."""

    device_id: str
    passed: bool
    checks: tuple[Check, ...]


def report(config: DeviceConfig, facts: Facts) -> Report:
    """Return what is enforced on the unit of this configuration, of which `facts` were seen."""
    judges: dict[str, Callable[[DeviceConfig, Facts], Check]] = {
        "sockets": _sockets,
        "firewall": _firewall,
        "key_store": _key_store,
        "certificate": _certificate,
        "clock": _clock,
        "disk": _disk,
        "versions": _versions,
        "models": _models,
        "sandbox": _sandbox,
    }
    checks = tuple(msgspec.structs.replace(judge(config, facts), name=name) for name, judge in judges.items())
    passed = all(check.state in {State.PASS, State.WARN} for check in checks)
    return Report(device_id=config.device_id, passed=passed, checks=checks)


def table(answer: Report) -> str:
    """Return the answer for people: part, state, what was found, and what to do on a line of its own."""
    lines = [f"{'part':<12} {'state':<8} found"]
    for check in answer.checks:
        lines.append(f"{check.name:<12} {check.state:<8} {check.found}")
        if check.hint:
            lines.append(f"{'':<21} -> {check.hint}")
    lines.append(f"{answer.device_id}: {'all is enforced' if answer.passed else 'not all is enforced'}")
    return "\n".join(lines) + "\n"


def _check(state: State, found: str, hint: str = "") -> Check:
    return Check(name="", state=state, found=found, hint=hint)


def _unknown(unseen: Unseen) -> Check:
    return _check(State.UNKNOWN, unseen.why, unseen.how)


def _sockets(_config: DeviceConfig, facts: Facts) -> Check:
    open_ones = [one for one in facts.sockets if not _is_answered(one, facts.time_service_uid)]
    if not open_ones:
        return _check(State.PASS, "nothing listens")
    shown = _listed([f"{one.protocol} {_place(one)}{f' ({one.owner})' if one.owner else ''}" for one in open_ones])
    hint = "`ss -lntup` as root says whose they are; end and mask them: `systemctl mask --now NAME`"
    return _check(State.FAIL, f"waiting for strangers: {shown}", hint)


def _is_answered(one: WaitingSocket, time_service_uid: int | None) -> bool:
    """Say whether a UDP socket without a peer is that of a client that waits for its answer: of DHCP or of NTP."""
    if not one.protocol.startswith("udp"):
        return False
    asks_time = one.uid == time_service_uid and one.port >= UNPRIVILEGED_PORT
    return asks_time or (one.port in DHCP_PORTS and one.uid == 0)


def _place(one: WaitingSocket) -> str:
    return f"[{one.address}]:{one.port}" if ":" in one.address else f"{one.address}:{one.port}"


def _firewall(config: DeviceConfig, facts: Facts) -> Check:
    if isinstance(facts.ruleset, Unseen):
        return _unknown(facts.ruleset)
    try:
        address = ipaddress.ip_address(config.uplink.host)
    except ValueError:
        address = None
    try:
        finding = judged(facts.ruleset, Calls(port=config.uplink.port, address=address))
    except DocumentRejected as error:
        return _check(State.UNKNOWN, str(error), "load our rules: `systemctl restart kestrel-firewall`")
    if finding.openings:
        hint = "run `kestrel-provision card install`, then `systemctl restart kestrel-firewall`; remove rules of others"
        return _check(State.FAIL, _listed(finding.openings), hint)
    if not finding.addresses:
        hint = "`systemctl restart kestrel-addresses` looks the name up; check uplink.host and the modem"
        return _check(State.WARN, "nothing comes in, and the broker's address is not known yet", hint)
    addresses = "1 address" if finding.addresses == 1 else f"{finding.addresses} addresses"
    return _check(State.PASS, f"nothing comes in; out to {addresses} at port {config.uplink.port}, DNS and NTP")


def _key_store(_config: DeviceConfig, facts: Facts) -> Check:
    if isinstance(facts.key, Unseen):
        return _unknown(facts.key)
    if facts.key.problem:
        sentence, _, hint = facts.key.problem.partition("; ")
        return _check(State.FAIL, sentence, hint)
    return _check(State.PASS, f"{facts.key.kind}, mode {facts.key.mode:04o}")


def _certificate(_config: DeviceConfig, facts: Facts) -> Check:
    certificate = facts.certificate
    if isinstance(certificate, Unseen):
        return _unknown(certificate)
    if certificate.problem:
        sentence, _, hint = certificate.problem.partition("; ")
        return _check(State.FAIL, sentence, hint)
    if facts.now_utc_ms < certificate.from_utc_ms:
        return _check(State.FAIL, "not valid yet by this unit's clock", "set the clock: `timedatectl`")
    days = days_left(certificate.until_utc_ms, facts.now_utc_ms)
    if days <= 0:
        return _check(State.FAIL, f"expired {-days:.0f} days ago", RENEW)
    if days < EXPIRY_WARN_DAYS:
        return _check(State.WARN, f"{days:.0f} days left", RENEW)
    return _check(State.PASS, f"{days:.0f} days left")


def _clock(_config: DeviceConfig, facts: Facts) -> Check:
    year = 1970 + facts.now_utc_ms / MS_PER_DAY / 365.2425
    hint = "NTP must reach out: `timedatectl timesync-status`; check the modem"
    if facts.now_utc_ms < EARLIEST_UTC_MS:
        return _check(State.FAIL, f"it says {int(year)}: certificates cannot be judged", hint)
    if not facts.clock_is_trusted:
        return _check(State.WARN, "it has not been set since the start", hint)
    return _check(State.PASS, "set by NTP")


def _disk(config: DeviceConfig, facts: Facts) -> Check:
    disk = facts.disk
    if isinstance(disk, Unseen):
        return _unknown(disk)
    found = f"{disk.free_bytes / 1e6:,.0f} MB free"
    if disk.is_read_only:
        return _check(State.FAIL, "read-only: no read can be kept", "check the card: `dmesg`; replace it")
    if disk.free_bytes < DISK_LEAST_BYTES:
        return _check(State.FAIL, found, "free some space: `journalctl --vacuum-size=20M`, `du -xh /`")
    if disk.folder_mode & 0o077:
        return _check(State.WARN, f"{found}; other users may look into the unit's folder", "run `chmod 700` on it")
    if disk.free_bytes + disk.outbox_bytes < config.uplink.outbox_mb * 1e6:
        return _check(State.WARN, f"{found}, less than uplink.outbox_mb", "free some space or lower uplink.outbox_mb")
    return _check(State.PASS, found)


def _versions(_config: DeviceConfig, facts: Facts) -> Check:
    seen = facts.versions
    found = (
        f"kestrel {seen.product}, models {seen.models}, Python {seen.python}, "
        f"{seen.system} {seen.system_version}, Linux {seen.kernel}"
    )
    ends = SUPPORT_ENDS.get((seen.system, seen.system_version.partition(".")[0]))
    if ends is None:
        return _check(State.WARN, found, "use Raspberry Pi OS 64-bit on Debian 12 or 13: its fixes are followed")
    if facts.now_utc_ms > _utc_ms(ends):
        return _check(State.FAIL, found, f"no security fixes since {ends}: write a card with the newest system")
    if ".".join(seen.python.split(".")[:2]) not in PYTHONS:
        return _check(State.WARN, found, f"use Python {' or '.join(PYTHONS)}: no other is tested")
    return _check(State.PASS, f"{found}; fixes until {ends}")


def _utc_ms(day: str) -> int:
    return int(dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC).timestamp() * 1000)


def _models(_config: DeviceConfig, facts: Facts) -> Check:
    refused = [one.problem for one in facts.models if one.problem]
    if refused or not facts.models:
        sentence, _, hint = (refused or ["no network is there; install the models again"])[0].rpartition("; ")
        return _check(State.FAIL, sentence, hint)
    found = ", ".join(f"{one.name} {one.latency_ms:.0f} ms" for one in facts.models)
    bare = [one.name for one in facts.models if not one.is_accelerated]
    slow = [one.name for one in facts.models if one.latency_ms > MODEL_SLOW_MS]
    if bare or slow:
        trouble = f"without XNNPACK: {', '.join(bare)}" if bare else f"slow: {', '.join(slow)}"
        hint = (
            "XNNPACK needs to see /proc/cpuinfo and /sys/devices/system/cpu (ProcSubset= of kestrel.service); "
            "use ai-edge-litert; end what else computes here"
        )
        return _check(State.WARN, f"{found}; {trouble}", hint)
    return _check(State.PASS, f"{found}, with XNNPACK")


def _sandbox(_config: DeviceConfig, facts: Facts) -> Check:
    service = facts.service
    if isinstance(service, Unseen):
        return _unknown(service)
    lacks = {
        "it runs as root": service.uid == 0,
        "it may gain privileges": not service.no_new_privileges,
        "no filter of system calls": service.seccomp != 2,
        "it has capabilities": service.capabilities != 0,
        "it can get capabilities": service.reachable_capabilities != 0,
    }
    found = [what for what, is_so in lacks.items() if is_so]
    if found:
        hint = "run it by the unit file that `kestrel-provision card install` writes: `systemctl restart kestrel`"
        return _check(State.FAIL, _listed(found), hint)
    return _check(State.PASS, "own user, no capabilities, no new privileges, system calls filtered")


def _listed(words: Sequence[str], most: int = 3) -> str:
    more = [f"and {len(words) - most} more"] if len(words) > most else []
    return "; ".join([*words[:most], *more])
