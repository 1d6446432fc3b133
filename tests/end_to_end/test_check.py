"""`kestrel-provision check` on simulated units: a good one passes whole, and each fault that it knows is provoked."""

import json

import pytest

from firmware import config, sole_use
from hw_sim.amiss_parts import PartFault
from provisioning.__main__ import main
from provisioning.check_words import WORDS, Finding
from provisioning.part_reports import PartName

TABLE = {
    "what is not there": {
        PartFault.CAMERA_ABSENT: Finding.CAMERA_NOT_THERE,
        PartFault.MODEM_ABSENT: Finding.MODEM_NOT_THERE,
        PartFault.METER_ABSENT: Finding.METER_FAULT,
        PartFault.IDENTITY_KEYLESS: Finding.IDENTITY_UNUSABLE,
    },
    "what is silent or full": {
        PartFault.CAMERA_SILENT: Finding.CAMERA_SILENT,
        PartFault.MODEM_SILENT: Finding.MODEM_SILENT,
        PartFault.METER_NONSENSE: Finding.METER_FAULT,
        PartFault.DISK_FULL: Finding.DISK_FULL,
        PartFault.IDENTITY_EXPIRED: Finding.IDENTITY_EXPIRED,
        PartFault.FIREWALL_OPEN: Finding.FIREWALL_OPEN,
        PartFault.SOCKETS_OPEN: Finding.SOCKETS_OPEN,
    },
    "what is stuck": {
        PartFault.CAMERA_FROZEN: Finding.CAMERA_FROZEN,
        PartFault.SIM_MISSING: Finding.SIM_MISSING,
        PartFault.BATTERY_LOW: Finding.BATTERY_EMPTY,
        PartFault.PIR_STUCK: Finding.PIR_STUCK,
        PartFault.BEAM_BROKEN: Finding.BEAM_STUCK,
        PartFault.RADAR_STUCK: Finding.RADAR_STUCK,
        PartFault.TIME_1970: Finding.TIME_1970,
        PartFault.LID_OPEN: Finding.LID_OPEN,
        PartFault.DISK_READ_ONLY: Finding.DISK_READ_ONLY,
    },
    "what is covered": {
        PartFault.CAMERA_COVERED: Finding.CAMERA_BLACK,
        PartFault.SIM_LOCKED: Finding.SIM_LOCKED,
        PartFault.TIME_UNSET: Finding.TIME_UNSET,
    },
    "what does not obey": {
        PartFault.CAMERA_LOSES: Finding.CAMERA_LOSES_MANY,
        PartFault.FOCUS_BLURRED: Finding.FOCUS_SOFT,
        PartFault.EXPOSURE_IGNORED: Finding.EXPOSURE_NOT_SEEN,
        PartFault.MODEM_DENIED: Finding.MODEM_DENIED,
    },
    "what does not listen": {
        PartFault.PANEL_DARK: Finding.PANEL_DARK,
        PartFault.EXPOSURE_UNHEARD: Finding.EXPOSURE_NOT_TAKEN,
        PartFault.MODEM_WEAK: Finding.MODEM_WEAK,
    },
    "the network": {PartFault.MODEM_UNREGISTERED: Finding.MODEM_SEARCHING},
    "the APN": {PartFault.MODEM_NO_APN: Finding.MODEM_NO_BEARER},
    "at night": {PartFault.LAMP_DEAD: Finding.LAMP_DARK},
    "a hand is waved": {PartFault.PIR_DEAD: Finding.LINE_DEAD},
    "no broker": {PartFault.BROKER_AWAY: Finding.BROKER_NO_WAY},
    "no name": {PartFault.BROKER_UNNAMED: Finding.BROKER_NO_NAME},
    "another fleet": {PartFault.BROKER_FOREIGN: Finding.BROKER_TLS},
    "no receiver": {PartFault.RECEIVER_AWAY: Finding.RECEIVER_AWAY},
}
"""Faults that can be provoked together, and what is found of each."""

MORE_OPTIONS = {"at night": ["--light", "night"], "a hand is waved": ["--wave", "9"]}


def checked(tmp_path, *options):
    """Return the exit code and the reports by part."""
    out = tmp_path / "check.json"
    code = main(["check", "--board", "sim", "--json", str(out), *options])
    return code, {one["part"]: one for one in json.loads(out.read_text())["parts"]}


def checked_in_peace(tmp_path, *options):
    """Return the same of the first of three checks in which no picture was lost.

    The simulated sensor keeps real time, and on a machine that is full of other work it cannot.
    """
    for _ in range(3):
        code, reports = checked(tmp_path, *options)
        if not reports["camera"]["measured"].get("missed"):
            break
    return code, reports


