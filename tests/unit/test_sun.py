"""The sun against published positions, and a panel's sun hours against what they must be."""

import datetime as dt

import pytest

from provisioning.sun import Direction, Horizon, Panel, Place, day_path, peak_sun_hours, sun_at

GOLDEN = Place(latitude_deg=39.742476, longitude_deg=-105.1786)
ANGELES = Place(latitude_deg=34.05, longitude_deg=-118.25)
SOUTH = Panel(facing_deg=180.0, tilt_deg=49.0)
DECEMBER, JUNE = dt.date(2026, 12, 15), dt.date(2026, 6, 15)


def test_it_stands_where_nrels_worked_example_has_it():
    # Reda and Andreas, Solar Position Algorithm for Solar Radiation Applications, NREL/TP-560-34302, table A5.1.
    moment = dt.datetime(2003, 10, 17, 12, 30, 30, tzinfo=dt.timezone(dt.timedelta(hours=-7)))
    sun = sun_at(GOLDEN, moment)
    assert sun.azimuth_deg == pytest.approx(194.34024, abs=0.02)
    assert sun.elevation_deg == pytest.approx(90.0 - 50.11162, abs=0.02)


@pytest.mark.parametrize(("month", "day", "declination_deg"), [(6, 21, 23.44), (12, 21, -23.44), (3, 20, 0.0)])
def test_at_noon_it_is_as_high_as_the_season_says(month, day, declination_deg):
    top = max(sun.elevation_deg for _, sun in day_path(GOLDEN, dt.date(2026, month, day)))
    assert top == pytest.approx(90.0 - GOLDEN.latitude_deg + declination_deg, abs=0.25)


def test_south_of_the_equator_it_stands_in_the_north_at_noon():
    _, sun = max(day_path(Place(latitude_deg=-33.9, longitude_deg=151.2), JUNE), key=lambda one: one[1].elevation_deg)
    assert min(sun.azimuth_deg, 360.0 - sun.azimuth_deg) < 3.0


def test_beyond_the_polar_circle_it_neither_sets_in_june_nor_rises_in_december():
    tromso = Place(latitude_deg=69.65, longitude_deg=18.96)
    assert min(sun.elevation_deg for _, sun in day_path(tromso, JUNE)) > 0
    assert max(sun.elevation_deg for _, sun in day_path(tromso, DECEMBER)) < 0


def test_a_horizon_goes_straight_from_point_to_point_and_around():
    horizon = Horizon(((350.0, 10.0), (90.0, 0.0), (10.0, 20.0)))
    assert horizon.elevation_deg(0.0) == pytest.approx(15.0)
    assert horizon.elevation_deg(50.0) == pytest.approx(10.0)
    assert horizon.hides(Direction(0.0, 14.9))
    assert not horizon.hides(Direction(0.0, 15.1))
    assert not Horizon().hides(Direction(0.0, 0.1))


def test_two_directions_are_as_far_apart_as_on_the_sphere():
    assert Direction(0.0, 90.0).apart_deg(Direction(123.0, 0.0)) == pytest.approx(90.0)
    assert Direction(10.0, 0.0).apart_deg(Direction(350.0, 0.0)) == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("place", "clearness", "hours"),
    [
        (ANGELES, 0.5, 4.0),
        (Place(latitude_deg=41.9, longitude_deg=-87.6), 0.4, 2.5),
        (Place(latitude_deg=47.6, longitude_deg=-122.3), 0.3, 1.5),
    ],
)
def test_december_has_about_the_published_sun_hours(place, clearness, hours):
    panel = Panel(facing_deg=180.0, tilt_deg=place.latitude_deg + 15.0)
    assert peak_sun_hours(place, DECEMBER, Horizon(), panel, clearness) == pytest.approx(hours, rel=0.1)


def test_a_hill_in_the_south_a_panel_to_the_north_and_clouds_each_cost_sun():
    open_hours = peak_sun_hours(ANGELES, DECEMBER, Horizon(), SOUTH, 0.55)
    hill = Horizon(((90.0, 0.0), (120.0, 35.0), (240.0, 35.0), (270.0, 0.0)))
    north = Panel(facing_deg=0.0, tilt_deg=49.0)
    assert peak_sun_hours(ANGELES, DECEMBER, hill, SOUTH, 0.55) < 0.6 * open_hours
    assert peak_sun_hours(ANGELES, DECEMBER, Horizon(), north, 0.55) < 0.5 * open_hours
    assert peak_sun_hours(ANGELES, DECEMBER, Horizon(), SOUTH, 0.3) < 0.6 * open_hours
