"""The Debian packages of a card: which are there, by dpkg's own status file, and how those of a bundle get there."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from provisioning.card.bundle import DEBIAN, Bundle
from provisioning.card.findings import Finding, Flaw, Part, Refusal
from provisioning.card.inside import Inside
from provisioning.card.mounted import Card
from provisioning.card.wording import CardRefused

REQUIRED: Final = (
    "python3-venv",
    "libstdc++6",  # of the networks' runtime and of OpenCV
    "nftables",
    "systemd-timesyncd",
    "network-manager",
    "modemmanager",
)
READ_ONLY: Final = "overlayroot"
"""What `raspi-config` uses too; its initramfs lays a file system in memory over the card's."""

OF_THE_CAMERA: Final = ("python3-picamera2", "python3-lgpio")
"""Of Raspberry Pi's own archive; a bundle has them where its sources do, and so may the card."""

STATUS: Final = PurePosixPath("var/lib/dpkg/status")
WORK: Final = PurePosixPath("var/cache/kestrel-card")
"""apt's lists and cache while it works, so that the card's own stay as they are; removed at the end."""

INSTALLED: Final = "install ok installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagesStep:
    """Debian packages: those of REQUIRED, those of the camera if the bundle has them."""

    card: Card
    bundle: Bundle | None
    inside: Inside
    is_read_only: bool
    part: Part = Part.PACKAGES

    def wanted(self) -> list[str]:
        """Return the names of the packages that the card must have."""
        offered = [name for name in OF_THE_CAMERA if self.bundle and name in self.bundle.contents.packages]
        return [*REQUIRED, *offered, *([READ_ONLY] if self.is_read_only else [])]

    def missing(self) -> list[Finding]:
        """Return what is not installed, or not to its end. Raises OSError."""
        states = dpkg_states(self.card)
        absent = [name for name in self.wanted() if states.get(name, ("", ""))[0] != INSTALLED]
        half = [name for name, (state, _) in states.items() if _is_half(state) and name not in absent]
        return [Finding(part=self.part, flaw=Flaw.PACKAGE_MISSING, what=name) for name in absent] + [
            Finding(part=self.part, flaw=Flaw.PACKAGE_HALF_INSTALLED, what=name) for name in sorted(half)
        ]

    def do(self) -> None:
        """Finish what dpkg has begun, and install the rest from the bundle. Raises CardRefused, OSError."""
        if self.bundle is None:
            raise CardRefused(Refusal.NO_BUNDLE, what="Debian packages")
        self._clear_interruption()
        work = self.card.root / WORK
        shutil.rmtree(work, ignore_errors=True)
        for name in ("lists/partial", "cache/archives/partial"):
            (work / name).mkdir(parents=True)
        (work / "sources.list").write_text(f"deb [trusted=yes] file:{self.inside.bundle}/{DEBIAN} ./\n")
        self.inside.run(["apt-get", *_apt_options(), "update"])
        words = ["install", "--yes", "--no-install-recommends", "--no-remove", "--fix-broken"]
        self.inside.run(["apt-get", *_apt_options(), *words, *self.wanted()])
        shutil.rmtree(work)

    def _clear_interruption(self) -> None:
        """Let dpkg close an attempt that was killed, else apt refuses. Raises CardRefused (CANNOT_RUN).

        It ends in an error where a package's needs are not unpacked yet; then apt's --fix-broken brings them.
        """
        try:
            self.inside.run(["dpkg", "--configure", "-a", "--force-confold"])
        except CardRefused as refused:
            if refused.refusal != Refusal.COMMAND_FAILED:
                raise


def dpkg_states(card: Card) -> Mapping[str, tuple[str, str]]:
    """Return (status, version) of each package that dpkg knows (deb-substvars(5), dpkg-query(1)). Raises OSError."""
    found = {}
    for paragraph in (card.root / STATUS).read_text(encoding="utf-8", errors="replace").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if "Package" in fields:
            found[fields["Package"]] = (fields.get("Status", ""), fields.get("Version", ""))
    return found


def _is_half(state: str) -> bool:
    """Return whether dpkg was interrupted: the last word is none of a state in which it rests."""
    return state.split()[-1:] not in (["installed"], ["not-installed"], ["config-files"], [])


def _apt_options() -> list[str]:
    work = f"/{WORK}"
    options = {
        "Dir::Etc::SourceList": f"{work}/sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": f"{work}/lists",
        "Dir::Cache": f"{work}/cache",
        "APT::Sandbox::User": "root",
        "APT::Get::AllowUnauthenticated": "true",
        "Acquire::Languages": "none",
        "Dpkg::Options::": "--force-confold",
        "Dpkg::Use-Pty": "0",
    }
    return ["-q", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
