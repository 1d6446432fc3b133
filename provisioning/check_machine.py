"""Identity, and what the firmware's own self-check says of the machine: its findings under the technician's words.

Nothing is judged here a second time. The sandbox is left out: it is the service's, which must be stopped.
"""

from firmware.identity import days_left
from firmware.self_check import CertificateFacts, KeyFacts, State
from firmware.wall_clock import EARLIEST_UTC_MS
from provisioning.check_words import Finding, halves, said
from provisioning.checking import Bench, Look
from provisioning.part_reports import PartName, PartReport

FOLDED = {
    PartName.FIREWALL: ("firewall", Finding.FIREWALL_OPEN),
    PartName.SOCKETS: ("sockets", Finding.SOCKETS_OPEN),
    PartName.SYSTEM: ("versions", Finding.SYSTEM_OLD),
    PartName.NETWORKS: ("models", Finding.NETWORKS_REFUSED),
}
"""By part: the self-check's name for it, and what is said if it fails."""


def looks() -> dict[PartName, Look]:
    """Return how the machine's parts are looked at."""

    def folded(part: PartName) -> Look:
        return lambda bench: _folded(bench, part)

    return {part: folded(part) for part in FOLDED}


def look_at_identity(bench: Bench) -> PartReport:
    """Say whether key and certificate are this unit's, and for how long."""
    facts = bench.facts
    for seen in (facts.key, facts.certificate):
        if not isinstance(seen, KeyFacts | CertificateFacts):
            return said(Finding.IDENTITY_HIDDEN, detail=seen.why)
        if seen.problem:
            return said(Finding.IDENTITY_UNUSABLE, **halves(seen.problem))
    if not isinstance(facts.key, KeyFacts) or not isinstance(facts.certificate, CertificateFacts):
        raise TypeError("what was not seen has been said")
    if facts.now_utc_ms < EARLIEST_UTC_MS:
        return said(Finding.IDENTITY_UNJUDGED)
    if facts.now_utc_ms < facts.certificate.from_utc_ms:
        return said(Finding.IDENTITY_NOT_YET)
    days = days_left(facts.certificate.until_utc_ms, facts.now_utc_ms)
    if days <= 0:
        return said(Finding.IDENTITY_EXPIRED, days_over=-days)
    is_soon = bench.enforced["certificate"].state is not State.PASS
    return said(Finding.IDENTITY_ENDS_SOON if is_soon else Finding.IDENTITY_GOOD, days_left=days, kept=facts.key.kind)


def _folded(bench: Bench, part: PartName) -> PartReport:
    name, failing = FOLDED[part]
    check = bench.enforced[name]
    match check.state:
        case State.PASS:
            return said(Finding.MACHINE_GOOD, part, detail=check.found)
        case State.FAIL:
            return said(failing, detail=check.found, hint=check.hint)
        case _:
            return said(Finding.MACHINE_WARN, part, detail=check.found, hint=check.hint)
