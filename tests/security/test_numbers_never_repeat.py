"""No (unit, sequence) and no read id comes twice: over kills, reboots, copied, restored and emptied cards, and 1970."""

import itertools
import os
import subprocess
import sys

import pytest
from made_reads import KernelRandom, SetClock

from firmware.numbering import SEQUENCE_BLOCK, SEQUENCE_LEAP_BITS
from firmware.outbox import Outbox
from firmware.sealing import uuid7
from firmware.wire import MAX_SEQUENCE

ROUNDS = 150


@pytest.fixture
def open_outbox(tmp_path):
    opened = []

    def open_one(path=tmp_path / "outbox.db"):
        opened.append(Outbox(path, capacity_bytes=10**6, retention_s=1e6, clock=SetClock(), system=KernelRandom()))
        return opened[-1]

    yield open_one
    for outbox in opened:
        outbox._connection.close()  # as a crash does


def test_numbers_go_up_within_a_start_and_leap_at_the_next_one(open_outbox):
    first = open_outbox()
    numbers = [first.reserve_sequence() for _ in range(SEQUENCE_BLOCK + 5)]
    assert numbers == list(range(numbers[0], numbers[0] + SEQUENCE_BLOCK + 5))
    first.close()
    second = open_outbox()
    assert 0 < second.reserve_sequence() - numbers[0] - 2 * SEQUENCE_BLOCK <= 2**SEQUENCE_LEAP_BITS
    assert second.reserved() == SEQUENCE_BLOCK + 6
    third = open_outbox()  # the second crashed: a block counts as given
    assert third.reserved() == 2 * SEQUENCE_BLOCK + 5
    assert third.reserve_sequence() > numbers[-1] + SEQUENCE_BLOCK


def test_a_start_that_reads_nothing_costs_no_numbers(open_outbox):
    before = open_outbox()._number("SELECT reserved_below FROM numbering")
    assert open_outbox()._number("SELECT reserved_below FROM numbering") == before


def test_two_that_write_one_outbox_at_once_share_no_number(open_outbox):
    one, other = open_outbox(), open_outbox()
    numbers = [box.reserve_sequence() for _ in range(3 * SEQUENCE_BLOCK) for box in (one, other)]
    assert len(set(numbers)) == len(numbers)


def test_past_the_greatest_number_they_begin_again_from_below(open_outbox):
    outbox = open_outbox()
    with outbox._connection:
        outbox._connection.execute("UPDATE numbering SET reserved_below = ?", (MAX_SEQUENCE,))
    numbers = [outbox.reserve_sequence() for _ in range(2 * SEQUENCE_BLOCK)]
    assert 0 <= min(numbers) < max(numbers) < 2 ** (SEQUENCE_LEAP_BITS + 1)


def test_a_new_card_does_not_begin_with_numbers_that_were_used(open_outbox, tmp_path):
    firsts = {open_outbox(tmp_path / f"{number}.db").reserve_sequence() for number in range(5)}
    assert len(firsts) == 5
    assert all(first < 2**62 for first in firsts)


# A program that imports once and forks is a new process each time: it inherits code, and opens the outbox itself. Cards
# are folders: each round one of them is used until the kill; between rounds cards are copied, set back to the copy that
# another one is, or emptied.
USE_AND_KILL = """
import os, random, select, shutil, signal, sys
from pathlib import Path
from made_reads import KernelRandom, SetClock
from firmware.outbox import Outbox
from firmware.sealing import uuid7

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
chance = random.Random(11)

def use(card, pipe):
    outbox = Outbox(card / "outbox.db", capacity_bytes=10**6, retention_s=1e6,
                    clock=SetClock(0, trusted=False), system=KernelRandom())
    while True:
        record = outbox.reserve_sequence().to_bytes(8, "big") + uuid7(0, os.urandom(10)).bytes
        os.write(pipe, record)

cards = [folder / "card-0"]
cards[0].mkdir()
for number in range(rounds):
    card = chance.choice(cards)
    come, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(come)
        use(card, go)
    os.close(go)
    select.select([], [], [], chance.uniform(0.0, 0.12))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(come, "rb") as pipe:
        said = pipe.read()
    for start in range(0, len(said) - 23, 24):
        print(said[start:start + 8].hex(), said[start + 8:start + 24].hex())
    fate = chance.random()
    if fate < 0.3 and len(cards) < 12:
        cards.append(folder / f"card-{len(cards)}")
        shutil.copytree(card, cards[-1])
    elif fate < 0.45 and len(cards) > 1:
        shutil.rmtree(card)
        shutil.copytree(chance.choice([other for other in cards if other != card]), card)
    elif fate < 0.5:
        for path in card.iterdir():
            path.unlink()
print("cards", len(cards))
"""


def test_killed_copied_set_back_and_emptied_cards_repeat_no_number_and_no_read_id(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", USE_AND_KILL, str(tmp_path), str(ROUNDS)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    *records, cards = [line.split() for line in done.stdout.splitlines()]
    assert int(cards[1]) == 12
    assert len(records) > 20 * ROUNDS
    for column in zip(*records, strict=True):
        assert len(set(column)) == len(column)


def test_a_million_read_ids_of_the_same_millisecond_of_1970_differ():
    assert len({uuid7(0, os.urandom(10)).int for _ in range(10**6)}) == 10**6


def test_a_hundred_copies_of_one_card_go_apart(open_outbox, tmp_path):
    source = tmp_path / "outbox.db"
    first = open_outbox(source)
    first.reserve_sequence()
    first.close()  # it takes the log into the file, which is then the whole card
    numbers = []
    for copy in range(100):
        path = tmp_path / f"copy-{copy}.db"
        path.write_bytes(source.read_bytes())
        box = open_outbox(path)
        numbers += [box.reserve_sequence() for _ in range(3 * SEQUENCE_BLOCK)]
        box._connection.close()
    assert len(set(numbers)) == len(numbers)
    begins = sorted(numbers[:: 3 * SEQUENCE_BLOCK])
    assert min(later - earlier for earlier, later in itertools.pairwise(begins)) > 10**4
