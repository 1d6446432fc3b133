"""A receiver's store that is brought back from yesterday's copy, as README tells the operator to do it."""

import contextlib
import sqlite3

from cloud.store import ReadStore


def test_what_units_still_have_comes_again_and_old_receipts_are_gone_with_the_broker_s_memory(
    broker, make_unit, start_receiver, stored, tmp_path
):
    path, unit = tmp_path / "reads.db", make_unit()
    receiver = start_receiver()
    unit.put(3)
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    receiver.stop()
    with (
        contextlib.closing(sqlite3.connect(path)) as original,
        contextlib.closing(sqlite3.connect(tmp_path / "copy.db")) as copy,
    ):
        original.backup(copy)

    unit.put(4)
    assert unit.run_until(lambda: unit.acknowledged() == 4)
    assert unit.cut_connection()  # it is away when its receipts are sent
    start_receiver(count=4).join()
    assert (stored(), unit.outbox.count()) == (7, 4)

    broker.stop()
    path.replace(tmp_path / "damaged.db")
    for rest in (f"{path}-wal", f"{path}-shm"):
        (tmp_path / rest).unlink(missing_ok=True)
    (tmp_path / "copy.db").replace(path)
    (tmp_path / "broker-state" / "mosquitto.db").unlink()
    broker.start()
    start_receiver()
    unit.skipped_s += 70.0  # less than the patience for receipts
    assert unit.run_until(lambda: unit.outbox.count() == 0)
    assert stored() == 7
    with ReadStore(path) as store:
        assert len(store.newest_ranges(unit.config.device_id, 9)) == 1
