"""What is said to people about a card: each refusal, flaw and part in one place, to be said in other languages too."""

from collections.abc import Mapping
from typing import Final

from firmware.faults import KestrelError
from provisioning.card.findings import Finding, Flaw, Part, Refusal

REFUSALS: Final[Mapping[Refusal, str]] = {
    Refusal.NO_ROOT: "{root} is no folder; mount the card's big partition and give its folder as --root",
    Refusal.CARD_SILENT: "nothing can be read from the card at {root} or kept on it ({tail}): it was taken out, locked "
    "by its switch, half written or is worn out; put it in again, mount it and do this again, and if this comes again, "
    "write Raspberry Pi OS Lite (64-bit) to another card",
    Refusal.HALF_WRITTEN: "{root} has no {what}: the card is half written, or this is not its system partition; "
    "write Raspberry Pi OS Lite (64-bit) to it again",
    Refusal.NOT_DEBIAN: "{root} holds {what}; write Raspberry Pi OS Lite (64-bit) to the card",
    Refusal.OTHER_SUITE: "{root} holds Debian {what}; write Raspberry Pi OS Lite of Debian 12 or 13 to the card",
    Refusal.OTHER_ARCHITECTURE: "{root} is a system for {what}; write Raspberry Pi OS Lite (64-bit) to the card",
    Refusal.THIRTY_TWO_BIT: "{root} is a 32-bit system; write the 64-bit Raspberry Pi OS Lite to the card",
    Refusal.CANNOT_RUN: "the card's programs are for {what} and this machine cannot run them; install qemu-user-static "
    "(Debian 13: qemu-user-binfmt) here, or put the card into its unit and run the bundle's begin.sh there",
    Refusal.TOO_LITTLE_SPACE: "the card has {free} MB free and needs {needed} MB; use a card of 8 GB or more, or start "
    "it once so that its partition grows",
    Refusal.BOOT_NOT_MOUNTED: "{root} is empty: the card's small partition is not mounted; mount it there, for "
    "config.txt lies on it",
    Refusal.READ_ONLY_NOW: "the running system is read-only, so whatever is installed would be gone after a restart; "
    "take overlayroot=... out of cmdline.txt on the small partition, restart, and do this again",
    Refusal.NOT_THE_SUPERUSER: "installing on a card needs root; put sudo before the command",
    Refusal.BUSY: "another installation on {root} has not ended; wait until it has",
    Refusal.NO_BUNDLE: "the card lacks {what}, which come from a bundle; give one as --bundle DIR "
    "(make it with `kestrel-provision card bundle`)",
    Refusal.BUNDLE_UNFINISHED: "{bundle} is no finished bundle; make it again with `kestrel-provision card bundle`",
    Refusal.BUNDLE_DAMAGED: "{what} in the bundle is missing or damaged; copy the bundle again, or make it anew",
    Refusal.BUNDLE_OTHER_SUITE: "the bundle is for {given} and the card holds {what}; make one with --suite {what}",
    Refusal.BUNDLE_OTHER_ARCHITECTURE: "the bundle is for {given} and the card for {what}; make one with --arch {what}",
    Refusal.PROGRAMS_IN_THE_WAY: "{what} was put there by hand; move it away, then do this again",
    Refusal.NO_LOG_IN_ACCOUNT: "{what} is no account of this card with a password; make it first (passwd {what}), or "
    "leave --log-in out",
    Refusal.NO_STATE_PARTITION: "a read-only card needs a partition of its own for what must last; make one and "
    "name it: `mkfs.ext4 -L {what} /dev/...`",
    Refusal.STATE_WOULD_HIDE: "{what} already holds a unit, which the partition for it would hide; move its files to "
    "that partition first",
    Refusal.COMMAND_FAILED: "{what} did not end well ({tail}); mend that, then do this again: it goes on where it was",
    Refusal.NOT_MENDED: "{part} is still not as it should be after it was installed ({what}); check the card for bad "
    "sectors, or use another one",
    Refusal.NO_SOURCE_TREE: "a bundle is made from this product's source; run the command from a checkout",
    Refusal.NO_APT: "a bundle is made with apt, which this machine has not; make it on a Debian or Raspberry Pi OS",
    Refusal.NO_SOURCES: "this machine's apt knows no Debian sources; run `apt-get update`, or give a sources.list of "
    "{what} as --sources FILE",
    Refusal.NOT_FETCHED: "{what} could not be fetched ({tail}); check the network, then do this again",
}

FLAWS: Final[Mapping[Flaw, str]] = {
    Flaw.PACKAGE_MISSING: "{what} is not installed",
    Flaw.PACKAGE_HALF_INSTALLED: "{what} is half installed",
    Flaw.PROGRAMS_MISSING: "{what} is missing or was not finished",
    Flaw.PROGRAMS_DIFFER: "{what} is another version than the bundle's",
    Flaw.FILE_DIFFERS: "/{what} is missing or differs",
    Flaw.ACCOUNT_MISSING: "there is no account {what}",
    Flaw.PASSWORD_WORKS: "{what} can log in with a password",
    Flaw.LOG_IN_LOCKED: "{what}, which was to log in, has no password",
    Flaw.LOG_IN_FILE: "/{what} lets somebody in or makes an account",
    Flaw.SWAP_MOUNTED: "{what} is mounted as swap",
    Flaw.READ_ONLY_DIFFERS: "/{what} does not say which of the card is writable",
    Flaw.RECORD_DIFFERS: "/{what} is missing or tells of something else",
}

PARTS: Final[Mapping[Part, str]] = {
    Part.PACKAGES: "Debian packages",
    Part.PROGRAMS: "our programs, their packages and the networks",
    Part.SETTINGS: "service, firewall, radios, watchdog, boot files",
    Part.ACCOUNT: "the service's account",
    Part.LOG_INS: "nobody else gets in",
    Part.MOUNTS: "no swap, and what of the card is writable",
    Part.RECORD: "the record of what was done",
}

MEND: Final = "run `kestrel-provision card install`"


class CardRefused(KestrelError):
    """A card or bundle does not fit, or a command on it failed. `refusal` and `details` are for programs."""

    def __init__(self, refusal: Refusal, **details: str) -> None:
        super().__init__(REFUSALS[refusal].format(**details))
        self.refusal, self.details = refusal, details


def said(finding: Finding) -> str:
    """Return one finding as the beginning of a sentence."""
    return FLAWS[finding.flaw].format(what=finding.what)
