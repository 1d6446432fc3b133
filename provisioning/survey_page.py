"""A survey as one page to print: figures, sentences, and the sun's path with horizon and lens, drawn as SVG.

The diagram has the azimuth across and the elevation up, so that it is what one sees turning around on the spot.
"""

import datetime as dt
import html
import math

from provisioning import pinhole, survey_words
from provisioning.pinhole import Pinhole
from provisioning.places import place_of
from provisioning.sun import Direction, Place, day_path
from provisioning.surveying import FLARE_DEG, Survey

WIDTH, HEIGHT = 1080, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 24, 30
_LOWEST_DEG = -30.0
_DAYS = (("21 Jun", 6, 21), ("20 Mar, 22 Sep", 3, 20), ("21 Dec", 12, 21))
_MARKS = ((0, "N"), (45, "NE"), (90, "E"), (135, "SE"), (180, "S"), (225, "SW"), (270, "W"), (315, "NW"), (360, "N"))


def page(survey: Survey, utc_offset_h: float) -> str:
    """Return the page as HTML with nothing outside of it."""
    site = survey.site
    zone = f"UTC{utc_offset_h:+g}"
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in survey_words.all_lines(survey, utc_offset_h))
    months = "".join(f"<td>{hours:.1f}</td>" for hours in survey.power.sun_hours)
    names = "".join(f"<th>{dt.date(2026, month, 1):%b}</th>" for month in range(1, 13))
    mount = survey.mount
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Kestrel: survey of {html.escape(site.name)}</title>
<style>
@page {{ size: A4 landscape; margin: 12mm; }}
body {{ font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; color: #000; background: #fff; margin: 16px auto;
  max-width: 1080px; }}
