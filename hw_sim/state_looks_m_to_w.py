"""The licence plates of Montana to Wyoming: colours, general layout and serial patterns of present passenger issues.

Facts about the issues are told in our own drawing and lettering; no artwork is copied, and emblems are plain shapes.
"""

from hw_sim.lettering import (
    BLOCK,
    NARROW,
    PRINTED,
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
    UPPER_LEFT,
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
    clear_ink,
    dark_ground,
    disc,
    fir,
    hills,
    rectangle,
    ridge,
    star,
)

LOOKS: tuple[PlateLook, ...] = (
    PlateLook(
        region="US-MT", serials=("#-#####@", "##-####@"), ink=BLACK, die=SANS, is_embossed=False, stickers=UPPER_RIGHT,
        stops=fade((0.0, 200, 150, 90), (0.4, 210, 196, 176), (1.0, 206, 206, 204)),
        areas=(area(ridge(31, 4.9, 0.5), (200, 172, 140), 0.8),),
        lines=(head("MONTANA", NAVY, PRINTED_SERIF), foot("TREASURE STATE", ink=NAVY)),
    ),
    PlateLook(
        region="US-NE", serials=("@@@ ###", "##-@###", "#-@####"), ink=BLACK, die=SANS, is_embossed=False,
        stops=fade((0.0, 206, 206, 204), (0.7, 206, 206, 204), (1.0, 150, 180, 206)), stickers=UPPER_RIGHT,
        areas=(area(hills(33, 5.4, 0.2), (140, 110, 70), 0.7),),
        lines=(head("NEBRASKA", NAVY, height=0.62), foot("THE GOOD LIFE", ink=NAVY, height=0.36)),
    ),
    PlateLook(
        region="US-NV", serials=("##@·###", "###·@##"), ink=NAVY, die=ROUND, stickers=UPPER_RIGHT,
        stops=fade((0.0, 196, 150, 110), (0.35, 180, 196, 214), (0.7, 170, 200, 216), (1.0, 140, 180, 206)),
        areas=(area(ridge(35, 4.7, 0.8, 10), (190, 150, 130), 0.7), area(ridge(36, 5.4, 0.4), (150, 110, 100), 0.8)),
        lines=(head("NEVADA", NAVY, PRINTED_SERIF), foot("Home Means Nevada", ink=NAVY)),
    ),
    PlateLook(
        region="US-NH", serials=("### ####",), ink=GREEN, die=NARROW, stickers=LOWER_CORNERS,
        areas=(area(ridge(37, 3.4, 0.7, 8), (200, 206, 196), 0.9), area(hills(38, 4.4, 0.3), (190, 202, 184), 0.9)),
        lines=(head("LIVE FREE OR DIE", GREEN, height=0.5), foot("NEW HAMPSHIRE", ink=GREEN, height=0.6)),
    ),
    PlateLook(
        region="US-NJ", serials=("@##_@@@", "@@@_##@"), ink=BLACK, die=BLOCK, stickers=(),
        stops=fade((0.0, 66, 182, 222), (0.5, 150, 202, 218), (1.0, 202, 206, 206)),
        emblem=(area(((5.8, 2.4), (6.3, 2.5), (6.1, 3.1), (6.3, 3.4), (5.9, 3.9), (5.7, 3.3)), (40, 40, 40)),),
        lines=(head("New Jersey", BLACK, PRINTED_SERIF), foot("Garden State", ink=BLACK, style=PRINTED_SERIF)),
    ),
    PlateLook(
        region="US-NM", serials=("@@@_###", "###_@@@"), ink=MAROON, die=WIDE, stops=((0.0, clear_ink(48, 186, 226)),),
        emblem=(area(star(6.0, 3.05, 0.55, 8, 0.5), (50, 44, 170)),
                area(disc(6.0, 3.05, 0.2), (48, 186, 226))), rim=MAROON,
        lines=(head("Land of Enchantment", MAROON, height=0.45), foot("New Mexico USA", ink=MAROON, height=0.56)),
        stickers=LOWER_RIGHT,
    ),
    PlateLook(
        region="US-NY", serials=("@@@-####",), ink=NAVY, die=BLOCK, stickers=(),
        areas=(area(rectangle(0.0, 0.0, 12.0, 0.35), (120, 70, 30)), area(ridge(41, 5.3, 0.35), (150, 100, 50), 0.8),
               area(hills(42, 5.7, 0.1), (60, 170, 210))),
        lines=(head("NEW YORK", NAVY, height=0.68, y=0.95), foot("EXCELSIOR", ink=BARE, height=0.36, y=5.55)),
    ),
    PlateLook(
        region="US-NY", serials=("@@@-####",), ink=NAVY, die=BLOCK, stickers=(),
        stops=((0.0, clear_ink(40, 160, 222)),),
        areas=(area(((0.0, 0.0), (12.0, 0.0), (12.0, 0.9), (6.0, 1.5), (0.0, 0.9)), (84, 46, 26)),),
        lines=(head("NEW YORK", BARE, height=0.6, y=0.75), foot("EMPIRE STATE", ink=NAVY)),
    ),
    PlateLook(
        region="US-NC", serials=("@@@-####",), ink=BLUE, die=NARROW, letters="ABCDEFHJKLMNPRSTVWXYZ",
        areas=(area(hills(43, 5.1, 0.2, 5.4), (190, 196, 200), 0.8),
               area(rectangle(4.4, 2.0, 7.8, 2.5), (200, 190, 186), 0.7)),
        lines=(head("First in Flight", RED, PRINTED_SERIF, height=0.6), foot("NORTH CAROLINA", ink=RED, height=0.56)),
    ),
    PlateLook(
        region="US-ND", serials=("### @@@",), ink=BLACK, die=SLANTED, stickers=UPPER_RIGHT,
        stops=fade((0.0, 180, 130, 90), (0.35, 206, 190, 170), (0.62, 196, 204, 206), (0.85, 70, 150, 222)),
        areas=(area(hills(45, 5.5, 0.12), (60, 90, 130), 0.9), area(disc(10.3, 4.9, 0.5, 0.32), (50, 60, 90))),
        lines=(head("NORTH DAKOTA", NAVY, PRINTED_SERIF), foot("PEACE GARDEN STATE", ink=BLACK, height=0.32)),
    ),
    PlateLook(
        region="US-OH", serials=("@@@ ####",), ink=NAVY, die=TALL, stickers=LOWER_CORNERS,
        stops=fade((0.0, 190, 140, 84), (0.35, 200, 200, 206), (0.7, 204, 206, 206), (1.0, 130, 190, 170)),
        areas=(area(star(6.0, 1.9, 1.9, 22, 0.5), (170, 204, 220), 0.5, 0.08),
               area(hills(47, 5.2, 0.2), (120, 170, 120), 0.7)),
        lines=(head("OHIO", NAVY, PRINTED_SERIF), foot("BIRTHPLACE OF AVIATION", ink=NAVY, height=0.34)),
    ),
    PlateLook(
        region="US-OK", serials=("@@@ ###",), ink=NAVY, die=WIDE,
        stops=fade((0.0, 190, 130, 70), (0.3, 206, 180, 150), (0.5, 206, 206, 204)),
        areas=(area(((3.0, 4.4), (8.5, 1.6), (7.2, 3.2), (11.0, 4.6), (6.5, 3.8)), (206, 186, 160), 0.8, 0.05),),
        lines=(head("OKLAHOMA", BARE), foot("IMAGINE THAT", ink=NAVY)),
    ),
    PlateLook(
        region="US-OR", serials=("###_@@@",), ink=NAVY, die=ROUND, stickers=LOWER_CORNERS,
        stops=fade((0.0, 200, 176, 150), (0.4, 206, 200, 196), (1.0, 206, 206, 204)),
        areas=(area(ridge(51, 4.4, 0.6, 9, 5.0), (190, 160, 160), 0.7),),
        emblem=(area(fir(6.0, 4.6, 3.0), (90, 120, 60)),),
        lines=(head("Oregon", NAVY, PRINTED_SERIF, height=0.8),),
    ),
    PlateLook(
        region="US-PA", serials=("@@@-####",), ink=NAVY, die=NARROW, stickers=UPPER_LEFT,
        areas=(area(hills(53, 1.35, 0.05, 0.0), (130, 66, 24)), area(hills(54, 4.75, 0.06), (60, 186, 226))),
        lines=(head("PENNSYLVANIA", BARE, PRINTED, height=0.6, y=0.72), foot("visitPA.com", ink=NAVY, height=0.5)),
    ),
    PlateLook(
        region="US-RI", serials=("#@@-###", "###-###"), ink=NAVY, die=SLANTED, stickers=LOWER_RIGHT,
        stops=fade((0.0, 206, 206, 204), (0.5, 208, 202, 192), (1.0, 206, 186, 150)),
        areas=(area(hills(55, 3.6, 0.8), (206, 176, 136), 0.6), area(hills(56, 4.8, 0.4), (200, 160, 110), 0.6)),
        lines=(head("Rhode Island", NAVY, PRINTED_SERIF), foot("Ocean State", ink=NAVY, style=PRINTED_SERIF)),
    ),
    PlateLook(
        region="US-SC", serials=("@@@_###",), ink=NAVY, die=TALL, stickers=LOWER_CORNERS,
        stops=fade((0.0, 200, 160, 110), (0.3, 206, 200, 192), (1.0, 196, 206, 206)),
        emblem=(area(rectangle(5.92, 2.9, 6.1, 4.4), (110, 80, 50)),
                area(star(6.0, 2.5, 0.75, 9, 0.45), (110, 80, 50))),
        lines=(head("South Carolina", NAVY, PRINTED_SERIF), foot("While I Breathe I Hope", ink=NAVY, height=0.38)),
    ),
    PlateLook(
        region="US-SD", serials=("#@# ###", "##@ ###", "#@@ ###"), ink=BLUE, die=SANS, is_embossed=False,
        stops=fade((0.0, 200, 170, 130), (0.3, 206, 200, 190), (1.0, 190, 200, 206)), stickers=LOWER_RIGHT,
        areas=(area(ridge(57, 3.2, 0.8, 8), (186, 190, 196), 0.8), area(hills(58, 5.1, 0.2), (150, 170, 150), 0.8)),
        lines=(head("South Dakota", RED, PRINTED_SCRIPT), foot("Great Faces Great Places", ink=BLACK, height=0.34)),
    ),
    PlateLook(
        region="US-TN", serials=("@@@ ####", "@##-##@"), ink=BARE, die=SANS, stops=((0.0, dark_ground(74, 40, 20)),),
        is_embossed=False, areas=(area(rectangle(0.0, 5.72, 12.0, 6.0), (60, 50, 170)),),
        lines=(head("TENNESSEE", BARE), foot("THE VOLUNTEER STATE", ink=BARE, height=0.36)),
    ),
    PlateLook(
        region="US-TX", serials=("@@@·####",), ink=BLACK, die=SANS, stickers=(), is_embossed=False,
        areas=(area(star(1.2, 0.95, 0.55), (60, 56, 56)), area(rectangle(10.6, 0.5, 11.2, 1.3), (60, 56, 56))),
        lines=(head("TEXAS", BLACK, height=0.86), foot("The Lone Star State", ink=BLACK, height=0.4)),
        letters="BCDFGHJKLMNPRSTVWXYZ",
    ),
    PlateLook(
        region="US-UT", serials=("@## #@@",), ink=BLACK, die=NARROW,
        stops=fade((0.0, 206, 170, 120), (0.5, 206, 200, 190), (1.0, 110, 160, 210)),
        areas=(area(((4.0, 6.0), (4.4, 2.0), (6.0, 1.3), (8.2, 1.9), (9.2, 6.0), (7.9, 6.0), (7.2, 2.9), (5.9, 2.4),
                     (5.3, 3.2), (5.4, 6.0)), (110, 160, 214), 0.8, 0.03),),
        lines=(head("UTAH", BLACK, PRINTED_SERIF, height=0.8), foot("LIFE ELEVATED", ink=BLACK, height=0.4)),
    ),
    PlateLook(
        region="US-VT", serials=("@@@ ###",), ink=BARE, die=TALL, stops=((0.0, dark_ground(66, 96, 24)),), rim=BARE,
        stickers=LOWER_RIGHT,
        lines=(head("Vermont", BARE, height=0.66), foot("Green Mountain State", ink=BARE, height=0.42)),
    ),
    PlateLook(
        region="US-VA", serials=("@@@-####",), ink=NAVY, die=TALL,
        lines=(head("VIRGINIA", BLUE, PRINTED_SERIF), foot("VIRGINIA IS FOR LOVERS", ink=BLACK, height=0.38)),
    ),
    PlateLook(
        region="US-WA", serials=("@@@####",), ink=NAVY, die=NARROW, serial_height=2.8,
        areas=(area(ridge(61, 3.6, 1.2, 5), (208, 192, 172), 0.8), area(ridge(62, 4.4, 0.3, 24), (208, 196, 180), 0.7)),
        lines=(head("WASHINGTON", RED, height=0.62), foot("EVERGREEN STATE", ink=RED, height=0.42)),
    ),
    PlateLook(
        region="US-WV", serials=("#@@ ###", "@@@ ###"), ink=BLUE, die=SLANTED, stickers=LOWER_CORNERS,
        areas=(area(rectangle(0.0, 0.0, 12.0, 1.3), (140, 76, 26)),
               area(rectangle(0.0, 1.3, 12.0, 1.42), (60, 180, 220)),
               area(rectangle(2.2, 4.75, 9.8, 4.87), (60, 180, 220))),
        lines=(head("West Virginia", GOLD, PRINTED_SERIF, height=0.66, y=0.75),
               foot("Wild, Wonderful", ink=NAVY, style=PRINTED_SERIF)),
    ),
    PlateLook(
        region="US-WI", serials=("@@@-####",), ink=BLACK, die=BLOCK, stickers=LOWER_CORNERS,
        areas=(area(hills(63, 1.4, 0.15, 1.6), (120, 180, 140), 0.6), area(disc(9.6, 1.0, 0.45), (60, 130, 220), 0.8)),
        lines=(head("WISCONSIN", RED, PRINTED_SERIF), foot("America's Dairyland", ink=GREEN, style=PRINTED_SCRIPT)),
    ),
    PlateLook(
        region="US-WY", serials=("##-#####", "#-#####", "##-####"), ink=BLACK, die=WIDE, stickers=UPPER_LEFT,
        stops=fade((0.0, 206, 176, 130), (0.45, 206, 200, 192), (1.0, 200, 204, 206)),
        areas=(area(ridge(65, 3.0, 0.9, 7), (206, 180, 150), 0.8), area(hills(66, 5.0, 0.2), (170, 190, 190), 0.8)),
        lines=(foot("WYOMING", ink=NAVY, height=0.62),),
    ),
)  # fmt: skip
"""The issues by region, Montana to Wyoming."""
