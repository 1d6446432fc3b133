"""The licence plates of Alabama to Missouri: colours, general layout and serial patterns of present passenger issues.

Facts about the issues are told in our own drawing and lettering; no artwork is copied, and emblems are plain shapes.
"""

from hw_sim.lettering import (
    BLOCK,
    NARROW,
    PRINTED_SCRIPT,
    PRINTED_SERIF,
    ROUND,
    SANS,
    SLANTED,
    TALL,
    WIDE,
)
from hw_sim.plate_looks import (
    LOWER_CORNERS,
    LOWER_RIGHT,
    UPPER_RIGHT,
    PlateLook,
    area,
    fade,
    foot,
    head,
)
from hw_sim.plate_paint import (
    BARE,
    BLACK,
    BLUE,
    GOLD,
    GREEN,
    MAROON,
    NAVY,
    RED,
    bow,
    clear_ink,
    dark_ground,
    disc,
    firs,
    hills,
    rectangle,
    ridge,
    star,
)

_PALE = (214, 206, 196)

LOOKS: tuple[PlateLook, ...] = (
    PlateLook(
        region="US-AL", serials=("#@@####", "##@@###", "##@####", "#@#####"), ink=BLACK, die=SANS, is_embossed=False,
        stops=fade((0.0, 196, 140, 70), (0.45, 222, 206, 180), (1.0, 214, 210, 196)), stickers=UPPER_RIGHT,
        areas=(area(hills(3, 4.9, 0.35), (90, 160, 100), 0.8, 0.06),
               area(hills(9, 5.5, 0.2), (150, 110, 50), 0.8, 0.05)),
        lines=(head("Alabama", NAVY, PRINTED_SERIF), foot("Sweet Home", ink=NAVY, style=PRINTED_SCRIPT, height=0.55)),
    ),
    PlateLook(
        region="US-AK", serials=("@@@_###",), ink=NAVY, die=ROUND, stops=((0.0, clear_ink(44, 176, 226)),), rim=NAVY,
        emblem=(area(rectangle(5.55, 2.2, 6.45, 3.6), (110, 60, 30)), area(star(6.1, 2.9, 0.25), (60, 190, 230))),
        lines=(head("ALASKA", NAVY), foot("THE LAST FRONTIER", ink=NAVY)),
    ),
    PlateLook(
        region="US-AZ", serials=("@@@####", "@@@ #@@"), ink=GREEN, die=NARROW,
        stops=fade((0.0, 196, 168, 96), (0.35, 212, 210, 206), (0.7, 150, 190, 216), (1.0, 96, 150, 214)),
        areas=(area(ridge(4, 5.3, 0.45), (112, 72, 92), 0.9), area(rectangle(0.5, 3.2, 0.7, 4.9), (90, 60, 70), 0.7)),
        lines=(head("ARIZONA", NAVY), foot("GRAND CANYON STATE", ink=BARE, height=0.36)),
    ),
    PlateLook(
        region="US-AR", serials=("@@@ ##@", "### @@@"), ink=BLACK, die=BLOCK, rim=None,
        areas=(area(star(6.0, 2.9, 1.3, 4, 0.75), _PALE, 0.8),),
        lines=(head("Arkansas", NAVY, PRINTED_SERIF, height=0.85), foot("The Natural State", ink=RED)),
    ),
    PlateLook(
        region="US-CA", serials=("#@@@###",), ink=NAVY, die=NARROW, serial_height=2.75,
        lines=(head("California", RED, PRINTED_SCRIPT, height=1.05, y=0.9), foot("dmv.ca.gov", ink=RED)),
    ),
    PlateLook(
        region="US-CA", serials=("#@@@###",), ink=GOLD, die=NARROW, stops=((0.0, dark_ground(34, 30, 30)),),
        rim=GOLD, lines=(head("CALIFORNIA", GOLD),),
    ),
    PlateLook(
        region="US-CO", serials=("@@@·@##", "###·@@@"), ink=GREEN, die=ROUND, stickers=LOWER_CORNERS, serial_y=3.2,
        stops=((0.0, clear_ink(74, 92, 42)),), areas=(area(ridge(11, 1.5, 0.75, 9), (203, 205, 204)),),
        lines=(foot("COLORADO", ink=GREEN, height=0.62, y=5.25),), rim=GREEN,
    ),
    PlateLook(
        region="US-CT", serials=("@@·#####", "###·@@@"), ink=NAVY, die=SANS, stickers=(),
        stops=fade((0.0, 188, 128, 66), (0.4, 218, 196, 164), (1.0, 210, 208, 202)),
        lines=(head("Connecticut", NAVY, PRINTED_SERIF), foot("Constitution State", ink=NAVY, style=PRINTED_SERIF)),
    ),
    PlateLook(
        region="US-DE", serials=("######",), ink=GOLD, die=SANS, stops=((0.0, dark_ground(92, 44, 22)),),
        is_embossed=False, rim=GOLD, stickers=LOWER_RIGHT,
        lines=(head("THE FIRST STATE", GOLD, height=0.5), foot("DELAWARE", ink=GOLD, height=0.6)),
    ),
    PlateLook(
        region="US-DC", serials=("@@-####",), ink=BLUE, die=SANS, is_embossed=False,
        areas=(area(rectangle(0.0, 1.25, 12.0, 1.45), (60, 50, 170)),
               area(rectangle(0.0, 4.7, 12.0, 4.9), (60, 50, 170))),
        lines=(head("WASHINGTON, DC", BLUE), foot("TAXATION WITHOUT REPRESENTATION", ink=BLUE, height=0.36)),
    ),
    PlateLook(
        region="US-FL", serials=("@@@_@##", "##@_@@@", "@##_@@@"), ink=GREEN, die=BLOCK,
        stickers=UPPER_RIGHT, rim=GREEN,
        areas=(area(((2.2, 1.5), (7.2, 1.5), (8.6, 3.0), (9.6, 4.8), (8.9, 5.0), (7.2, 3.4), (6.6, 2.2), (2.2, 2.0)),
                    (170, 206, 180), 0.7),),
        emblem=(area(disc(5.85, 3.2, 0.5), (40, 132, 226)), area(disc(6.2, 2.7, 0.42), (50, 148, 232)),
                area(disc(6.25, 2.1, 0.35, 0.16), (60, 130, 50))),
        lines=(head("MYFLORIDA.COM", GREEN, height=0.6), foot("SUNSHINE STATE", ink=GREEN)),
    ),
    PlateLook(
        region="US-GA", serials=("@@@####",), ink=BLACK, die=SANS, is_embossed=False, stickers=LOWER_CORNERS,
        areas=(area(disc(6.0, 3.0, 1.25), (130, 176, 224), 0.7, 0.1),
               area(disc(6.5, 2.0, 0.5, 0.2), (120, 180, 140), 0.6)),
        lines=(head("www.GEORGIA.gov", BLACK, PRINTED_SERIF),
               foot("COBB", "FULTON", "GWINNETT", "IN GOD WE TRUST", ink=BLACK)),
    ),
    PlateLook(
        region="US-HI", serials=("@@@ ###",), ink=BLACK, die=TALL, stickers=UPPER_RIGHT, serial_height=2.85,
        areas=(area(bow(6.0, 4.6, 5.3, 5.7), (110, 110, 216), 0.75),
               area(bow(6.0, 4.6, 4.9, 5.3), (90, 190, 226), 0.75),
               area(bow(6.0, 4.6, 4.5, 4.9), (130, 190, 130), 0.75),
               area(bow(6.0, 4.6, 4.1, 4.5), (196, 150, 110), 0.75)),
        lines=(head("HAWAII", BLACK, height=0.6), foot("ALOHA STATE", ink=BLACK)),
    ),
    PlateLook(
        region="US-ID", serials=("#@ @####", "#@ #####", "@ ######"), ink=BLACK, die=SLANTED, stickers=LOWER_RIGHT,
        stops=fade((0.0, 70, 60, 186), (0.2, 90, 80, 190), (0.42, 204, 204, 204), (0.75, 206, 200, 194)),
        areas=(area(ridge(21, 4.8, 0.35), (190, 150, 110), 0.8), area(ridge(22, 5.3, 0.4, 22), (140, 84, 46))),
        lines=(head("Scenic IDAHO", BARE, PRINTED_SERIF), foot("FAMOUS POTATOES", ink=BARE, height=0.42)),
    ),
    PlateLook(
        region="US-IL", serials=("@@ #####", "@######"), ink=MAROON, die=ROUND, stickers=UPPER_RIGHT,
        stops=fade((0.0, 216, 190, 150), (0.5, 214, 206, 196), (1.0, 206, 206, 204)),
        areas=(area(disc(6.2, 3.2, 1.1, 1.6), (206, 180, 150), 0.7, 0.12),
               area(ridge(7, 4.6, 0.3, 30, 4.9), (200, 170, 136), 0.8)),
        lines=(head("Illinois", BLUE, PRINTED_SCRIPT, height=1.0), foot("LAND OF LINCOLN", ink=BLUE)),
    ),
    PlateLook(
        region="US-IN", serials=("###@@@", "###@@"), ink=NAVY, die=SANS, is_embossed=False, stickers=UPPER_RIGHT,
        stops=fade((0.0, 206, 176, 130), (0.4, 212, 208, 200), (1.0, 204, 206, 206)),
        areas=(area(hills(5, 5.0, 0.2), (120, 170, 130), 0.8), area(rectangle(4.6, 4.5, 7.4, 5.0), (70, 60, 150), 0.8)),
        lines=(head("INDIANA", NAVY), foot("TORCH", ink=NAVY, height=0.3)),
    ),
    PlateLook(
        region="US-IA", serials=("@@@ ###",), ink=BLACK, die=ROUND, stickers=LOWER_CORNERS,
        stops=fade((0.0, 190, 140, 84), (0.3, 208, 190, 166), (0.45, 204, 206, 204)),
        areas=(area(ridge(13, 4.2, 0.5, 20, 4.6), (206, 196, 186)),),
        lines=(head("IOWA", NAVY, PRINTED_SERIF), foot("POLK", "SCOTT", "LINN", "STORY", ink=BLACK)),
    ),
    PlateLook(
        region="US-KS", serials=("### @@@", "####@@@"), ink=NAVY, die=NARROW,
        stops=fade((0.0, 204, 176, 136), (0.5, 212, 206, 196), (1.0, 150, 196, 214)),
        areas=(area(disc(6.0, 3.2, 1.0, 1.4), (214, 196, 180), 0.8, 0.1),),
        lines=(head("KANSAS", NAVY), foot("to the stars", ink=NAVY, style=PRINTED_SERIF)),
    ),
    PlateLook(
        region="US-KY", serials=("@#@###", "### @@@"), ink=NAVY, die=TALL, stickers=LOWER_RIGHT,
        stops=fade((0.0, 206, 204, 200), (0.5, 212, 202, 190), (1.0, 180, 134, 80)),
        lines=(head("KENTUCKY", NAVY), foot("JEFFERSON", "FAYETTE", "KENTON", ink=BARE)),
    ),
    PlateLook(
        region="US-LA", serials=("### @@@",), ink=NAVY, die=BLOCK,
        stops=fade((0.0, 206, 206, 204), (0.6, 210, 206, 200), (1.0, 208, 190, 160)),
        areas=(area(disc(6.0, 3.1, 0.9, 1.3), (196, 200, 206), 0.8, 0.1),),
        lines=(head("LOUISIANA", RED, height=0.8), foot("SPORTSMAN'S PARADISE", ink=NAVY, height=0.4)),
    ),
    PlateLook(
        region="US-ME", serials=("### @@@", "#### @@"), ink=NAVY, die=WIDE, stops=fade((0.0, 184, 204, 212)),
        areas=tuple(area(points, (80, 110, 70), 0.55) for points in firs(3, 4.7, 3.2, 3)),
        lines=(head("MAINE", NAVY), foot("VACATIONLAND", ink=NAVY)),
    ),
    PlateLook(
        region="US-MD", serials=("#@@####",), ink=BLACK, die=NARROW, serial_y=2.95,
        areas=(area(hills(2, 5.0, 0.3), (50, 170, 220)), area(rectangle(0.0, 5.3, 6.0, 6.0), (44, 42, 46), 0.9),
               area(rectangle(6.0, 5.3, 12.0, 6.0), (60, 50, 176))),
        lines=(head("Maryland", RED, PRINTED_SCRIPT, height=0.95),),
    ),
    PlateLook(
        region="US-MA", serials=("#@@@ ##", "#@@ ###", "### @@#", "##@ @##"), ink=RED, die=ROUND,
        lines=(head("Massachusetts", BLUE, PRINTED_SERIF),
               foot("The Spirit of America", ink=BLUE, style=PRINTED_SCRIPT)),
    ),
    PlateLook(
        region="US-MI", serials=("@@@ ####", "#@@ @##"), ink=BLUE, die=SLANTED,
        areas=(area(hills(8, 5.1, 0.25), (150, 86, 36)),),
        lines=(head("PURE MICHIGAN", BLUE, height=0.5), foot("michigan.org", ink=BARE, height=0.42, y=5.5)),
    ),
    PlateLook(
        region="US-MN", serials=("###_@@@", "@@@_###"), ink=NAVY, die=ROUND, stickers=LOWER_CORNERS,
        stops=fade((0.0, 206, 190, 160), (0.3, 204, 166, 110), (0.42, 206, 206, 204), (1.0, 204, 206, 206)),
        areas=tuple(area(points, (90, 120, 80), 0.8) for points in firs(6, 1.7, 0.8, 11)),
        emblem=(area(rectangle(5.7, 2.4, 6.3, 3.7), (190, 130, 70)),),
        lines=(head("Minnesota", BLUE, PRINTED_SERIF), foot("10,000 lakes", ink=BLUE)),
    ),
    PlateLook(
        region="US-MS", serials=("@@@ ####",), ink=NAVY, die=WIDE, stickers=LOWER_CORNERS,
        stops=fade((0.0, 176, 200, 214), (0.5, 196, 206, 210), (1.0, 170, 196, 212)),
        areas=(area(disc(6.0, 3.0, 1.2), (150, 190, 214), 0.8), area(disc(6.0, 3.0, 0.95), (186, 206, 214))),
        lines=(head("MISSISSIPPI", NAVY, PRINTED_SERIF), foot("HINDS", "RANKIN", "LEE", ink=NAVY)),
    ),
    PlateLook(
        region="US-MO", serials=("@@# @#@", "##@ @#@"), ink=NAVY, die=TALL, stickers=(),
        stops=fade((0.0, 206, 206, 204), (0.55, 212, 200, 180), (1.0, 190, 150, 90)),
        areas=(area(hills(14, 5.2, 0.25), (176, 120, 60), 0.8),),
        lines=(head("MISSOURI", GREEN), foot("SHOW-ME STATE", ink=BARE)),
    ),
)  # fmt: skip
"""The issues by region, Alabama to Missouri."""
