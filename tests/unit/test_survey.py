"""A survey: line of sight, sun in the lens, panel and battery, signal; what cannot be meant; what it writes."""

import datetime as dt
import json
from xml.etree import ElementTree as ET

import pytest

from firmware.config import MountConfig
from firmware.faults import ConfigRejected
from provisioning import places, surveying
from provisioning.__main__ import main
from provisioning.places import PlaceFlaw
from provisioning.signal_log import Reception, SignalSample, summary_of
from provisioning.sun import Horizon, Place
from provisioning.survey_session import horizon_of, looks
from provisioning.surveying import SightFlaw

ANGELES = Place(latitude_deg=34.05, longitude_deg=-118.25)
SITE = ["--name", "North gate", "--latitude", "34.05", "--longitude", "-118.25", "--bearing", "250"]


def surveyed(folder, *more, site=SITE):
    return main(["survey", *site, "--out", str(folder), *more])


def test_the_usual_mount_has_a_good_line_of_sight():
    sight = surveying.line_of_sight(MountConfig())
    assert sight.flaws == ()
    assert (sight.distance_m, sight.angle_deg, sight.plate_px) == pytest.approx((10.2, 20.0, 136.0), abs=0.8)


@pytest.mark.parametrize(
    ("mount", "flaws"),
    [
        (MountConfig(beside_m=7.0), {SightFlaw.ANGLE_TOO_WIDE, SightFlaw.PLATES_TOO_SMALL}),
        (MountConfig(height_m=6.5), {SightFlaw.ANGLE_TOO_WIDE, SightFlaw.TOO_STEEP, SightFlaw.PLATES_TOO_SMALL}),
        (MountConfig(lens_mm=6.0), {SightFlaw.PLATES_TOO_SMALL}),
        (MountConfig(lens_mm=35.0), {SightFlaw.PLATES_TOO_LARGE}),
        (MountConfig(lens_mm=50.0, ahead_m=30.0), {SightFlaw.BEYOND_LAMP}),
    ],
)
def test_each_wrong_mount_has_its_flaws(mount, flaws):
    assert set(surveying.line_of_sight(mount).flaws) == flaws


def test_the_lens_that_is_offered_fits():
    sight = surveying.line_of_sight(MountConfig(lens_mm=35.0))
    assert surveying.line_of_sight(MountConfig(lens_mm=sight.fitting_lens_mm)).plate_px == pytest.approx(150.0, abs=0.5)


def test_a_lens_to_the_west_has_the_sun_on_it_in_the_evening_and_one_to_the_north_never():
    spells = surveying.sun_spells(ANGELES, 270.0, MountConfig(), Horizon(), 2026)
    assert spells
    evening = [(spell.begins_utc - dt.timedelta(hours=8)).hour for spell in spells]
    assert all(16 <= hour <= 19 for hour in evening)
    assert surveying.sun_spells(ANGELES, 0.0, MountConfig(), Horizon(), 2026) == []


def test_a_hill_before_the_lens_keeps_the_sun_out():
    hill = Horizon(((240.0, 30.0), (300.0, 30.0), (0.0, 0.0), (180.0, 0.0)))
    assert surveying.sun_spells(ANGELES, 270.0, MountConfig(), hill, 2026) == []


def test_a_flat_lens_into_the_winter_sun_has_it_in_the_picture():
    flat = MountConfig(height_m=1.0, beside_m=0.0, ahead_m=30.0, lens_mm=12.0)
    spells = surveying.sun_spells(ANGELES, 243.0, flat, Horizon(), 2026)
    assert any(spell.in_picture for spell in spells)


def test_panel_and_battery_are_those_of_the_published_table():
    """For 60 Wh a day. The clearness of each place is the one that the command's help names."""
    for latitude_deg, longitude_deg, clearness, panel_w in (
        (34.05, -118.25, 0.5, 20.0),
        (41.9, -87.6, 0.4, 32.0),
        (47.6, -122.3, 0.3, 53.0),
    ):
        place = Place(latitude_deg=latitude_deg, longitude_deg=longitude_deg)
        power = surveying.power_figure(place, Horizon(), clearness_ratio=clearness)
        assert power.worst_month == 12
        assert power.panel_w == pytest.approx(panel_w, rel=0.12)
        assert power.battery_wh == pytest.approx(375.0)


@pytest.mark.parametrize(
    ("latitude", "longitude", "others", "flaw"),
    [
        (34.0, -118.0, [], None),
        (34.0, -118.0, [ANGELES], None),
        (-118.25, 34.05, [], PlaceFlaw.SWAPPED),
        (34.05, 118.25, [ANGELES], PlaceFlaw.LONGITUDE_SIGN),
        (-34.05, -118.25, [ANGELES], PlaceFlaw.LATITUDE_SIGN),
        (-34.05, 118.25, [ANGELES], PlaceFlaw.BOTH_SIGNS),
        (34.05, 18.25, [ANGELES], PlaceFlaw.FAR_FROM_FLEET),
        (13.4, 52.5, [Place(latitude_deg=52.4, longitude_deg=13.1)], PlaceFlaw.SWAPPED),
        (0.0, 0.0, [], PlaceFlaw.NULL_ISLAND),
    ],
)
def test_a_place_that_cannot_be_meant_is_known(latitude, longitude, others, flaw):
    assert places.place_flaw(latitude, longitude, others) is flaw


