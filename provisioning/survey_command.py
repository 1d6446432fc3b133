"""The options of `kestrel-provision survey`; what it does is `provisioning.survey_session`, loaded when asked for."""

import argparse
from pathlib import Path

from provisioning import speaking


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--name", required=True, help="what people call the site, such as 'North gate'")
    parser.add_argument("--latitude", type=float, required=True, help="degrees (WGS 84), north is positive")
    parser.add_argument("--longitude", type=float, required=True, help="degrees (WGS 84), east is positive")
    parser.add_argument("--bearing", type=float, required=True, help="where the lens will point, degrees from north")
    mount = parser.add_argument_group("how the unit will hang")
    mount.add_argument("--lens-mm", type=float, default=16.0, help="default: %(default)s")
    mount.add_argument("--height-m", type=float, default=3.4, help="of the lens above the road (default: %(default)s)")
    mount.add_argument("--beside-m", type=float, default=2.1, help="right of the lane's middle (default: %(default)s)")
    mount.add_argument("--ahead-m", type=float, default=9.6, help="along the road to the plates (default: %(default)s)")
    parser.add_argument(
        "--horizon",
        default="",
        metavar="AZ:EL,...",
        help="edges of hills, trees, roofs in degrees, such as 90:5,120:14,180:3",
    )
    parser.add_argument(
        "--clearness", type=float, default=0.4,
        help="light through the air in winter: 0.5 California, 0.4 the lakes, 0.3 Seattle (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--load-w", type=float, default=2.5, help="what the unit takes (default: %(default)s)")
    parser.add_argument("--days", type=float, default=5.0, help="without sun (default: %(default)s)")
    parser.add_argument("--utc-offset", type=float, help="hours (default: from the longitude)")
    parser.add_argument(
        "--others",
        type=Path,
        nargs="*",
        default=[],
        metavar="JSON",
        help="surveys or configurations of the fleet's other sites",
    )
    parser.add_argument("--signal", choices=["none", "modem"], default="none", help="log what the modem here receives")
    parser.add_argument("--board", choices=["pi", "sim"], default="pi", help="sim: a simulated modem, for practice")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long to log the signal (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for survey.json and survey.html")
    parser.add_argument("--unit", type=Path, metavar="UNIT", help="the unit's folder: keep it for the hand-over too")
    parser.set_defaults(command=_survey)


def _survey(options: argparse.Namespace) -> None:
    speaking.begin("Sun, panel and line of sight are reckoned ...")
    from provisioning import survey_session  # noqa: PLC0415

    survey_session.run(options)
