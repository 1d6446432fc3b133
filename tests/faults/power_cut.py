"""What a disk may hold after the power was cut, worked out from what was done to its files.

The model is that of ALICE (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014) at its most hostile.
What was synced before the cut is there. Of what was not, each write is there, is not, or is torn at the borders of
512-byte or 4 KiB sectors, whatever happened to the writes before and after it; a file may have grown without its data.
A name is made or removed for good only when its folder was synced.

Two things go beyond it. What was written before a sync that *failed* may stay lost even if later ones succeed: the
kernel takes its pages for clean until something is written to them again (Rebello et al., "Can Applications Recover
from fsync Failures?", ATC 2020). And a cheap card may spoil the sector that it is writing: garbage in all of its bytes,
in those that had been synced too.
"""

import itertools
import math
from dataclasses import dataclass, field

PAGE_BYTES = 4096  # what the kernel writes at once, and what a card spoils


@dataclass(slots=True)
class _Change:
    offset: int
    data: bytes | None  # None: the file was cut to `offset` bytes
    is_doubtful: bool = False  # a sync after it failed


@dataclass(slots=True, eq=False)
class _File:
    synced: bytearray = field(default_factory=bytearray)
    changes: list[_Change] = field(default_factory=list)  # since the last sync, and older ones that are doubtful

    def change(self, newer):
        """Note a change. The pages that a write touches are written whole: what was doubtful in them comes along."""
        if newer.data is not None and any(older.is_doubtful for older in self.changes):
            low, high = newer.offset, newer.offset + len(newer.data)
            page_low, page_high = low - low % PAGE_BYTES, high + -high % PAGE_BYTES
            self.changes = [part for older in self.changes for part in _apart(older, page_low, page_high)]
        self.changes.append(newer)

    def sync(self, *, is_failed):
        if is_failed:  # file systems keep sizes in their journal: those are not lost with the pages
            for change in self.changes:
                change.is_doubtful = change.data is not None
            return
        doubtful = []
        for change in self.changes:
            if change.is_doubtful:
                doubtful.append(change)
            else:
                _apply(self.synced, change)
                doubtful = [part for older in doubtful for part in _not_under(change, older)]
        self.changes = doubtful


def _apart(older, page_low, page_high):
    """Return a change in parts, of which that between the two borders is no longer doubtful."""
    if not older.is_doubtful:
        return [older]
    low, high = older.offset, older.offset + len(older.data)
    borders = [low, min(max(low, page_low), high), max(low, min(high, page_high)), high]
    return [
        _Change(begin, older.data[begin - low : end - low], is_doubtful)
        for begin, end, is_doubtful in zip(borders[:-1], borders[1:], [True, False, True], strict=True)
        if begin < end
    ]


def _not_under(newer, older):
    """Return the parts of a doubtful write that a newer, lasting change has left."""
    low, high = older.offset, older.offset + len(older.data)
    newer_high = math.inf if newer.data is None else newer.offset + len(newer.data)
    parts = [(low, min(high, newer.offset)), (max(low, newer_high), high)]
    return [
        _Change(begin, older.data[begin - low : end - low], is_doubtful=True) for begin, end in parts if begin < end
    ]


def _apply(content, change):
    if change.data is None:
        del content[change.offset :]
        content.extend(bytes(change.offset - len(content)))
        return
    end = change.offset + len(change.data)
    content.extend(bytes(max(0, end - len(content))))
    content[change.offset : end] = change.data


class Disk:
    """The folder of one outbox, as it lies on the disk and as it is in memory only."""

    def __init__(self, contents):
        self._lasting = {name: _File(bytearray(content)) for name, content in contents.items()}
        self._names = dict(self._lasting)
        self._renamed = []  # (name, file or None) since the folder was last synced

    def take(self, call):
        """Follow one noted call."""
        match call.kind, call.name:
            case ("M", _):
                return
            case ("S", ""):
                if not call.is_failed:
                    self._lasting, self._renamed = dict(self._names), []
            case ("C", name):
                self._names[name] = _File()
                self._renamed.append((name, self._names[name]))
            case ("U", name):
                del self._names[name]
                self._renamed.append((name, None))
            case (kind, name) if name in self._names:
                file = self._names[name]
                if kind == "S":
                    file.sync(is_failed=call.is_failed)
                else:
                    file.change(_Change(call.offset, call.data if kind == "W" else None))
            case (_, name):
                assert name.endswith(" (deleted)"), f"{name} was changed and never made"

    def after_cut(self, random):
        """Return one of the states in which the power may leave the folder: contents by name."""
        names = dict(self._lasting)
        lucky = random.choice([0.0, 0.5, 1.0, random.random()])  # how much of the unsynced has reached the disk
        names |= {name: file for name, file in self._renamed if random.random() < lucky}
        how = random.choice(["whole", "torn at 512", "torn at 4096", "spoilt", "spoilt"])
        return {name: _content(file, lucky, how, random) for name, file in names.items() if file is not None}


def _content(file, lucky, how, random):
    content = bytearray(file.synced)
    for change in file.changes:
        if random.random() >= lucky:
            if change.data and random.random() < 0.3:  # the size is on the disk and the data is not
                content.extend(bytes(max(0, change.offset + len(change.data) - len(content))))
        elif change.data is None or not how.startswith("torn"):
            _apply(content, change)
        else:
            for piece in _sectors(change, int(how.split()[-1])):
                if random.random() < 0.6:
                    _apply(content, piece)
    if how == "spoilt" and (writes := [change for change in file.changes if change.data]):
        change = random.choice(writes)
        at = change.offset + random.randrange(len(change.data))
        at -= at % PAGE_BYTES
        garbage = random.choice([bytes(PAGE_BYTES), b"\xff" * PAGE_BYTES, random.randbytes(PAGE_BYTES)])
        if at < len(content):
            _apply(content, _Change(at, garbage[: max(len(content), 1) - at] if random.random() < 0.5 else garbage))
    return bytes(content)


def _sectors(change, size_bytes):
    """Return the parts of a write, cut where sectors of the disk meet."""
    begin, end = change.offset, change.offset + len(change.data)
    borders = [begin, *range(begin - begin % size_bytes + size_bytes, end, size_bytes), end]
    return [_Change(low, change.data[low - begin : high - begin]) for low, high in itertools.pairwise(borders)]
