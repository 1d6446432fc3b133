"""The page of a hand-over for people: a PDF of letter size that reads well when it is printed in black and white.

Made from the record and nothing else, so that it says what was signed. The same record makes the same bytes.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from cloud.handover import Checked, HandoverRecord, Number, Source, Step, record_sha256
from cloud.registry import moment
from firmware.config import SiteConfig
from provisioning.handover_photos import Picture

MARGIN_MM: Final = 13.0
WIDTH_MM: Final = 215.9 - 2 * MARGIN_MM
HEIGHT_MM: Final = 279.4
GUTTER_MM: Final = 5.0
ROW_MM: Final = 4.3
HIGHEST_PICTURE_MM: Final = 54.0
FONT: Final = "Helvetica"
BLACK, GREY, LIGHT, WHITE = 0, 90, 232, 255

STATES: Final = {"pass": "pass", "warn": "look at it", "fail": "FAIL", "absent": "not fitted"}
_STEPS: Final = {Step.SURVEY: "Survey", Step.CHECK: "Check", Step.AIM: "Aim"}
_COMPASS: Final = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")

REAR_ONLY: Final = "The camera sees the rears of vehicles only: no fronts and no faces. Confirmed by who accepted."
NO_SHORTCOMINGS: Final = "Survey, check and aim were done, were good and were new enough."
DESPITE: Final = "Accepted all the same, with these shortcomings:"
HOW_TO_VERIFY: Final = (
    "Signed by the unit (Ed25519) together with the record of the same name that ends in .json; "
    "`kestrel-provision verify RECORD.json --fleet FLEET` says whether both are whole."
)
NO_FAILURES: Final = "Every part that is fitted was looked at by name."

Say = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What the page says of the signature: the key's fingerprint and the signature itself."""

    fingerprint: str  # SHA-256 of the public key, hexadecimal
    signature: bytes


def page(record: HandoverRecord, signed: Signed, pictures: Sequence[Picture], say: Say) -> bytes:
    """Return the PDF. `say` turns an English sentence into the page's language."""
    sheet = _Sheet(record, say)
    sheet.add_page()
    _title(sheet, record)
    _place_and_people(sheet, record)
    _shortcomings(sheet, record)
    _sources(sheet, record.sources)
    if record.checks:
        _checks(sheet, record.checks)
    _numbers(sheet, (("Measured while aiming", record.aim), ("From the survey", record.survey)))
    _pictures(sheet, pictures)
    _versions(sheet, record.versions)
    _signature(sheet, record, signed)
    out = BytesIO()
    sheet.output(out)
    return out.getvalue()