def part_of(fault):
    return PartName(str(fault).partition("=")[0])


def test_every_fault_is_in_the_table():
    assert {fault for group in TABLE.values() for fault in group} == set(PartFault)


@pytest.mark.parametrize("name", list(TABLE))
def test_each_fault_is_found_with_its_cause_and_the_next_step(name, tmp_path, capsys):
    faults = TABLE[name]
    only = {part_of(fault) for fault in faults}
    code, reports = checked(
        tmp_path, "--only", ",".join(only), "--amiss", *map(str, faults), *MORE_OPTIONS.get(name, [])
    )
    out = capsys.readouterr().out
    for fault, finding in faults.items():
        words, report = WORDS[finding], reports[part_of(fault)]
        assert (report["state"], report["cause"]) == (words.state, words.cause), report
        assert report["found"].startswith(words.found.split("{")[0])
        assert report["next_step"]
        assert report["cause"] in out
        assert report["next_step"] in out
    assert code == (1 if any(WORDS[finding].state == "fail" for finding in faults.values()) else 0)
    assert set(reports) == {str(part) for part in only}


def test_a_unit_that_is_well_passes_whole_and_its_test_read_comes_back(tmp_path, capsys):
    code, reports = checked_in_peace(tmp_path, "--wave", "9")
    assert code == 0
    assert list(reports) == [str(part) for part in PartName]  # told in the order of their names
    states = {part: report["state"] for part, report in reports.items()}
    drowned = {"lamp": "warn", "firewall": "warn"}  # by day; and a simulated unit has none
    assert states == {str(part): "pass" for part in PartName} | drowned
    assert 0.0 < reports["broker"]["measured"]["confirmed_s"] < 15.0
    assert reports["exposure"]["measured"]["seen_ratio"] == pytest.approx(4.0, rel=0.25)
    assert capsys.readouterr().out.splitlines()[-1] == "GOOD, BUT LOOK AT THE WARNINGS: firewall, lamp."


def test_at_night_lamp_and_exposure_are_seen_by_the_lamps_light(tmp_path):
    code, reports = checked_in_peace(tmp_path, "--light", "night", "--only", "camera,focus,exposure,lamp,panel")
    assert code == 0
    assert {report["state"] for report in reports.values()} == {"pass"}


def test_the_record_stays_with_the_unit_and_says_no_place(make_unit, tmp_path, capsys):
    folder = tmp_path / "unit"
    made = make_unit()
    made.close()
    settings = config.load(folder / "config.json")
    code = main(["check", str(folder), "--board", "sim"])  # nobody answers: no broker runs
    text = (folder / "handover" / "check.json").read_text()
    record = json.loads(text)
    assert code == 1
    assert (record["version"], record["device_id"]) == (1, settings.device_id)
    assert {"made_utc", "firmware", "parts"} < set(record)
    assert {part["part"]: part["state"] for part in record["parts"]}["modem"] == "absent"
    assert (folder / "handover").stat().st_mode & 0o777 == 0o700
    for secret in (settings.site.name, str(settings.site.latitude_deg), str(settings.site.longitude_deg)):
        assert secret not in text + capsys.readouterr().out


def test_a_unit_that_another_program_works_as_is_left_alone(make_unit, tmp_path):
    make_unit().close()
    with sole_use.held(tmp_path / "unit" / "outbox.db"):
        code, reports = checked(tmp_path, str(tmp_path / "unit"), "--only", "disk,broker")
    assert code == 1
    assert {report["state"] for report in reports.values()} == {"fail"}
    assert "another program works as this unit" in reports["disk"]["found"]
    assert reports["disk"]["next_step"].startswith("Stop its service with `sudo systemctl stop kestrel`")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--board", "sim", "--amiss", "camera=gone"],
            "--amiss camera=gone is no fault that can be practised; give one of camera=absent",
        ),
        (["--amiss", "camera=absent"], "--amiss belongs to --board sim"),
        (["nowhere", "--board", "sim"], "cannot be read"),
        (["unit", "--board", "sim", "--amiss", "broker=away"], "leave UNIT out"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(options, sentence, capsys):
    assert main(["check", *options]) == 2
    assert sentence in capsys.readouterr().err


def test_a_part_that_is_no_part_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["check", "--only", "camera,wings"])
    assert "the parts are `identity`, `disk`" in capsys.readouterr().err
