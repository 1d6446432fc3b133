"""What `check` makes of what it measured: pure judging, without a board."""

import dataclasses
import math

import numpy as np
import pytest

from firmware.board.linux import LinuxClock
from firmware.exposure import Phase
from firmware.link_causes import LinkCause
from firmware.modem_records import (
    AccessTechnology,
    CardState,
    ModemFlaw,
    ModemOrder,
    ModemState,
    ModemStatus,
    ModemTrouble,
    Registration,
)
from firmware.records import Light, PowerSample
from provisioning.check_camera import Exposed, camera_of, exposure_of, focus_of
from provisioning.check_disk import ALL, durable_write_ms, root_of, wear_of
from provisioning.check_eyes import FirstLook, Glance, linear
from provisioning.check_lamp import lamp_of
from provisioning.check_lines import Watched, line_of
from provisioning.check_link import not_taken, trip_of
from provisioning.check_modem import modem_of
from provisioning.check_power import battery_of, meter_of, panel_of
from provisioning.check_time import time_of
from provisioning.check_words import WORDS, Finding
from provisioning.part_reports import PartName, PartReport, PartState, document, worst
from provisioning.round_trip import RoundTrip

GENERATOR = np.random.default_rng(1)
NOW_MS = 1_800_000_000_000


def is_said(report, finding):
    """Say whether a report is of this finding: its cause and state are its own, or else how it begins."""
    words = WORDS[finding]
    beginning = words.found.split("{")[0]
    return (report.state, report.cause) == (words.state, words.cause) and report.found.startswith(beginning)


def first_look(count=30, *, gap_s=1 / 30, level=90.0, noise=2.0, phase=Phase.DAY, missing=()):
    glances = []
    for number in range(count):
        small = np.clip(GENERATOR.normal(level, noise, (64, 96)), 0, 255).astype(np.uint8)
        if number not in missing:
            glances.append(Glance(number, number * gap_s, Light(exposure_us=200.0, gain=1.0), small))
    return FirstLook(glances=tuple(glances), picture=None, phase=str(phase))


@pytest.mark.parametrize(
    ("look", "finding"),
    [
        (first_look(), Finding.CAMERA_GOOD),
        (first_look(2), Finding.CAMERA_SILENT),
        (first_look(gap_s=1 / 25), Finding.CAMERA_SLOW),
        (first_look(60, missing={10, 20}), Finding.CAMERA_LOSES),
        (first_look(60, missing=set(range(5, 50, 4))), Finding.CAMERA_LOSES_MANY),
        (first_look(noise=0.0), Finding.CAMERA_FROZEN),
        (first_look(level=0.0, noise=0.0), Finding.CAMERA_BLACK),
        (first_look(level=0.0, noise=0.0, phase=Phase.NIGHT), Finding.CAMERA_GOOD),  # night is black, and no fault
    ],
)
def test_the_camera_is_judged_by_what_came(look, finding):
    assert is_said(camera_of(look), finding)


def test_a_picture_without_edges_says_nothing_of_focus():
    assert is_said(focus_of(None), Finding.FOCUS_UNSEEN)
    plain = np.full((200, 300, 3), 90, np.uint8)
    assert is_said(focus_of(plain), Finding.FOCUS_UNSEEN)


