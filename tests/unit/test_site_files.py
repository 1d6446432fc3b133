"""The site file: a configuration in part, by the unit's own types; what is wrong in it is one sentence; its place."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback_fleet import NOW

from firmware import config
from firmware.config import DeviceConfig, SiteConfig
from firmware.faults import ConfigRejected
from provisioning import fleet, fleet_sites, signing, site_files, unit
from provisioning.__main__ import main
from provisioning.site_files import SitePlan

HERE = {"name": "North gate", "latitude_deg": 37.77, "longitude_deg": -122.42, "bearing_deg": 180.0}
FLAGS = ["--name", "North gate", "--latitude", "37.77", "--longitude", "-122.42", "--bearing", "180"]
WHOLE = {
    "site": HERE,
    "mount": {"lens_mm": 25.0, "height_m": 5.2},
    "capture": {"pir_pin": None, "angle_deg": 12.0, "speed_mph": 45.0, "lane": [[0.1, 0.2], [0.9, 0.2], [0.5, 0.9]]},
    "guard": {"tamper_pin": 5},
    "modem": {"power_pin": 6},
    "budget": {"interface": "usb0", "month_mb": 200},
    "uplink": {"window": 5, "retention_days": 7},
}


@pytest.fixture
def fleet_path(tmp_path):
    fleet.init(tmp_path / "fleet", host="broker.example", port=8883, now=NOW)
    return tmp_path / "fleet"


@pytest.fixture
def site_file(tmp_path):
    def write(**parts):
        path = tmp_path / "site.json"
        path.write_text(json.dumps(parts))
        return path

    return write


def test_every_section_of_a_configuration_that_is_not_the_fleet_s_may_stand_in_a_site_file():
    parts = json.loads(
        msgspec.json.encode(msgspec.convert(site_files.merged(whole_configuration(), WHOLE), DeviceConfig))
    )
    for key in site_files.NOT_OF_A_SITE:
        del parts[key]
    for key in site_files.NOT_OF_A_SITE_S_UPLINK:
        del parts["uplink"][key]
    plan = site_files.decode(json.dumps(parts).encode(), "all")
    assert plan.sections() == parts
    assert set(parts) | site_files.NOT_OF_A_SITE == {one.name for one in msgspec.structs.fields(DeviceConfig)}


def whole_configuration():
    key = "A" * 43 + "="
    seal = {"agency_keys": [{"key": key}], "receipt_key": key, "retirement_key": key}
    return {"version": 1, "device_id": "k-test0001", "seal": seal, "uplink": {"host": "broker.example"}, "site": HERE}


def test_what_the_site_file_says_is_what_the_unit_reads(fleet_path, tmp_path, site_file):
    assert main(["unit", "new", str(fleet_path), str(tmp_path / "unit"), "--site", str(site_file(**WHOLE))]) == 0
    made = config.load(tmp_path / "unit" / "config.json")
    assert made.site == SiteConfig(**HERE)
    assert (made.mount.lens_mm, made.mount.height_m, made.mount.beside_m) == (25.0, 5.2, 2.1)
    assert (made.capture.pir_pin, made.capture.ir_beam_pin, made.capture.speed_mph) == (None, 27, 45.0)
    assert made.capture.lane == ((0.1, 0.2), (0.9, 0.2), (0.5, 0.9))
    assert (made.guard.tamper_pin, made.modem.power_pin, made.budget.interface) == (5, 6, "usb0")
    assert (made.uplink.host, made.uplink.window, made.uplink.retention_days) == ("broker.example", 5, 7)


def part(section, **values):
    return {"site": HERE, section: values}


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({}, "site is missing; add it"),
        ({"site": {"name": "N"}}, "site.latitude_deg is missing; add it"),
        ({"site": HERE | {"latitude_deg": 91.0}}, "site.latitude_deg must be at most 90; correct it"),
        ({"site": HERE | {"longitude_deg": -181}}, "site.longitude_deg must be at least -180; correct it"),
        ({"site": HERE | {"bearing_deg": 360}}, "site.bearing_deg must be less than 360; correct it"),
        ({"site": HERE | {"name": ""}}, "site.name must have at least 1 characters; correct it"),
        ({"site": HERE | {"latitude": 1}}, "site.latitude is no key of a configuration; correct its spelling"),
        (
            {"site": HERE | {"latitude_deg": -122.42, "longitude_deg": 37.77}},
            "are the wrong way round; give latitude 37",
        ),
        (part("capture", pir_pin=28), "capture.pir_pin must be at most 27; correct it"),
        (part("capture", pir_pin="17"), "capture.pir_pin must be a whole number or null and is a text; correct it"),
        (part("capture", pir_pin=27), "must be different lines; correct it"),
        (part("capture", lane=[[0, 0], [1, 1]]), "capture.lane must have at least 3 entries; correct it"),
        (part("capture", lane=[[0, 0], [1, 2], [1, 1]]), "capture.lane[1][1] must be at most 1; correct it"),
        (part("guard", tampered_when="ajar"), "guard.tampered_when: Not one of the known values; correct it"),
        (part("budget", interface="a b"), "budget.interface is not written as it must be; see the table"),
        (part("uplink", host="elsewhere.example"), "uplink.host is the fleet's to say and not the site's; take it out"),
        ({"site": HERE, "seal": {}}, "seal is the fleet's to say and not the site's; take it out"),
        ({"site": HERE, "device_id": "k-mine0001"}, "device_id is the fleet's to say"),
        (part("modem", power_pin=17), "modem.power_pin must be another line than those of capture and guard"),
    ],
)
def test_what_is_wrong_is_named_with_key_bound_and_what_to_do(
    fleet_path, tmp_path, site_file, capsys, *, parts, sentence
):
    path = site_file(**parts)
    assert main(["site", "check", str(path)]) == 2
    checked = capsys.readouterr().err
    assert main(["unit", "new", str(fleet_path), str(tmp_path / "unit"), "--site", str(path)]) == 2
    for error in (checked, capsys.readouterr().err):
        assert sentence in error
        assert error.count("\n") == 1
    assert not (tmp_path / "unit").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"site": {"name": "a", "name": "b"}}'])
def test_what_is_no_site_file_is_one_sentence_that_says_how_to_make_one(tmp_path, capsys, content):
    (tmp_path / "site.json").write_bytes(content)
    assert main(["site", "check", str(tmp_path / "site.json")]) == 2
    error = capsys.readouterr().err
    assert "correct it" in error or "site new" in error or "add it" in error
    assert error.count("\n") == 1


@given(st.dictionaries(st.sampled_from([*WHOLE, "seal", "nonsense"]), st.sampled_from([*WHOLE.values(), 1, None, "x"])))
def test_a_site_file_that_passes_the_check_is_one_that_a_unit_takes(parts):
    try:
        plan = site_files.decode(json.dumps(parts).encode(), "it")
        site_files.check(plan, "it")
    except ConfigRejected:
        return
    made = config.decode(json.dumps(site_files.merged(whole_configuration(), plan.sections())).encode(), "it")
    assert made.site == plan.site


def test_a_new_site_file_is_taken_and_says_the_defaults(tmp_path, capsys):
    path = tmp_path / "site.json"
    assert main(["site", "new", str(path), *FLAGS]) == 0
    assert main(["site", "check", str(path)]) == 0
    made = json.loads(path.read_bytes())
    assert made["site"] == HERE
    assert made["capture"]["speed_mph"] == 75.0
    assert len(path.read_text().splitlines()) < 45
    before = path.read_bytes()
    assert main(["site", "new", str(path), *FLAGS]) == 2
    assert "is there already" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_survey_becomes_a_site_file(tmp_path):
    survey = {"kind": "kestrel-survey/v1", "site": HERE, "mount": {"lens_mm": 12.0}, "year": 2026, "sun": []}
    (tmp_path / "survey.json").write_text(json.dumps(survey))
    path = tmp_path / "site.json"
    assert main(["site", "new", str(path), "--survey", str(tmp_path / "survey.json")]) == 0
    plan = site_files.load(path)
    assert plan.site == SiteConfig(**HERE)
    assert plan.others["mount"]["lens_mm"] == 12.0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "give --site FILE, or --name"),
        (["--name", "N"], "give all three, or --site FILE"),
        (["--site", "site.json", "--bearing", "10"], "leave one of the two ways out"),
        (["--site", "absent.json"], "make one with `kestrel-provision site new`"),
        (["--name", "N", "--latitude", "nan", "--longitude", "1"], "site.latitude_deg must be a number and is null"),
    ],
)
def test_a_site_is_given_in_one_way_and_whole(
    fleet_path, tmp_path, monkeypatch, site_file, capsys, *, options, sentence
):
    site_file(**WHOLE)
    monkeypatch.chdir(tmp_path)
    assert main(["unit", "new", str(fleet_path), str(tmp_path / "unit"), *options]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "unit").exists()


def place(latitude_deg, longitude_deg):
    return SiteConfig(name="Somewhere", latitude_deg=latitude_deg, longitude_deg=longitude_deg)


@pytest.mark.parametrize(
    ("latitude", "longitude", "sentence"),
    [
        (37.77, 122.42, "-122.42 would be near them; correct its sign (west is negative)"),
        (-37.77, -122.42, "37.77 would be near them; correct its sign (south is negative)"),
        (-37.77, 122.42, "correct both signs"),
        (51.5, -0.12, "8,506 km from the nearest other site of the fleet; check the digits"),
        (0.0, 0.0, "lies in the ocean off Africa"),
    ],
)
def test_a_place_on_the_other_side_of_the_world_is_refused(fleet_path, tmp_path, latitude, longitude, sentence):
    unit.enrol(fleet_path, tmp_path / "one", place(38.5, -121.5), NOW)
    with pytest.raises(ConfigRejected) as refused:
        unit.enrol(fleet_path, tmp_path / "two", place(latitude, longitude), NOW)
    assert sentence in str(refused.value)
    assert not (tmp_path / "two").exists()
    if (latitude, longitude) == (0.0, 0.0):
        with pytest.raises(ConfigRejected):
            unit.enrol(fleet_path, tmp_path / "two", place(0.0, 0.0), NOW, is_far_meant=True)
    else:
        unit.enrol(fleet_path, tmp_path / "two", place(latitude, longitude), NOW, is_far_meant=True)


def test_nothing_but_the_office_s_own_file_says_where_a_unit_hangs(fleet_path, tmp_path):
    made = unit.enrol(fleet_path, tmp_path / "one", SiteConfig(**HERE), NOW)
    kept = fleet_sites.path_of(fleet_path, made.device_id)
    for path in (one for one in fleet_path.rglob("*") if one.is_file() and one != kept):
        assert b"122.42" not in path.read_bytes()
    assert config.decode(kept.read_bytes(), "kept") == made


def test_what_the_office_keeps_is_counted_up_when_it_changes_and_only_then(fleet_path):
    def version(**others):
        plan = SitePlan(site=SiteConfig(**HERE), others=others)
        parts = signing.settings_of(fleet_path, "k-test0001", plan, None, is_far_meant=False)
        fleet_sites.keep(fleet_path, "k-test0001", parts)
        return parts["version"]

    assert [version(), version(), version(mount={"lens_mm": 12.0}), version(mount={"lens_mm": 12.0}), version()] == [
        1, 1, 2, 2, 3
    ]  # fmt: skip


def test_the_middle_of_the_fleet_tells_no_place_and_one_mistake_does_not_move_it():
    known = [site_files.places.Place(latitude_deg=lat, longitude_deg=lon) for lat, lon in
             ((37.77, -122.42), (38.58, -121.49), (36.74, -119.78), (34.05, 118.25))]  # fmt: skip
    assert fleet_sites.middle(known[:3]) == (38, -121)
    assert fleet_sites.middle(known)[0] in {37, 38}
    assert fleet_sites.middle([]) is None