@pytest.mark.parametrize("text", ["north:5", "90", "90:5,400:1", "90:95", "90:nan", "90:5,,", "," * 3])
def test_a_horizon_that_is_none_is_refused_in_a_sentence(text):
    with pytest.raises(ConfigRejected, match="write it as 120:14"):
        horizon_of(text)


def test_a_horizon_of_too_many_points_is_refused():
    with pytest.raises(ConfigRejected, match="72 at most"):
        horizon_of(",".join(f"{azimuth}:1" for azimuth in range(100)))


def samples(*levels):
    """Looks every two seconds; None: no network has the modem."""
    return [
        SignalSample(at_s=2.0 * number, rsrp_dbm=level, technology="LTE", is_registered=level is not None)
        for number, level in enumerate(levels)
    ]


@pytest.mark.parametrize(
    ("levels", "reception"),
    [
        ([-90.0] * 20, Reception.GOOD),
        ([-90.0] * 17 + [-108.0] * 3, Reception.USABLE),
        ([-90.0] * 17 + [-118.0] * 3, Reception.POOR),
        ([-90.0] * 15 + [None] * 5, Reception.POOR),
        ([None] * 5, Reception.NONE),
        ([0.0, -200.0], Reception.UNTOLD),
    ],
)
def test_a_signal_is_as_good_as_its_worst_tenth(levels, reception):
    assert summary_of(samples(*levels)).reception is reception


class EvenSource:
    """A cell that is as strong at every look."""

    def sample(self, at_s):
        return SignalSample(at_s=at_s, rsrp_dbm=-97.0, technology="LTE", is_registered=True)


def test_a_log_looks_every_two_seconds_for_as_long_as_was_said():
    now = [100.0]

    def wait(for_s):
        now[0] += for_s

    taken = looks(EvenSource(), 60.0, now_s=lambda: now[0], wait=wait)
    assert [sample.at_s for sample in taken] == [2.0 * number for number in range(31)]
    summary = summary_of(taken)
    assert (summary.over_s, summary.median_dbm, summary.lost_ratio) == (60.0, -97.0, 0.0)


def test_the_command_writes_numbers_and_a_page_with_the_suns_path(tmp_path, capsys):
    assert (
        surveyed(tmp_path, "--horizon", "90:5,120:14,180:3", "--signal", "modem", "--board", "sim", "--minutes", "0.01")
        == 0
    )
    answer = json.loads((tmp_path / "survey.json").read_text())
    assert answer["kind"] == "kestrel-survey/v1"
    assert answer["site"]["name"] == "North gate"
    assert answer["power"]["battery_wh"] == 375.0
    assert (answer["signal"]["samples"], answer["signal"]["technology"]) == (1, "LTE")
    assert answer["signal"]["median_dbm"] == pytest.approx(-97.0, abs=10.0)
    page = (tmp_path / "survey.html").read_text()
    svg = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314  our own page
    assert {"21 Jun", "21 Dec", "lens"} <= {text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert "Panel " in capsys.readouterr().out


def test_a_name_is_text_on_the_page_and_nothing_else(tmp_path):
    site = [*SITE]
    site[1] = "<script>alert(1)</script>"
    assert surveyed(tmp_path, site=site) == 0
    assert "<script" not in (tmp_path / "survey.html").read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--bearing": "400"}, "no compass bearing"),
        ({"--bearing": "nan"}, "no compass bearing"),
        ({"--latitude": "-118.25", "--longitude": "34.05"}, "wrong way round"),
        ({"--latitude": "95", "--longitude": "170"}, "latitude_deg"),
        ({"--latitude": "nan"}, "latitude"),
        ({"--lens-mm": "500"}, "lens_mm"),
        ({"--clearness": "3"}, "clearness"),
        ({"--others": "/nowhere/survey.json"}, "cannot be read"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, capsys, changes, words):
    options = dict(zip(SITE[::2], SITE[1::2], strict=True)) | changes
    assert surveyed(tmp_path / "out", site=[part for pair in options.items() for part in pair]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_site_on_the_other_side_of_the_world_from_the_others_is_refused(tmp_path, capsys):
    assert surveyed(tmp_path / "first") == 0
    other = str(tmp_path / "first" / "survey.json")
    assert surveyed(tmp_path / "second", "--others", other) == 0
    far = ["--name", "Far", "--latitude", "34.05", "--longitude", "118.25", "--bearing", "0"]
    assert surveyed(tmp_path / "third", "--others", other, site=far) == 2
    assert "-118.25 would be near them; correct its sign" in capsys.readouterr().err
