"""Nobody logs in to a card with a password that somebody else may know, and no account is made at its first start.

Raspberry Pi OS has no default password of its own since 2022, but whoever wrote the card may have given it one, in
files on the small partition or by cloud-init; and its first account may become root without being asked.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from provisioning import durable_files
from provisioning.card.findings import Finding, Flaw, Part, Refusal
from provisioning.card.mounted import Card
from provisioning.card.wording import CardRefused

SHADOW: Final = PurePosixPath("etc/shadow")
REMOVED: Final = (
    # first-boot files of Raspberry Pi Imager: password digests, keys for ssh, Wi-Fi passwords, scripts
    *(PurePosixPath("boot/firmware", name) for name in (
        "userconf", "userconf.txt", "ssh", "ssh.txt", "custom.toml", "firstrun.sh", "wpa_supplicant.conf", "user-data",
        "network-config",
    )),
    PurePosixPath("etc/sudoers.d/010_pi-nopasswd"),
    PurePosixPath("etc/sudoers.d/90-cloud-init-users"),
    PurePosixPath("etc/systemd/system/getty@tty1.service.d/autologin.conf"),
)  # fmt: skip
LOCKED: Final = ("!", "*")
"""How the second field of shadow(5) begins when no password fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogInsStep:
    """Passwords locked, but for one account that was named; files that let somebody in removed."""

    card: Card
    kept_account: str | None
    part: Part = Part.LOG_INS

    def missing(self) -> list[Finding]:
        """Return which accounts have a password that works, or should have one, and which files are there.

        Raises OSError.
        """
        opened = open_accounts(self._shadow())
        found = [(Flaw.PASSWORD_WORKS, name) for name in opened if name != self.kept_account]
        if self.kept_account is not None and self.kept_account not in opened:
            found.append((Flaw.LOG_IN_LOCKED, self.kept_account))
        found += [(Flaw.LOG_IN_FILE, str(path)) for path in REMOVED if _is_there(self.card.root / path)]
        return [Finding(part=self.part, flaw=flaw, what=what) for flaw, what in found]

    def do(self) -> None:
        """Lock the passwords and remove the files. Raises CardRefused, OSError."""
        text = self._shadow()
        if self.kept_account is not None and self.kept_account not in open_accounts(text):
            raise CardRefused(Refusal.NO_LOG_IN_ACCOUNT, what=self.kept_account)
        locked = without_passwords(text, self.kept_account)
        if locked != text:
            shadow = self.card.root / SHADOW
            durable_files.publish(shadow, locked.encode(errors="surrogateescape"), like=shadow.stat())
        for path in REMOVED:
            place = self.card.root / path
            if _is_there(place):
                durable_files.remove(place)

    def _shadow(self) -> str:
        return (self.card.root / SHADOW).read_text(encoding="utf-8", errors="surrogateescape")


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def open_accounts(shadow: str) -> list[str]:
    """Return the accounts that a password opens, or that need none (shadow(5): an empty second field)."""
    entries = [line.split(":") for line in shadow.splitlines() if ":" in line]
    return [entry[0] for entry in entries if not entry[1].startswith(LOCKED)]


def without_passwords(shadow: str, kept_account: str | None) -> str:
    """Return the text with every password locked, as `usermod --lock` does, but that of `kept_account`."""
    closed = set(open_accounts(shadow)) - {kept_account}

    def line_of(line: str) -> str:
        name, _, rest = line.partition(":")
        return f"{name}:!{rest}" if name in closed else line

    return "".join(line_of(line) for line in shadow.splitlines(keepends=True))
