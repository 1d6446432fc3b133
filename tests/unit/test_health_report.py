"""A unit's health on the wire: short whatever happens, and nothing but what a unit says."""

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_health import made_health

from firmware import health_report, wire
from firmware.faults import DocumentRejected, FaultCode
from firmware.health_report import (
    FEW,
    MAX_HEALTH_BYTES,
    SHORT_HINT_CHARACTERS,
    ByClass,
    FaultWord,
    Health,
    KeyPlace,
    ModemReport,
    PowerState,
    Spent,
    Thrift,
)

whole = st.integers(-(2**70), 2**70)
names = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)
by_class = st.builds(ByClass, health=whole, reads=whole, alerts=whole)
words = st.builds(FaultWord, code=names, since_s=whole, count=whole, hint=st.text(max_size=400))

any_health = st.builds(
    Health,
    made_utc_ms=whole,
    clock_trusted=st.booleans(),
    uptime_s=whole,
    firmware_version=st.text(max_size=300),
    model_version=st.text(max_size=300),
    config_version=whole,
    key_place=st.sampled_from(KeyPlace),
    waiting=whole,
    waiting_bytes=whole,
    oldest_s=st.none() | whole,
    dropped=by_class,
    expired=by_class,
    frames_read=whole,
    frames_given_up=whole,
    reads_sealed=whole,
    reads_lost=whole,
    reads_last_hour=whole,
    spent=st.none() | st.builds(Spent, day_bytes=whole, month_bytes=whole, thrift=st.sampled_from(Thrift)),
    board_decidegrees=st.none() | whole,
    throttled=st.none() | whole,
    power=st.none()
    | st.builds(PowerState, battery_mv=st.none() | whole, battery_ma=st.none() | whole, panel_mw=st.none() | whole),
    modem=st.none()
    | st.builds(ModemReport, registration=st.text(), technology=st.text(), signal_dbm=st.none() | whole),
    faults=st.lists(words, max_size=70).map(tuple),
    causes=st.dictionaries(names, whole, max_size=70),
)


@given(any_health)
def test_whatever_the_values_it_is_short_and_comes_back(health):
    data = health_report.payload(health)
    assert len(data) <= MAX_HEALTH_BYTES
    assert health_report.parse(data) == health_report.fitted(health)


def test_the_largest_of_all_fits():
    huge = 10**30
    counted = """made_utc_ms uptime_s config_version waiting waiting_bytes oldest_s frames_read frames_given_up
        reads_sealed reads_lost reads_last_hour board_decidegrees throttled"""
    most = Health(
        **dict.fromkeys(counted.split(), huge),
        clock_trusted=False,
        firmware_version="v" * 999,
        model_version="m" * 999,
        key_place=KeyPlace.TOKEN,
        dropped=ByClass(health=huge, reads=huge, alerts=huge),
        expired=ByClass(health=huge, reads=huge, alerts=huge),
        spent=Spent(day_bytes=huge, month_bytes=huge, thrift=Thrift.READS_WAIT),
        power=PowerState(battery_mv=huge, battery_ma=-huge, panel_mw=huge),
        modem=ModemReport(registration="r" * 99, technology="t" * 99, signal_dbm=-huge),
        faults=tuple(FaultWord(code="f" * 32, since_s=huge, count=huge, hint="h" * 999) for _ in range(99)),
        causes={f"{number:032d}": huge for number in range(99)},
    )
    assert len(health_report.payload(most)) <= MAX_HEALTH_BYTES


def test_it_is_cut_in_the_stated_order():
    faults = tuple(
        FaultWord(code=code.value, since_s=number, count=1, hint=f"{number} " + "check " * 30)
        for number, code in enumerate(list(FaultCode)[:21])
    )
    causes = {f"cause-{number}": number for number in range(12)}
    one = health_report.fitted(made_health(faults=faults[:1], causes=causes))
    assert one.faults == faults[:1]
    assert one.causes == causes
    five = health_report.fitted(made_health(faults=faults[:5], causes=causes))
    assert {len(word.hint) for word in five.faults} == {SHORT_HINT_CHARACTERS}
    assert five.causes == causes
    many = health_report.fitted(made_health(faults=faults, causes=causes))
    assert {word.hint for word in many.faults} == {""}
    assert len(many.faults) == len(faults)
    assert [word.since_s for word in many.faults] == sorted((word.since_s for word in faults), reverse=True)
    long = {f"{number:a>32}": number for number in range(20)}
    assert sorted(health_report.fitted(made_health(faults=faults, causes=long)).causes.values()) == [
        *range(20 - FEW, 20)
    ]
    worst = tuple(FaultWord(code=f"{number:a>32}", since_s=2**40, count=2**40, hint="") for number in range(11))
    none = health_report.fitted(made_health(faults=worst, causes=long))
    assert (len(none.faults), none.causes) == (11, {})
    assert len(health_report.fitted(made_health(faults=worst * 3)).faults) == FEW


def test_no_control_character_reaches_a_terminal():
    word = FaultWord(code="camera-silent", since_s=1, count=1, hint="\x1b[2Jcheck \u202e the cable")
    (told,) = health_report.parse(health_report.payload(made_health(faults=(word,)))).faults
    assert told.hint == "?[2Jcheck ? the cable"


GOOD = cbor2.loads(health_report.payload(made_health()))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, -(2**48)),
        (0, 1.5),
        (1, 1),
        (3, "two\nlines"),
        (3, "x" * 201),
        (3, b"1"),
        (6, "pocket"),
        (7, None),
        (7, True),
        (10, [0, 0]),
        (10, [0, 0, 0, 0]),
        (17, [1, 2, 9]),
        (17, [1, 2, True]),
        (22, [["Camera", 0, 0, ""]]),
        (22, [["camera", 0, 0, "\u202e"]]),
        (22, [["a", 0, 0, ""]] * 65),
        (23, {"A": 1}),
        (23, {1: 1}),
        (23, [1]),
    ],
)
def test_what_no_unit_says_is_rejected(place, value):
    health_report.parse(wire.encode(GOOD))
    with pytest.raises(DocumentRejected, match="payload"):
        health_report.parse(wire.encode([*GOOD[:place], value, *GOOD[place + 1 :]]))


@pytest.mark.parametrize("other", [[], {}, None, GOOD[:-1], [*GOOD, 0], {str(n): one for n, one in enumerate(GOOD)}])
def test_nor_another_number_of_fields(other):
    with pytest.raises(DocumentRejected, match="payload"):
        health_report.parse(wire.encode(other))


def test_a_second_spelling_and_one_too_long_are_rejected():
    with pytest.raises(DocumentRejected, match="canonical"):
        health_report.parse(cbor2.dumps([*GOOD[:23], {"bb": 1, "a": 1}]))
    long = made_health(causes={f"{number:032d}": 1 for number in range(40)})
    with pytest.raises(DocumentRejected, match="too long"):
        health_report.parse(wire.encode(msgspec.to_builtins(long)))
