"""A label drawn, 50 x 25 mm: the code on the left, beside it in print what a technician types if the code is worn.

The code keeps error correction of level Q (a quarter of it may be scratched or dirty) and its quiet zone of four
modules (ISO/IEC 18004). The picture has 600 dots an inch and says so, so that it prints in its size.
"""

import html
import zlib
from typing import Any, Final

import segno

from provisioning.labels import Label

WIDTH_MM, HEIGHT_MM = 50.0, 25.0
CODE_MM: Final = 24.0
MARGIN_MM: Final = 0.5
TEXT_LEFT_MM: Final = 25.5
TEXT_WIDTH_MM: Final = 23.5
DOTS_PER_MM: Final = 600 / 25.4
QUIET_MODULES: Final = 4

LINES_MM: Final = (7.0, 12.5, 17.5, 21.5)
"""Where the lines of print stand, from the label's top."""

_WIDEST_MM: Final = (3.4, 2.9, 2.6, 2.6)
_ADVANCE: Final = 0.6  # of a monospaced letter, in its size


def modules(label: Label) -> list[list[bool]]:
    """Return the code, dark is True, with its quiet zone."""
    code = segno.make(label.text(), error="q", micro=False, boost_error=False)
    return [[bool(module) for module in row] for row in code.matrix_iter(border=QUIET_MODULES)]


def lines(label: Label) -> tuple[str, ...]:
    """Return the print: the name, and key and fleet in groups of four."""
    key = " ".join(label.key[start : start + 4] for start in range(0, len(label.key), 4))
    return ("KESTREL", label.device_id, key, f"FLEET {label.fleet}" if label.fleet else "")


def svg(label: Label) -> bytes:
    """Return the label as SVG."""
    rows = modules(label)
    module_mm = CODE_MM / len(rows)
    dark = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, is_dark in enumerate(row) if is_dark)
    prints = "".join(
        f'<text x="{TEXT_LEFT_MM}" y="{y_mm}" font-size="{_size_mm(line, widest_mm):.2f}">'
        f"{html.escape(line, quote=False)}</text>"
        for line, y_mm, widest_mm in zip(lines(label), LINES_MM, _WIDEST_MM, strict=True)
        if line
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_MM:g}mm" height="{HEIGHT_MM:g}mm" '
        f'viewBox="0 0 {WIDTH_MM:g} {HEIGHT_MM:g}"><rect width="100%" height="100%" fill="#fff"/>'
        f'<g transform="translate({MARGIN_MM} {MARGIN_MM}) scale({module_mm:.5f})"><path d="{dark}"/></g>'
        f'<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-weight="bold">{prints}</g></svg>\n'
    ).encode()


def png(label: Label) -> bytes:
    """Return the label as a grey PNG of 600 dots an inch."""
    import cv2  # noqa: PLC0415  slow to load, and an SVG needs none of it
    import numpy as np  # noqa: PLC0415

    picture = np.full((round(HEIGHT_MM * DOTS_PER_MM), round(WIDTH_MM * DOTS_PER_MM)), 255, np.uint8)
    code = np.where(np.array(modules(label)), 0, 255).astype(np.uint8)
    dots = int(CODE_MM * DOTS_PER_MM) // len(code)  # whole dots a module, or edges would be grey
    code = np.kron(code, np.ones((dots, dots), np.uint8))
    margin = round(MARGIN_MM * DOTS_PER_MM)
    picture[margin : margin + len(code), margin : margin + len(code)] = code
    for line, y_mm, widest_mm in zip(lines(label), LINES_MM, _WIDEST_MM, strict=True):
        _print(cv2, picture, line, y_mm, _size_mm(line, widest_mm))
    _, made = cv2.imencode(".png", picture)
    return _in_size(made.tobytes())


def _size_mm(line: str, widest_mm: float) -> float:
    """Return the size at which `line` fits."""
    return min(widest_mm, TEXT_WIDTH_MM / (_ADVANCE * max(1, len(line))))


def _print(cv2: Any, picture: Any, line: str, y_mm: float, size_mm: float) -> None:
    """Write a line as wide as a monospaced font of this size would."""
    if not line:
        return
    face, bold = cv2.FONT_HERSHEY_SIMPLEX, 4
    wide_mm = _ADVANCE * size_mm * len(line)
    (wide_px, _), _ = cv2.getTextSize(line, face, 1.0, bold)
    place = (round(TEXT_LEFT_MM * DOTS_PER_MM), round(y_mm * DOTS_PER_MM))
    scale = wide_mm * DOTS_PER_MM / wide_px
    cv2.putText(picture, line, place, face, scale, 0, bold, cv2.LINE_AA)


def _in_size(png_bytes: bytes) -> bytes:
    """Return the PNG with its resolution (chunk pHYs, dots a metre) behind its header (the first 33 bytes)."""
    dots = round(DOTS_PER_MM * 1000).to_bytes(4, "big")
    body = b"pHYs" + dots + dots + b"\x01"
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return png_bytes[:33] + chunk + png_bytes[33:]
