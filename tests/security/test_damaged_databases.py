"""An outbox or a store whose file a worn card or a stranger has changed: a fault with a hint, which quotes nothing."""

import contextlib
import hashlib
import sqlite3
import traceback

import pytest

from cloud.store import ReadStore, StoreRefused
from firmware.faults import DeviceFault, FaultCode
from tests.fuzz.judging import judge
from tests.fuzz.table import TARGETS

CHANGES = {
    "no numbering": "DELETE FROM numbering;"
    " CREATE TRIGGER t BEFORE INSERT ON numbering BEGIN SELECT RAISE(IGNORE); END",
    "the last number there is": "UPDATE numbering SET reserved_below = 9223372036854775807",
    "a number below zero": "UPDATE numbering SET reserved_below = -5",
    "another table of that name": "DROP TABLE numbering; CREATE TABLE numbering (x)",
    "texts for numbers": "DROP TABLE numbering; CREATE TABLE numbering (only_row, given, reserved_below);"
    "INSERT INTO numbering VALUES (0, 'a', 'b')",
    "no column for what is sealed": "DROP TABLE messages;"
    " CREATE TABLE messages (sequence INTEGER PRIMARY KEY, class, other)",
    "a view instead of messages": "DROP TABLE messages; CREATE VIEW messages AS SELECT 1 AS sequence",
    "a schema that SQLite quotes and Python cannot decode": "PRAGMA writable_schema = ON;"
    "UPDATE sqlite_master SET sql = 'CREATE ' || CAST(x'c9ff' AS TEXT) || ' x'"
    " WHERE name = 'messages'",
    "a trigger that refuses": "CREATE TRIGGER t BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'no'); END",
}


def outbox_after(change, tmp_path):
    path = tmp_path / "outbox.db"
    path.write_bytes(TARGETS["outbox"].seeds()[0])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(change)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_table_is_a_fault_of_the_storage(tmp_path, what):
    with pytest.raises(DeviceFault) as fault:
        TARGETS["outbox"].feed(outbox_after(CHANGES[what], tmp_path))
    assert fault.value.code is FaultCode.STORAGE_REFUSED


@pytest.mark.parametrize("name", ["outbox", "store"])
def test_flipped_bits_are_a_fault_or_do_no_harm(name, rounds):
    seed = TARGETS[name].seeds()[0]
    refused = 0
    for number in range(rounds):
        data = bytearray(seed)
        dice = hashlib.sha512(f"{name} {number}".encode()).digest()  # the same flips each time
        for start in range(0, 8 * (1 + dice[-1] % 7), 8):
            place, bit = int.from_bytes(dice[start : start + 4], "big") % len(data), dice[start + 4] % 8
            data[place] ^= 1 << bit
        refused += not judge(TARGETS[name], bytes(data))
    assert refused


def test_a_store_with_an_unreadable_plate_does_not_quote_it(tmp_path):
    path = tmp_path / "reads.db"
    path.write_bytes(TARGETS["store"].seeds()[0])
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE reads SET plate = CAST(x'544553543132ff33' AS TEXT)")
    with ReadStore(path) as store, pytest.raises(StoreRefused, match="it is damaged") as refused:
        store.reads(1)
    assert "TEST12" not in "".join(traceback.format_exception(refused.value))
