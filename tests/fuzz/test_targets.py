"""Every decoder of bytes from outside against bytes that hypothesis makes of good ones; `make fuzz` looks longer."""

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.faults import DocumentRejected
from tests.fuzz.documents import work_folder
from tests.fuzz.judging import Misbehaved, Target, judge
from tests.fuzz.table import TARGETS

EVERY_TARGET = pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
SEEDS = {name: target.seeds() for name, target in TARGETS.items()}
EXAMPLES = 60


@pytest.fixture(scope="module", autouse=True)
def _work_folder_goes_away():
    yield
    shutil.rmtree(work_folder(), ignore_errors=True)
    work_folder.cache_clear()


EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.binary(max_size=12) | st.none()), max_size=4)
"""Where (a share of the length), how many bytes go, and what comes instead; None: what was there, twice."""


def spoilt(seed, edits, kept_ratio):
    """Return good bytes with a few places changed, a piece cut out, doubled or put in, and maybe the end missing."""
    data = bytearray(seed)
    for place_ratio, length, piece in edits:
        at = round(place_ratio * len(data))
        data[at : at + length] = 2 * data[at : at + length] if piece is None else piece
    return bytes(data[: round(kept_ratio * len(data))])


@EVERY_TARGET
def test_nothing_but_the_documented_refusal_comes_out(target):
    seeds = SEEDS[target.name]

    @settings(max_examples=EXAMPLES)
    @given(st.integers(0, len(seeds) - 1), EDITS, st.just(1.0) | st.floats(0, 1))
    def attack(number, edits, kept_ratio):
        judge(target, spoilt(seeds[number], edits, kept_ratio))

    attack()


@EVERY_TARGET
def test_nor_out_of_any_bytes(target):
    @settings(max_examples=EXAMPLES)
    @given(st.binary(max_size=256))
    def attack(data):
        judge(target, data)

    attack()


@EVERY_TARGET
def test_a_seed_goes_all_the_way(target):
    """A fuzzer whose seeds are refused at the door tests the door only."""
    if target.name == "mqtt-receiver":
        with pytest.raises(target.documented, match="is gone"):  # all was taken, and then the stream ended
            target.feed(SEEDS[target.name][0])
    else:
        assert judge(target, SEEDS[target.name][0])
    for other in SEEDS[target.name][1:]:
        judge(target, other)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x04"),  # version 5, which is none
        (b"\x0c\x0ak-test0001", b"\x0c\x0a\xff-test0001"),  # a name that is no UTF-8
        (b"\x06\x03\x2b\x65\x70\x03\x21", b"\x06\x03\x2b\x65\x10\x03\x21"),  # a key of a kind that nobody knows
    ],
    ids=["version", "name", "key"],
)
def test_a_certificate_is_refused_for_each_of_its_parts(good, bad):
    (certificate, *_) = SEEDS["certificate"]
    assert good in certificate
    assert not judge(TARGETS["certificate"], certificate.replace(good, bad))


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("config", lambda document: document.update(version=10**20)),  # above a bound that msgspec tells
        ("certificate-request", lambda document: document.pop("signing_requests")),  # provisioning's own key
    ],
    ids=["bound", "key"],
)
def test_a_refusal_may_tell_bounds_and_keys_of_ours(name, spoil):
    document = json.loads(SEEDS[name][0])
    spoil(document)
    assert not judge(TARGETS[name], json.dumps(document).encode())


@pytest.mark.parametrize(
    ("feed", "what"),
    [
        (lambda data: sum(range(300_000_000)), "of CPU"),
        (lambda data: len(b"x" * 400_000_000), "of memory"),
        (lambda data: refuse("plate XYZ1234 is not known"), "XYZ1234"),
        (lambda data: refuse("number 1234567 is not known"), "1234567"),
        (lambda data: refuse("two\nlines"), "line of text"),
    ],
)
def test_a_decoder_that_misbehaves_is_found(feed, what):
    with pytest.raises(Misbehaved, match=what):
        judge(Target("bad", feed, (DocumentRejected,), list), b"")


def test_what_is_not_documented_comes_through():
    with pytest.raises(KeyError):
        judge(Target("bad", lambda data: {}[data], (DocumentRejected,), list), b"")


def refuse(message):
    raise DocumentRejected(message)