@pytest.mark.parametrize(("sigma", "finding"), [(0.0, Finding.FOCUS_GOOD), (4.0, Finding.FOCUS_SOFT)])
def test_focus_is_the_blur_of_edges(sigma, finding):
    import cv2  # noqa: PLC0415

    board = (np.indices((400, 600)).sum(axis=0) // 40 % 2 * 120 + 60).astype(np.uint8)
    picture = cv2.cvtColor(board, cv2.COLOR_GRAY2BGR)
    if sigma:
        picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    assert is_said(focus_of(picture), finding)


def exposed(asked_us, reported_us, level):
    small = np.full((64, 96), level, np.uint8)
    light = Light(exposure_us=reported_us, gain=2.0)
    return Exposed(Light(exposure_us=asked_us, gain=2.0), tuple(Glance(n, float(n), light, small) for n in range(3)))


def level_of(light):
    return int(np.argmin(np.abs(linear(np.arange(256, dtype=np.uint8)) - light)))


@pytest.mark.parametrize(
    ("short", "long", "finding"),
    [
        (exposed(100.0, 100.0, level_of(0.1)), exposed(400.0, 400.0, level_of(0.4)), Finding.EXPOSURE_GOOD),
        (exposed(100.0, 100.0, level_of(0.1)), exposed(400.0, 400.0, level_of(0.1)), Finding.EXPOSURE_NOT_SEEN),
        (exposed(100.0, 100.0, level_of(0.1)), exposed(400.0, 400.0, level_of(0.04)), Finding.EXPOSURE_NOT_SEEN),
        (exposed(100.0, 100.0, level_of(0.1)), exposed(400.0, 100.0, level_of(0.1)), Finding.EXPOSURE_NOT_TAKEN),
        (exposed(100.0, 100.0, 1), exposed(400.0, 400.0, 4), Finding.EXPOSURE_DARK),
    ],
)
def test_an_exposure_is_believed_only_if_sensor_and_picture_say_so(short, long, finding):
    assert is_said(exposure_of(short, long), finding)


@pytest.mark.parametrize(
    ("lit", "phase", "finding"),
    [
        ([22.0, 21.9, 22.1, 22.0, 40.0, 22.0], Phase.NIGHT, Finding.LAMP_GOOD),  # headlamps spoil one turn
        ([10.0, 10.1, 9.9, 10.0, 10.1, 9.9], Phase.NIGHT, Finding.LAMP_DARK),
        ([10.0, 10.1, 9.9, 10.0, 10.1, 9.9], Phase.DAY, Finding.LAMP_DROWNS),
        ([10.2, 10.2, 10.2, 10.2, 10.2, 10.2], Phase.DAY, Finding.LAMP_DROWNS),  # steady, but too little to be a lamp
    ],
)
def test_a_lamp_is_lit_if_lit_turns_are_brighter_than_dark_ones(lit, phase, finding):
    assert is_said(lamp_of(lit, [10.0] * len(lit), str(phase)), finding)


@pytest.mark.parametrize(
    ("part", "seen", "wave_s", "finding"),
    [
        (PartName.PIR, Watched(seconds=3.0, edges=1, was_at_rest=True), 0.0, Finding.LINE_GOOD),
        (PartName.BEAM, Watched(seconds=3.0, was_at_rest=True), 0.0, Finding.LINE_QUIET),
        (PartName.BEAM, Watched(seconds=10.0, was_at_rest=True), 10.0, Finding.LINE_DEAD),
        (PartName.PIR, Watched(seconds=8.0, edges=1), 0.0, Finding.PIR_STUCK),
        (PartName.BEAM, Watched(seconds=8.0), 10.0, Finding.BEAM_STUCK),
        (PartName.RADAR, Watched(seconds=8.0), 0.0, Finding.RADAR_STUCK),
        (PartName.RADAR, Watched(seconds=3.0, edges=400, was_at_rest=True), 0.0, Finding.LINE_CHATTERS),
        (PartName.PIR, Watched(seconds=0.0, fault="the line is held; look"), 0.0, Finding.LINE_NOT_THERE),
    ],
)
def test_a_line_is_judged_by_rest_and_edges(part, seen, wave_s, finding):
    report = line_of(part, seen, wave_s)
    assert report.part is part
    assert is_said(report, finding)


def sample(**changes):
    usual = {"at_s": 1.0, "battery_v": 13.3, "battery_a": 1.0, "panel_v": 18.0, "panel_w": 20.0, "board_c": 25.0}
    return PowerSample(**(usual | changes))


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({}, Finding.BATTERY_GOOD),
        ({"battery_a": None}, Finding.BATTERY_VOLTS_ONLY),
        ({"battery_v": None}, Finding.BATTERY_ABSENT),
        ({"battery_v": 15.2}, Finding.BATTERY_HIGH),
        ({"battery_v": 24.9}, Finding.BATTERY_HIGH),
        ({"battery_v": 12.7, "battery_a": -0.3, "panel_w": 0.0}, Finding.BATTERY_LOW),
        ({"battery_v": 12.7, "battery_a": 1.5}, Finding.BATTERY_GOOD),  # low, but on its way up
        ({"battery_v": 11.4, "battery_a": 1.5}, Finding.BATTERY_EMPTY),
        ({"battery_v": 0.0}, Finding.BATTERY_EMPTY),
        ({"battery_a": -1.3}, Finding.BATTERY_REVERSED),
        ({"battery_a": -0.3, "panel_w": 2.0}, Finding.BATTERY_GOOD),
    ],
)
def test_a_battery_of_four_cells_is_judged_by_volts_and_the_sign_of_its_current(changes, finding):
    assert is_said(battery_of(sample(**changes)), finding)


