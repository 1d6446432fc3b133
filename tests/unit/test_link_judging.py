"""Who judges a link: what the store says of the truth, and what passes a watched link."""

import dataclasses
import sqlite3
import threading

from made_reads import START_UTC_MS, made_read

from cloud.store import ReadStore
from firmware.records import Acked, Connected, Lost, MessageClass, Refused
from hw_sim.link_reads import ReadSource, Sealed, Verdict
from hw_sim.watched_link import WatchedLink

ALERT, READ = MessageClass.ALERT, MessageClass.READ


def verdict_of(tmp_path, sealed, arrived):
    """`sealed` and `arrived` are (plate, sequence, class), the latter in the order of their arrival."""
    source = ReadSource("k-test0001", sealer=None, outbox=None, clock=None, seed=1)
    for plate, sequence, message_class in sealed:
        source.sealed[plate] = Sealed(sequence=sequence, message_class=message_class, captured_s=0.0)
    with ReadStore(tmp_path / "reads.db") as store:
        for plate, sequence, _ in arrived:
            store.put(made_read(sequence, plate=plate), START_UTC_MS, plate.encode())
    return source.verdict(tmp_path / "reads.db")


READS = [("K1", 1, READ), ("K2", 2, READ), ("K3", 3, ALERT), ("K4", 4, READ)]


def test_all_in_order_is_well_and_alerts_may_overtake_reads_and_each_other(tmp_path):
    sealed = [*READS, ("K5", 5, ALERT)]
    arrived = [sealed[4], READS[2], READS[0], READS[1], READS[3]]
    assert verdict_of(tmp_path, sealed, arrived) == Verdict(lost=0, duplicates=0, out_of_order=0)


def test_what_is_missing_is_lost(tmp_path):
    assert verdict_of(tmp_path, READS, READS[:2]).lost == 2


def test_what_came_late_is_out_of_order(tmp_path):
    arrived = [READS[1], READS[0], READS[2], READS[3]]
    assert verdict_of(tmp_path, READS, arrived) == Verdict(lost=0, duplicates=0, out_of_order=1)


def test_a_read_that_is_stored_twice_is_doubled_under_whatever_number(tmp_path):
    again = ("K2", 77, READ)
    assert verdict_of(tmp_path, READS, [*READS, again]) == Verdict(lost=0, duplicates=1, out_of_order=0)


def test_it_judges_the_file_and_writes_nothing(tmp_path):
    verdict_of(tmp_path, READS, READS)
    with sqlite3.connect(tmp_path / "reads.db") as store:
        assert store.execute("SELECT COUNT(*) FROM reads").fetchone() == (4,)
    store.close()


@dataclasses.dataclass
class ScriptedLink:
    """A link that says what it is told to say."""

    coming: list = dataclasses.field(default_factory=list)

    def listen(self, wake):
        self.wake = wake

    def connect(self):
        self.coming.append(Connected(session_present=False, receive_maximum=2, maximum_packet_bytes=1000))

    def publish(self, topic, payload, token, expiry_s):
        return token != 13

    def events(self):
        told, self.coming = self.coming, []
        return told

    def disconnect(self):
        self.coming.clear()


def test_a_watched_link_counts_what_is_on_its_way_and_beyond_the_limit():
    now_s = [100.0]
    behind = ScriptedLink()
    link = WatchedLink(behind, lambda: now_s[0])
    link.listen(threading.Event())
    assert link.is_offline
    link.connect()
    assert not link.is_offline
    assert isinstance(link.events()[0], Connected)
    assert [link.publish("t", b"", token, 60) for token in (1, 2, 3, 13, -1)] == [True, True, True, False, True]
    assert (link.max_in_flight, link.over_limit, link.publishes) == (3, 1, 3)
    now_s[0] = 101.5
    behind.coming += [Acked(1), Refused(2, "quota"), Acked(1)]
    link.events()
    assert link.acked_s == {1: 101.5}
    assert link.in_flight == {3}
    behind.coming.append(Lost("gone"))
    link.events()
    assert link.in_flight == set()
    assert link.is_offline
    assert (link.attempts, link.sessions, link.sessions_lost) == (1, 1, 1)