class _Sheet(FPDF):
    """Pages with a foot that names unit, record and number; all text goes through `put`."""

    def __init__(self, record: HandoverRecord, say: Say) -> None:
        super().__init__(format="letter", unit="mm")
        self._record, self._say = record, say
        self.set_margins(MARGIN_MM, MARGIN_MM)
        self.set_auto_page_break(True, margin=MARGIN_MM + 4)
        self.set_creation_date(moment(record.accepted_utc))
        self.set_title(self.written(f"{say('Hand-over record')} {record.device_id}"))
        self.set_creator("kestrel-provision")
        self.set_line_width(0.2)

    def footer(self) -> None:
        """Write the foot of a page."""
        self.set_y(-MARGIN_MM)
        self.set_text_color(GREY)
        self.set_font(FONT, size=7)
        record, page = self._say("Hand-over record"), self._say("page")
        self.cell(w=WIDTH_MM * 0.8, text=f"{self._record.device_id}   {record} {record_sha256(self._record)[:16]}")
        self.cell(w=WIDTH_MM * 0.2, text=f"{page} {self.page_no()}", align="R")

    def said(self, english: str) -> str:
        """Return a sentence in the page's language."""
        return self.written(self._say(english))

    def written(self, text: str) -> str:
        """Return `text` in the letters of the page's font, which are those of western Europe."""
        return text.encode("latin-1", "replace").decode("latin-1")

    def put(
        self, text: str, *, size: float = 9, bold: bool = False, grey: bool = False, width_mm: float = WIDTH_MM
    ) -> None:
        """Write a paragraph from the left margin."""
        self.set_text_color(GREY if grey else BLACK)
        self.set_font(FONT, style="B" if bold else "", size=size)
        self.set_x(MARGIN_MM)
        self.multi_cell(w=width_mm, h=size * 0.45, text=text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def heading(self, english: str, *, room_mm: float = 24.0) -> None:
        """Write a heading, on the next page if there are less than `room_mm` left on this one."""
        if self.get_y() + room_mm > HEIGHT_MM - MARGIN_MM - 4:
            self.add_page()
        self.ln(3.2)
        self.put(self.said(english), size=11, bold=True)
        self.set_draw_color(BLACK)
        self.line(MARGIN_MM, self.get_y() + 0.5, MARGIN_MM + WIDTH_MM, self.get_y() + 0.5)
        self.ln(1.8)

    def row(self, cells: Sequence[tuple[str, float, bool]], *, shaded: bool = False) -> None:
        """Write cells (text, width in mm, bold) beside each other; the last one may take several lines."""
        self.set_text_color(BLACK)
        *first, (last, last_mm, last_bold) = cells
        self.set_font(FONT, style="B" if last_bold else "", size=8.5)
        lines = self.multi_cell(w=last_mm, h=ROW_MM, text=last, dry_run=True, output="LINES")
        height_mm = ROW_MM * (max(1, len(lines)) if isinstance(lines, list) else 1)
        if self.get_y() + height_mm > HEIGHT_MM - MARGIN_MM - 4:
            self.add_page()
        left_mm, top_mm = self.get_x(), self.get_y()
        if shaded:
            self.set_fill_color(LIGHT)
            self.rect(left_mm, top_mm, sum(one[1] for one in cells), height_mm, style="F")
        for text, width_mm, bold in first:
            self.set_font(FONT, style="B" if bold else "", size=8.5)
            self.cell(w=width_mm, h=ROW_MM, text=text)
        self.set_font(FONT, style="B" if last_bold else "", size=8.5)
        self.multi_cell(w=last_mm, h=ROW_MM, text=last, align="L", new_x=XPos.LEFT, new_y=YPos.NEXT)
        self.set_xy(left_mm, top_mm + height_mm)


def _title(sheet: _Sheet, record: HandoverRecord) -> None:
    sheet.set_fill_color(BLACK)
    sheet.rect(MARGIN_MM, MARGIN_MM, WIDTH_MM, 19, style="F")
    sheet.set_text_color(WHITE)
    sheet.set_xy(MARGIN_MM + 4, MARGIN_MM + 2.5)
    sheet.set_font(FONT, style="B", size=19)
    sheet.cell(w=110, h=9, text=sheet.said("Hand-over record"))
    sheet.set_font(FONT, style="B", size=12)
    sheet.cell(w=WIDTH_MM - 118, h=9, text=record.device_id, align="R")
    sheet.set_xy(MARGIN_MM + 4, MARGIN_MM + 11)
    sheet.set_font(FONT, size=11)
    sheet.cell(w=WIDTH_MM - 8, h=5, text=sheet.written(record.site.name))
    sheet.set_xy(MARGIN_MM, MARGIN_MM + 22)


def _place_and_people(sheet: _Sheet, record: HandoverRecord) -> None:
    site, label_mm = record.site, 44.0
    accepted = moment(record.accepted_utc)
    when = f"{accepted:%Y-%m-%d %H:%M} UTC"
    if not record.clock_trusted:
        when += f" ({sheet.said('by a clock that nobody had set')})"
    rows = (
        ("Accepted by", sheet.written(record.accepted_by)),
        ("Accepted at", when),
        ("Location (WGS 84)", f"{site.latitude_deg:.6f}, {site.longitude_deg:.6f}"),
        ("The lens points", _bearing(site, sheet)),
        ("Rear plates only", sheet.said(REAR_ONLY)),
    )
    for label, value in rows:
        sheet.set_x(MARGIN_MM)
        sheet.row(((sheet.said(label), label_mm, False), (value, WIDTH_MM - label_mm, True)))


def _bearing(site: SiteConfig, sheet: _Sheet) -> str:
    side = _COMPASS[round(site.bearing_deg / 45.0) % 8]
    return sheet.said(f"{site.bearing_deg:.0f} deg ({side})")


def _shortcomings(sheet: _Sheet, record: HandoverRecord) -> None:
    sheet.ln(2.5)
    if not record.despite:
        sheet.put(sheet.said(NO_SHORTCOMINGS), bold=True)
        return
    sheet.put(sheet.said(DESPITE), bold=True)
    for one in record.despite:
        sheet.put(f"-  {sheet.said(one)}")
    sheet.put(f"{sheet.said('Reason')}: {sheet.written(record.reason)}", bold=True)


def _sources(sheet: _Sheet, sources: Sequence[Source]) -> None:
    sheet.ln(1.5)
    for one in sources:
        made = moment(one.made_utc).astimezone(dt.UTC)
        state = sheet.said(STATES["pass"] if one.passed else "not good")
        sheet.set_x(MARGIN_MM)
        sheet.row(
            (
                (sheet.said(_STEPS[one.name]), 30, True),
                (state, 24, False),
                (f"{made:%Y-%m-%d %H:%M} UTC", 38, False),
                (f"SHA-256 {one.sha256[:32]}", WIDTH_MM - 92, False),
            )
        )


def _checks(sheet: _Sheet, checks: Sequence[Checked]) -> None:
    sheet.heading("Parts of the unit")
    sheet.put(sheet.said(NO_FAILURES), size=8, grey=True)
    sheet.ln(0.8)
    for number, one in enumerate(checks):
        is_amiss = one.state in {"warn", "fail"}
        sheet.set_x(MARGIN_MM)
        sheet.row(
            (
                (sheet.said(one.part), 30, True),
                (sheet.said(STATES[one.state]), 24, is_amiss),
                (_found(sheet, one) if is_amiss else sheet.said(one.found), WIDTH_MM - 54, False),
            ),
            shaded=number % 2 == 0,
        )


def _found(sheet: _Sheet, one: Checked) -> str:
    """Return what is wrong with a part and the likely cause, each said by itself."""
    return f"{sheet.said(one.found)}. {sheet.said(one.cause)}" if one.cause else sheet.said(one.found)


def _numbers(sheet: _Sheet, tables: Sequence[tuple[str, Sequence[Number]]]) -> None:
    """Write two columns of numbers, those of the first table filling both if the second is empty."""
    filled = [(title, numbers) for title, numbers in tables if numbers]
    for title, numbers in filled:
        half = (len(numbers) + 1) // 2
        sheet.heading(title, room_mm=10 + ROW_MM * half)
        column_mm = (WIDTH_MM - GUTTER_MM) / 2
        top_mm = sheet.get_y()
        for column, part in enumerate((numbers[:half], numbers[half:])):
            sheet.set_y(top_mm)
            for number, one in enumerate(part):
                sheet.set_x(MARGIN_MM + column * (column_mm + GUTTER_MM))
                sheet.row(
                    ((sheet.said(one.name), 52, False), (sheet.said(one.value), column_mm - 52, True)),
                    shaded=number % 2 == 0,
                )
        sheet.set_y(top_mm + ROW_MM * half)


def _pictures(sheet: _Sheet, pictures: Sequence[Picture]) -> None:
    """Place the pictures two or three in a row, each with who took it."""
    if not pictures:
        return
    in_row = 2 if len(pictures) <= 2 else 3
    width_mm = (WIDTH_MM - (in_row - 1) * GUTTER_MM) / in_row
    heights_mm = [min(HIGHEST_PICTURE_MM, width_mm * one.photo.height_px / one.photo.width_px) for one in pictures]
    sheet.heading("Pictures", room_mm=16 + max(heights_mm[:in_row]))
    for first in range(0, len(pictures), in_row):
        row_mm = max(heights_mm[first : first + in_row]) + 5
        if sheet.get_y() + row_mm > HEIGHT_MM - MARGIN_MM - 4:
            sheet.add_page()
        top_mm = sheet.get_y()
        for place, one in enumerate(pictures[first : first + in_row]):
            left_mm, height_mm = MARGIN_MM + place * (width_mm + GUTTER_MM), heights_mm[first + place]
            drawn_mm = height_mm * one.photo.width_px / one.photo.height_px
            sheet.image(BytesIO(one.jpeg), x=left_mm, y=top_mm, w=drawn_mm, h=height_mm)
            sheet.set_draw_color(BLACK)
            sheet.rect(left_mm, top_mm, drawn_mm, height_mm)
            sheet.set_xy(left_mm, top_mm + height_mm + 0.4)
            sheet.set_font(FONT, size=7)
            sheet.set_text_color(GREY)
            by_unit = one.photo.taken_by == "unit"
            taken = "What the unit sees; plates are covered" if by_unit else "Taken by the technician"
            sheet.cell(w=width_mm, h=3.6, text=f"{sheet.said(taken)}  ({one.photo.sha256[:8]})")
        sheet.set_xy(MARGIN_MM, top_mm + row_mm)


def _versions(sheet: _Sheet, versions: dict[str, str]) -> None:
    sheet.heading("Versions", room_mm=10 + ROW_MM * len(versions))
    for number, (name, value) in enumerate(versions.items()):
        sheet.set_x(MARGIN_MM)
        sheet.row(((sheet.said(name), 44, False), (sheet.written(value), WIDTH_MM - 44, False)), shaded=number % 2 == 0)


def _signature(sheet: _Sheet, record: HandoverRecord, signed: Signed) -> None:
    sheet.heading("Signature", room_mm=40)
    signature = signed.signature.hex()
    rows = (
        ("Record, SHA-256", record_sha256(record)),
        ("Key, SHA-256", signed.fingerprint),
        ("Signature", f"{signature[:64]} {signature[64:]}"),
    )
    for label, value in rows:
        sheet.set_x(MARGIN_MM)
        sheet.row(((sheet.said(label), 44, False), (value, WIDTH_MM - 44, False)))
    sheet.ln(1.5)
    sheet.put(sheet.said(HOW_TO_VERIFY), size=8, grey=True)
    sheet.ln(8)
    for label, left_mm in (("Name and signature", 0.0), ("Date", 120.0)):
        line_mm = 105.0 if left_mm == 0 else WIDTH_MM - 120
        sheet.line(MARGIN_MM + left_mm, sheet.get_y(), MARGIN_MM + left_mm + line_mm, sheet.get_y())
        sheet.set_xy(MARGIN_MM + left_mm, sheet.get_y() + 0.6)
        sheet.set_font(FONT, size=7)
        sheet.cell(w=line_mm, h=3, text=sheet.said(label))
        sheet.set_xy(MARGIN_MM, sheet.get_y() - 0.6)