def test_a_battery_of_eight_cells_has_twice_the_limits():
    assert is_said(battery_of(sample(battery_v=26.6), 8), Finding.BATTERY_GOOD)
    assert is_said(battery_of(sample(battery_v=13.3), 8), Finding.BATTERY_EMPTY)


@pytest.mark.parametrize(
    ("changes", "is_day", "finding"),
    [
        ({}, True, Finding.PANEL_GOOD),
        ({"panel_w": 0.0, "panel_v": 0.1}, True, Finding.PANEL_DARK),
        ({"panel_w": 0.0, "panel_v": None}, True, Finding.PANEL_DARK),
        ({"panel_w": 0.0, "panel_v": 21.0}, True, Finding.PANEL_IDLE),
        ({"panel_w": 0.0, "panel_v": 0.1}, False, Finding.PANEL_AT_NIGHT),
        ({"panel_w": None}, True, Finding.PANEL_ABSENT),
    ],
)
def test_a_panel_must_give_by_day_only(changes, is_day, finding):
    assert is_said(panel_of(sample(**changes), is_day=is_day), finding)


def test_the_meter_says_only_what_is_measured():
    report = meter_of(sample(panel_v=None, panel_w=None, board_c=None))
    assert report.found == "the power meter answers: battery 13.30 V, battery +1.00 A"
    assert report.measured["panel_w"] is None


STATUS = ModemStatus(
    at_s=1.0, state=ModemState.CONNECTED, registration=Registration.HOME, technology=AccessTechnology.LTE,
    operator_code="00101", quality_ratio=0.5, rssi_dbm=-70.0, rsrp_dbm=-95.0, rsrq_db=-10.0, is_connected=True,
    sent_bytes=0, received_bytes=0, network_utc_ms=None, card=CardState.READY,
)  # fmt: skip
OFFLINE = {"is_connected": False, "registration": Registration.UNKNOWN}


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({}, Finding.MODEM_GOOD),
        ({"registration": Registration.ROAMING, "rsrp_dbm": -105.0}, Finding.MODEM_GOOD),
        ({"rsrp_dbm": None}, Finding.MODEM_NO_LEVEL),
        ({"rsrp_dbm": -119.0}, Finding.MODEM_WEAK),
        ({"is_connected": False, "state": ModemState.REGISTERED}, Finding.MODEM_NO_BEARER),
        ({**OFFLINE, "registration": Registration.SEARCHING}, Finding.MODEM_SEARCHING),
        ({**OFFLINE, "registration": Registration.DENIED}, Finding.MODEM_DENIED),
        ({**OFFLINE, "state": ModemState.FAILED}, Finding.MODEM_BROKEN),
        ({**OFFLINE, "state": ModemState.FAILED, "card": CardState.MISSING}, Finding.SIM_MISSING),
        ({**OFFLINE, "state": ModemState.FAILED, "card": CardState.BAD}, Finding.SIM_BAD),
        ({**OFFLINE, "state": ModemState.LOCKED}, Finding.SIM_LOCKED),
        ({**OFFLINE, "card": CardState.LOCKED}, Finding.SIM_LOCKED),
    ],
)
def test_a_modem_is_judged_from_card_to_connection(changes, finding):
    assert is_said(modem_of(dataclasses.replace(STATUS, **changes)), finding)


@pytest.mark.parametrize(
    ("flaw", "finding"),
    [
        (ModemFlaw.ABSENT, Finding.MODEM_NOT_THERE),
        (ModemFlaw.SILENT, Finding.MODEM_SILENT),
        (ModemFlaw.REFUSED, Finding.MODEM_REFUSED),
        (ModemFlaw.NONSENSE, Finding.MODEM_REFUSED),
    ],
)
def test_a_modem_that_cannot_be_asked_is_told_by_its_flaw(flaw, finding):
    assert is_said(modem_of(ModemTrouble(order=ModemOrder.LOOK, flaw=flaw, hint="why; what")), finding)


@pytest.mark.parametrize(
    ("utc_ms", "known", "finding"),
    [
        (NOW_MS, {"is_trusted": True, "by_ntp": True}, Finding.TIME_GOOD),
        (NOW_MS, {"is_trusted": True, "by_ntp": False, "offset_s": 0.0}, Finding.TIME_GOOD),
        (NOW_MS, {"is_trusted": False, "by_ntp": False}, Finding.TIME_UNSET),
        (NOW_MS, {"is_trusted": True, "by_ntp": True, "offset_s": 95.0}, Finding.TIME_OFF),
        (NOW_MS, {"is_trusted": False, "by_ntp": True, "dispute": "two sources; compare"}, Finding.TIME_DISPUTED),
        (86_400_000, {"is_trusted": False, "by_ntp": False}, Finding.TIME_1970),
        (0, {"is_trusted": True, "by_ntp": True}, Finding.TIME_1970),
    ],
)
def test_the_time_is_judged_by_who_set_it(utc_ms, known, finding):
    assert is_said(time_of(utc_ms, **({"dispute": "", "offset_s": None} | known)), finding)


