"""What can be wrong with a card, as words for programs. `wording` says them to people."""

import enum
from dataclasses import dataclass


class Part(enum.StrEnum):
    """One part of a card, in the order in which it is installed."""

    PACKAGES = "packages"
    PROGRAMS = "programs"
    SETTINGS = "settings"
    ACCOUNT = "account"
    LOG_INS = "log-ins"
    MOUNTS = "mounts"
    RECORD = "record"


class Flaw(enum.StrEnum):
    """One thing of a card that is not as it should be, and that `card install` mends."""

    PACKAGE_MISSING = "package-missing"
    PACKAGE_HALF_INSTALLED = "package-half-installed"
    PROGRAMS_MISSING = "programs-missing"
    PROGRAMS_DIFFER = "programs-differ"
    FILE_DIFFERS = "file-differs"
    ACCOUNT_MISSING = "account-missing"
    PASSWORD_WORKS = "password-works"  # noqa: S105  no password
    LOG_IN_LOCKED = "log-in-locked"
    LOG_IN_FILE = "log-in-file"
    SWAP_MOUNTED = "swap-mounted"
    READ_ONLY_DIFFERS = "read-only-differs"
    RECORD_DIFFERS = "record-differs"


class Refusal(enum.StrEnum):
    """Why a command cannot go on."""

    NO_ROOT = "no-root"
    CARD_SILENT = "card-silent"
    HALF_WRITTEN = "half-written"
    NOT_DEBIAN = "not-debian"
    OTHER_SUITE = "other-suite"
    OTHER_ARCHITECTURE = "other-architecture"
    THIRTY_TWO_BIT = "thirty-two-bit"
    CANNOT_RUN = "cannot-run"
    TOO_LITTLE_SPACE = "too-little-space"
    BOOT_NOT_MOUNTED = "boot-not-mounted"
    READ_ONLY_NOW = "read-only-now"
    NOT_THE_SUPERUSER = "not-the-superuser"
    BUSY = "busy"
    NO_BUNDLE = "no-bundle"
    BUNDLE_UNFINISHED = "bundle-unfinished"
    BUNDLE_DAMAGED = "bundle-damaged"
    BUNDLE_OTHER_SUITE = "bundle-other-suite"
    BUNDLE_OTHER_ARCHITECTURE = "bundle-other-architecture"
    PROGRAMS_IN_THE_WAY = "programs-in-the-way"
    NO_LOG_IN_ACCOUNT = "no-log-in-account"
    NO_STATE_PARTITION = "no-state-partition"
    STATE_WOULD_HIDE = "state-would-hide"
    COMMAND_FAILED = "command-failed"
    NOT_MENDED = "not-mended"
    NO_SOURCE_TREE = "no-source-tree"
    NO_APT = "no-apt"
    NO_SOURCES = "no-sources"
    NOT_FETCHED = "not-fetched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One flaw, and which package, file or account has it."""

    part: Part
    flaw: Flaw
    what: str = ""