h1 {{ font-size: 26px; margin: 0; }} p {{ margin: 2px 0 10px; }}
ul {{ font-size: 17px; margin: 8px 0; padding-left: 22px; }} li {{ margin: 3px 0; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
td, th {{ border: 1px solid #888; padding: 2px 11px; }}
svg {{ width: 100%; height: auto; }}
</style></head><body>
<h1>{html.escape(site.name)}</h1>
<p>{site.latitude_deg:.5f}, {site.longitude_deg:.5f}; lens towards {site.bearing_deg:.0f}&deg;, {mount.lens_mm:g} mm,
{mount.height_m:g} m high, {abs(mount.beside_m):g} m {"right" if mount.beside_m >= 0 else "left"} of the lane's middle,
plates {mount.ahead_m:g} m ahead. Times are {zone}, without summer time.</p>
{diagram(survey, utc_offset_h)}
<ul>{lines}</ul>
<table><tr><th>sun hours a day</th>{names}</tr><tr><td>on the panel</td>{months}</tr></table>
</body></html>
"""


def diagram(survey: Survey, utc_offset_h: float) -> str:
    """Return the sun's path over the year as SVG."""
    place = place_of(survey.site)
    centre_deg = 180.0 if place.latitude_deg >= 0 else 0.0
    wide, high = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="system-ui, DejaVu Sans, sans-serif" font-size="13">',
        f'<rect x="{_LEFT}" y="{_TOP}" width="{wide}" height="{high}" fill="#fff" stroke="#000"/>',
        *_grid(centre_deg),
        *_lens(survey, centre_deg),
        *(
            line
            for name, month, day in _DAYS
            for line in _path(place, dt.date(survey.year, month, day), name, centre_deg, utc_offset_h)
        ),
        _horizon(survey, centre_deg),
        "</svg>",
    ]
    return "\n".join(parts)


def _grid(centre_deg: float) -> list[str]:
    lines = []
    for elevation in range(int(_LOWEST_DEG), 91, 15):
        y = _y(elevation)
        lines += [
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ccc"/>',
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{elevation}&#176;</text>',
        ]
    for azimuth, name in _MARKS:
        x = _x(azimuth, centre_deg)
        lines.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="middle"><tspan>{name}</tspan> '
            f"{azimuth % 360}&#176;</text>"
        )
    return lines


def _path(place: Place, day: dt.date, name: str, centre_deg: float, utc_offset_h: float) -> list[str]:
    up = [(moment, sun) for moment, sun in day_path(place, day, step_minutes=10) if sun.elevation_deg > 0]
    if not up:
        return []
    runs: list[list[str]] = [[]]
    before = None
    for _, sun in up:
        x = _x(sun.azimuth_deg, centre_deg)
        if before is not None and abs(x - before) > WIDTH / 2:
            runs.append([])
        runs[-1].append(f"{x:.1f},{_y(sun.elevation_deg):.1f}")
        before = x
    lines = [f'<polyline points="{" ".join(run)}" fill="none" stroke="#c60" stroke-width="2.5"/>' for run in runs]
    top = max(up, key=lambda one: one[1].elevation_deg)[1]
    lines.append(
        f'<text x="{_x(top.azimuth_deg, centre_deg):.1f}" y="{_y(top.elevation_deg) - 6:.1f}" text-anchor="middle" '
        f'font-weight="700" fill="#a40">{name}</text>'
    )
    for moment, sun in up:
        local = moment + dt.timedelta(hours=utc_offset_h)
        if local.minute < 10 and local.hour % 3 == 0:
            x, y = _x(sun.azimuth_deg, centre_deg), _y(sun.elevation_deg)
            lines += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#c60"/>',
                f'<text x="{x + 6:.1f}" y="{y + 14:.1f}" font-size="11">{local:%H}</text>',
            ]
    return lines


def _lens(survey: Survey, centre_deg: float) -> list[str]:
    """Return the picture's frame and the ring in which the sun shines on the front glass."""
    camera = Pinhole.planned(survey.mount, pinhole.SENSOR_WIDTH_PX, pinhole.SENSOR_HEIGHT_PX)
    wide, high = (math.degrees(math.atan2(side, camera.focal_px)) for side in camera.middle_px)
    axis = Direction(survey.site.bearing_deg, -camera.pose.down_deg)
    ring = [_beside(axis, FLARE_DEG, turn) for turn in range(0, 361, 5)]
    frame = [(axis.azimuth_deg + x * wide / math.cos(math.radians(axis.elevation_deg)), axis.elevation_deg + y * high)
             for x, y in ((-1, 1), (1, 1), (1, -1), (-1, -1), (-1, 1))]  # fmt: skip
    lines = []
    for points, style in ((ring, 'stroke="#06c" stroke-dasharray="6 4"'), (frame, 'stroke="#06c" stroke-width="2.5"')):
        for shift in (-360.0, 0.0, 360.0):  # what leaves on one side comes in on the other
            xs = [
                (_LEFT + _scale() * ((azimuth - centre_deg + 180.0) + shift), _y(elevation))
                for azimuth, elevation in points
            ]
            if any(_LEFT <= x <= WIDTH - _RIGHT for x, _ in xs):
                way = " ".join(f"{x:.1f},{y:.1f}" for x, y in xs)
                lines.append(f'<polyline points="{way}" fill="none" {style}/>')
    lines.append(
        f'<text x="{_x(axis.azimuth_deg, centre_deg):.1f}" y="{_y(axis.elevation_deg) + 4:.1f}" text-anchor="middle" '
        'font-weight="700" fill="#048">lens</text>'
    )
    return lines


def _beside(axis: Direction, by_deg: float, turn_deg: float) -> tuple[float, float]:
    """Return the direction `by_deg` off the axis, on the side of `turn_deg`."""
    up, by, turn = math.radians(axis.elevation_deg), math.radians(by_deg), math.radians(turn_deg)
    sine = math.sin(up) * math.cos(by) + math.cos(up) * math.sin(by) * math.cos(turn)
    elevation = math.asin(min(1.0, max(-1.0, sine)))
    east = math.atan2(math.sin(turn) * math.sin(by) * math.cos(up), math.cos(by) - math.sin(up) * sine)
    return axis.azimuth_deg + math.degrees(east), math.degrees(elevation)


def _horizon(survey: Survey, centre_deg: float) -> str:
    left_deg = centre_deg - 180.0
    points = [(left_deg + step, survey.horizon.elevation_deg(left_deg + step + 1e-6)) for step in range(0, 361, 2)]
    edge = " ".join(
        f"{_LEFT + _scale() * (azimuth - left_deg):.1f},{_y(elevation):.1f}" for azimuth, elevation in points
    )
    floor = _y(_LOWEST_DEG)
    return (
        f'<polygon points="{_LEFT},{floor:.1f} {edge} {WIDTH - _RIGHT},{floor:.1f}" fill="#6b7a5a" '
        'fill-opacity=".35" stroke="#444"/>'
    )


def _scale() -> float:
    return (WIDTH - _LEFT - _RIGHT) / 360.0


def _x(azimuth_deg: float, centre_deg: float) -> float:
    return _LEFT + _scale() * ((azimuth_deg - centre_deg + 180.0) % 360.0)


def _y(elevation_deg: float) -> float:
    elevation_deg = min(90.0, max(_LOWEST_DEG, elevation_deg))
    return _TOP + (90.0 - elevation_deg) / (90.0 - _LOWEST_DEG) * (HEIGHT - _TOP - _BOTTOM)
