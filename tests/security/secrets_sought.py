"""What must not be found anywhere on a unit's side, in all the spellings in which it could lie there."""

import base64
import math
import struct
from dataclasses import dataclass, field

JPEG_STARTS = [b"\xff\xd8\xff" + marker for marker in (b"\xe0", b"\xe1", b"\xdb", b"\xee")]
AVIF_START = b"ftypavif"
PICTURE_SLICE_BYTES = 24


@dataclass(frozen=True)
class Secret:
    """One thing, by a name that may be told, and how it is spelt."""

    name: str
    spellings: tuple[bytes, ...] = field(repr=False)

    def count(self, data):
        return sum(data.count(spelling) for spelling in self.spellings)


def in_base64(content):
    """Return how `content` looks inside base64, wherever in a longer text it begins."""
    found = set()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + content)
        own = encoded[math.ceil(offset * 8 / 6) : (offset + len(content)) * 8 // 6]
        found |= {own, own.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def of_bytes(name, content):
    """A secret of raw bytes: as they are, in hex of both cases, in base64."""
    return Secret(name, (content, content.hex().encode(), content.hex().upper().encode(), *sorted(in_base64(content))))


def of_text(name, text):
    """A secret text: in UTF-8 and UTF-16 of both orders, each as it is, in hex and in base64; and in small letters."""
    contents = {form.encode(code) for form in (text, text.lower()) for code in ("utf-8", "utf-16-le", "utf-16-be")}
    return Secret(name, tuple(sorted({spelling for one in contents for spelling in of_bytes(name, one).spellings})))


def of_degrees(name, degrees):
    """A coordinate: as text down to 11 m, and as floating point of both orders, as CBOR and SQLite have it."""
    spellings = of_text(name, f"{degrees:.4f}"[:-1]).spellings
    return Secret(
        name, (*spellings, struct.pack(">d", degrees), struct.pack("<d", degrees), struct.pack(">f", degrees))
    )


def of_picture(name, picture):
    """A picture: a piece of its very own data, from the middle."""
    middle = len(picture) // 2
    return of_bytes(name, picture[middle : middle + PICTURE_SLICE_BYTES])


def of_any_picture():
    """Any picture at all."""
    starts = [*JPEG_STARTS, AVIF_START]
    texts = [spelling for start in starts for spelling in (start, start.hex().encode())]
    return Secret("a picture", (*texts, b"JFIF\0", b"data:image/", b"/9j/4AAQSkZJRg", b"AAAAIGZ0eXBhdmlm"))


def found_in(data, secrets):
    """Return the names of the secrets that `data` holds."""
    return sorted({secret.name for secret in secrets if secret.count(data)})
