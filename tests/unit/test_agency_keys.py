"""The agencies' keys in a unit's configuration: what is refused, and which of them a read is sealed to when."""

import base64
import datetime as dt
import json

import pytest
from made_reads import START_UTC_MS, agency_key

from cloud.opening_keys import OpeningKey
from firmware import agency_keys, config
from firmware.agency_keys import SuiteNumber, recipients_at
from firmware.config import AgencyKeyConfig, SealConfig, SuiteName
from firmware.faults import ConfigRejected

X25519, X_WING = (OpeningKey.generate(suite) for suite in SuiteNumber)
RECEIPT_KEY = "A" * 43 + "="


def entry(key=X25519, **changes):
    names = {number: name for name, number in agency_keys.SUITES.items()}
    return {"key": base64.b64encode(key.public_bytes).decode(), "suite": names[key.suite]} | changes


def decoded(settings, *entries):
    seal = {"agency_keys": entries, "receipt_key": RECEIPT_KEY, "retirement_key": RECEIPT_KEY}
    changed = json.loads(config.encode(settings)) | {"seal": seal}
    return config.decode(json.dumps(changed).encode(), "config.json")


def test_keys_of_both_suites_and_their_limits_are_read_and_written(device_config):
    limits = {"valid_from_utc": "2027-01-15T08:00:00Z", "valid_until_utc": "2028-01-15T10:00:00+02:00"}
    settings = decoded(device_config, entry(), entry(X_WING, **limits))
    assert config.decode(config.encode(settings), "again") == settings
    plain, hybrid = agency_keys.load(settings.seal)
    assert (plain.suite, plain.key_id, plain.valid_until_utc_ms) == (SuiteNumber.X25519, X25519.key_id, None)
    assert (hybrid.suite, hybrid.key_id, hybrid.valid_from_utc_ms) == (SuiteNumber.X_WING, X_WING.key_id, START_UTC_MS)
    assert hybrid.valid_until_utc_ms == START_UTC_MS + 365 * 86_400_000


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ([], "agency_keys"),
        ([entry(OpeningKey.generate(SuiteNumber.X25519)) for _ in range(5)], "agency_keys"),
        ([entry(), entry()], "must be different keys"),
        ([entry(suite="x-wing")], "the 1216 bytes of an x-wing key"),
        ([entry(X_WING, suite="x25519")], "the 32 bytes of an x25519 key"),
        ([entry(suite="rsa")], "suite"),
        ([entry(valid_from_utc="2027-01-15T08:00:00")], "timezone"),
        ([entry(valid_from_utc="2028-01-01T00:00:00Z", valid_until_utc="2027-01-01T00:00:00Z")], "must be later"),
        ([entry(valid_until_utc="2028-01-01T00:00:00Z")], r"the time from 2028-01-01T00:00:00\+00:00 on"),
        ([entry(valid_from_utc="2028-01-01T00:00:00Z")], "the time before the first key begins"),
        (
            [entry(valid_until_utc="2028-01-01T00:00:00Z"), entry(X_WING, valid_from_utc="2028-01-02T00:00:00Z")],
            r"the time from 2028-01-01T00:00:00\+00:00 on",
        ),
        ([entry(note="x")], "note"),
    ],
)
def test_a_list_of_keys_that_would_lose_or_leak_reads_is_refused_by_name(device_config, entries, named):
    with pytest.raises(ConfigRejected, match=named) as refused:
        decoded(device_config, *entries)
    assert X25519.public_bytes.hex() not in str(refused.value)


def test_limits_that_touch_or_overlap_leave_no_gap(device_config):
    for begin in ("2028-01-01T00:00:00Z", "2027-06-01T00:00:00Z"):
        decoded(device_config, entry(X_WING, valid_from_utc=begin), entry(valid_until_utc="2028-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    ("suite", "raw"),
    [
        (SuiteName.X25519, bytes(32)),  # a point of low order: RFC 7748, section 6.1
        (SuiteName.X25519, b"\x01" + bytes(31)),
        (SuiteName.X_WING, bytes(1184) + bytes(32)),
        (SuiteName.X_WING, b"\xff" * 1216),  # no polynomial of ML-KEM has such coefficients: FIPS 203, section 7.2
    ],
)
def test_a_key_to_which_nothing_can_be_sealed_stops_the_start_and_not_the_first_read(suite, raw):
    seal = SealConfig(
        agency_keys=(AgencyKeyConfig(key=base64.b64encode(raw).decode(), suite=suite),),
        receipt_key=RECEIPT_KEY,
        retirement_key=RECEIPT_KEY,
    )
    with pytest.raises(ConfigRejected, match=r"nothing can be sealed to it; copy it again"):
        agency_keys.load(seal)


def test_a_read_is_sealed_to_the_keys_of_its_moment_in_order_of_their_ids():
    keys = tuple(
        agency_key(key, valid_from_utc_ms=begin, valid_until_utc_ms=end)
        for key, begin, end in ((X25519, None, 2000), (X_WING, 1000, None))
    )
    both = sorted(key.key_id for key in keys)
    for at_utc_ms, expected in ((0, [X25519.key_id]), (1000, both), (1999, both), (2000, [X_WING.key_id])):
        assert [key.key_id for key in recipients_at(keys, at_utc_ms, clock_trusted=True)] == expected


def test_a_unit_that_does_not_know_the_time_seals_to_all():
    keys = (agency_key(X25519, valid_until_utc_ms=2000), agency_key(X_WING, valid_from_utc_ms=1000))
    assert len(recipients_at(keys, 0, clock_trusted=False)) == 2


def test_moments_are_milliseconds_of_utc():
    seal = SealConfig(
        agency_keys=(
            AgencyKeyConfig(
                key=base64.b64encode(X25519.public_bytes).decode(),
                valid_until_utc=dt.datetime(2027, 1, 15, 8, tzinfo=dt.UTC),
            ),
            AgencyKeyConfig(key=base64.b64encode(X_WING.public_bytes).decode(), suite=SuiteName.X_WING),
        ),
        receipt_key=RECEIPT_KEY,
        retirement_key=RECEIPT_KEY,
    )
    assert agency_keys.load(seal)[0].valid_until_utc_ms == START_UTC_MS
