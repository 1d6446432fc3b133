"""What somebody must do about a fleet's updates soon, read from the dates alone: quick, and without their libraries."""

import datetime as dt
from pathlib import Path
from typing import Final

import msgspec

from cloud import fleet_folder
from firmware.faults import ConfigRejected

ROOT_WARN_DAYS: Final = 60  # for people with keys to meet
TIMESTAMP_WARN_DAYS: Final = 7

_UPDATE: Final = fleet_folder.UPDATE_FOLDER


class _Signed(msgspec.Struct):
    version: int
    expires: dt.datetime


class _Document(msgspec.Struct):
    signed: _Signed


def warnings(fleet_path: Path, now: dt.datetime) -> list[str]:
    """Return a sentence for each thing that cannot wait. Raises ConfigRejected."""
    if not (fleet_path / fleet_folder.UPDATE_ROOT).exists():
        if (fleet_path / _UPDATE).exists():
            return [f"the root keys are half made; go on with `kestrel-provision fleet root begin {fleet_path}`"]
        return []
    told = []
    keys = sorted((fleet_path / _UPDATE / "holders").glob("*.p12"))
    if keys:
        told.append(
            f"{keys[0].parent}: root keys that lie here still: {len(keys)}; give each to its holder, and leave no copy"
        )
    root, waiting_path = _signed(fleet_path / fleet_folder.UPDATE_ROOT), fleet_path / _UPDATE / "waiting-root.json"
    if waiting_path.exists() and _signed(waiting_path).version > root.version:
        told.append(
            "a root waits for signatures; let the holders sign it with `kestrel-provision fleet root sign "
            f"{fleet_path} KEY-FILE`"
        )
    if root.expires - now < dt.timedelta(days=ROOT_WARN_DAYS):
        told.append(
            f"the root of the updates ends on {root.expires:%Y-%m-%d}; make the next one with its holders: "
            f"`kestrel-provision fleet root rotate {fleet_path}`"
        )
    shown_until = _signed(fleet_path / _UPDATE / "metadata" / "timestamp.json").expires
    if shown_until - now < dt.timedelta(days=TIMESTAMP_WARN_DAYS):
        told.append(
            f"what the updates' web server shows ends on {shown_until:%Y-%m-%d}; sign it anew: `kestrel-provision "
            f"fleet root refresh {fleet_path}`"
        )
    return told


def _signed(path: Path) -> _Signed:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Document).signed
    except OSError as error:
        raise ConfigRejected(f"{path}: cannot be read ({error.strerror}); bring the fleet's own file") from error
    except msgspec.MsgspecError as error:
        raise ConfigRejected(f"{path}: not a document of the update repository; bring the fleet's own file") from error