def test_1970_is_named():
    report = time_of(0, is_trusted=False, by_ntp=False, dispute="", offset_s=None)
    assert report.found.startswith("the clock says 1970")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0x01 0x02\n", "20 % at most"),
        ("0x0a 0x01\n", "100 % at most"),
        ("0x0b 0x01\n", ALL),
        ("0x00 0x00\n", "the card does not say"),
        ("what\n", "the card does not say"),
    ],
)
def test_wear_is_what_an_emmc_says(tmp_path, text, said):
    (tmp_path / "life_time").write_text(text)
    assert wear_of(tmp_path) == said
    assert wear_of(tmp_path / "an SD card") == "the card does not say"


def test_the_root_is_read_only_if_its_last_mount_is():
    assert root_of("/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n") == "writable"
    assert root_of("/dev/mmcblk0p2 / ext4 ro,noatime 0 0\n") == "read-only"
    assert root_of("/dev/root / ext4 rw 0 0\noverlay / overlay rw,lowerdir=/x 0 0\n") == "read-only"
    assert root_of("proc /proc proc rw 0 0\n") == "unknown"


def test_a_durable_write_takes_time_and_leaves_nothing(tmp_path):
    assert 0.0 < durable_write_ms(tmp_path, LinuxClock().monotonic_s) < 10_000.0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        durable_write_ms(tmp_path / "gone", LinuxClock().monotonic_s)


def trip(acknowledged_s, confirmed_s):
    return RoundTrip(sequence=1, acknowledged_s=acknowledged_s, confirmed_s=confirmed_s, hint="why; what")


def test_a_test_read_is_judged_by_how_far_it_came():
    assert is_said(trip_of(trip(0.5, 0.9), None, ""), Finding.BROKER_GOOD)
    assert is_said(trip_of(trip(0.5, None), None, ""), Finding.RECEIVER_AWAY)
    assert is_said(trip_of(trip(None, None), None, ""), Finding.BROKER_NO_WAY)


@pytest.mark.parametrize("cause", list(LinkCause))
def test_every_cause_of_the_link_is_told_in_the_technicians_words(cause):
    report = not_taken(cause, "the broker said no; mend it")
    assert report.state is PartState.FAIL
    assert report.found.endswith(": the broker said no")
    assert report.measured == {"cause": str(cause)}


def test_causes_that_are_mended_in_different_places_are_told_apart():
    causes = (LinkCause.UNREACHABLE, LinkCause.TLS_REFUSED, LinkCause.NOT_AUTHORISED, LinkCause.BUSY)
    assert len({not_taken(cause, "no").next_step for cause in causes}) == len(causes)


def report_of(state, part=PartName.CAMERA):
    return PartReport(part=part, state=state, found="so", measured={"volts_v": 1 / 3})


def test_one_failure_fails_all_and_a_part_that_is_absent_does_not():
    passed, absent = report_of(PartState.PASS), report_of(PartState.ABSENT)
    warned, failed = report_of(PartState.WARN), report_of(PartState.FAIL)
    assert worst([passed, absent]) is PartState.PASS
    assert worst([passed, warned, absent]) is PartState.WARN
    assert worst([passed, warned, failed]) is PartState.FAIL


def test_the_record_has_the_reports_with_rounded_numbers():
    made = document([report_of(PartState.PASS)], device_id="k-test0001", made_utc="2026-11-22T10:00:00Z", firmware="1")
    assert (made["version"], made["device_id"], made["firmware"]) == (1, "k-test0001", "1")
    (part,) = made["parts"]
    assert part["measured"]["volts_v"] == 0.333
    assert set(part) == {"part", "state", "found", "cause", "next_step", "measured"}


def test_the_tone_curve_ends_in_black_and_white_and_only_rises():
    light = linear(np.arange(256, dtype=np.uint8))
    assert light[0] == 0.0
    assert math.isclose(light[255], 1.0, abs_tol=1e-6)
    assert np.all(np.diff(light) > 0)
