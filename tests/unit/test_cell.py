"""What a cell does to packets, and the packets themselves."""

import dataclasses
import math
from random import Random  # noqa: TID251  seeded

import pytest

from hw_sim.cell import QUEUE_BYTES, Conditions, Coverage, OneWay, Spell, conditions_at
from hw_sim.ip_packets import Flag, Segment

LTE = Conditions(delay_s=0.2, rate_bit_s=1e6)


def test_before_the_first_spell_there_is_no_cell_and_then_the_last_that_began_counts():
    spells = [Spell(from_s=10.0, conditions=LTE), Spell(from_s=20.0, conditions=Conditions())]
    assert conditions_at(spells, 9.9).coverage is Coverage.NONE
    assert conditions_at(spells, 10.0) == LTE
    assert conditions_at(spells, 1e6) == Conditions()


def test_a_packet_takes_its_time_on_the_line_and_the_delay():
    way = OneWay(Random(1))
    assert way.admit(1250, 5.0, LTE) == pytest.approx(5.0 + 0.01 + 0.2)
    assert way.admit(1250, 5.0, LTE) == pytest.approx(5.0 + 0.02 + 0.2)  # behind the other
    assert way.bytes == 2500


def test_jitter_never_changes_the_order():
    way, shaky = OneWay(Random(1)), dataclasses.replace(LTE, jitter_s=1.0)
    out_s = [way.admit(100, place / 100, shaky) for place in range(500)]
    assert out_s == sorted(out_s)
    assert any(one - place / 100 > 1.0 for place, one in enumerate(out_s))


def test_a_full_queue_takes_nothing_and_drains_at_the_lines_rate():
    way = OneWay(Random(1))
    taken = [way.admit(1000, 0.0, LTE) is not None for _ in range(1000)]
    assert QUEUE_BYTES // 1000 <= sum(taken) <= QUEUE_BYTES // 1000 + 2
    assert way.bytes == 1000 * sum(taken)
    assert way.admit(1000, 1.1, LTE) is not None


def test_as_many_are_lost_as_is_said_and_lost_ones_count_as_sent():
    way, lossy = OneWay(Random(7)), dataclasses.replace(LTE, loss_ratio=0.02)
    lost = sum(way.admit(100, float(place), lossy) is None for place in range(10_000))
    assert 150 <= lost <= 250
    assert way.bytes == 1_000_000


def test_a_lost_bearer_forgets_what_waited():
    way = OneWay(Random(1))
    for _ in range(100):
        way.admit(1000, 0.0, LTE)
    way.flush()
    assert way.admit(1000, 0.1, LTE) == pytest.approx(0.1 + 0.008 + 0.2)


def made_segment(**fields):
    whole = {
        "source": b"\x0a\x4e\x00\x01",
        "destination": b"\x0a\x4e\x00\x02",
        "source_port": 40_000,
        "destination_port": 8883,
        "sequence": 2**32 - 2,
        "acknowledged": 7,
        "flags": Flag.SYN,
        "length": 1,
    }
    return Segment(**(whole | fields))


def ones_complement_sum(data):
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_a_packet_comes_back_as_it_was_with_checksums_that_add_up():
    segment = made_segment()
    packet = segment.to_packet()
    assert Segment.parse(packet) == segment
    assert ones_complement_sum(packet[:20]) == 0xFFFF
    assert ones_complement_sum(packet[12:20] + b"\x00\x06\x00\x14" + packet[20:]) == 0xFFFF


def test_an_answer_acknowledges_all_and_goes_back_where_it_came_from():
    answer = made_segment(length=5).answer(Flag.RST | Flag.ACK, sequence=99)
    assert (answer.source_port, answer.destination_port) == (8883, 40_000)
    assert (answer.sequence, answer.acknowledged) == (99, 3)  # numbers begin again after 2**32


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x45" * 19,
        bytes(40),
        b"\x60" + bytes(59),
        b"\x45" + bytes(8) + b"\x11" + bytes(30),
        b"\x4f" + bytes(8) + b"\x06" + bytes(40),
    ],
    ids=["nothing", "too short", "no version", "IPv6", "UDP", "header longer than the packet"],
)
def test_what_is_no_tcp_over_ipv4_is_no_segment(packet):
    assert Segment.parse(packet) is None


def test_an_unlimited_line_is_finite_so_that_it_can_be_told_in_json():
    assert math.isfinite(Conditions().rate_bit_s)
