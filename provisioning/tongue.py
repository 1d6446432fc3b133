"""Says in Spanish what the program says in English: sentences are matched at the edge, after they were made.

The code has its sentences in English, as plain literals and f-strings. A catalogue has a Spanish template for each,
with named places for what is filled in: "{path}: not a private key in PEM" is found in a whole sentence, whatever the
path is, and what stands in its places is said in Spanish in turn. What no template fits stays English; nothing is
refused for it.

The catalogues are gettext's .po files (`provisioning/spanish/`), read when they are needed: no build compiles them, and
1,500 sentences take 25 ms. Numbers stay as they are, with a point: they are typed in again, as options and in
configuration files, which know no comma.
"""

import enum
import functools
import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

FOLDER: Final = "spanish"
PLACE: Final = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
"""What a template has where a value is filled in."""

_SHOWN: Final = re.compile(r'(?<=>)[^<>]+(?=<)|(?<= alt=")[^"<>]+(?=")')
"""What a page of HTML shows: text between two tags, and what stands for a picture."""

_OWN_NAMES: Final = re.compile(r"(\w*_)?(bundle|file|folder|host|id|module|name|out|path|root|unit)(_\d)?")
"""Places of names that people give: one word there is no word of ours."""

_NOT_SHOWN: Final = re.compile(r"(<(style|script)\b.*?(?:</\2>|\Z))", re.DOTALL)
_LETTER: Final = re.compile(r"[^\W\d_]")
PROGRAM: Final = "kestrel-provision: "
_EDGES: Final = re.compile(r"(\s*(?:kestrel-provision(?: [a-z-]+)*: )?)(.*?)(\s*)", re.DOTALL)
"""Around a sentence: spaces, and before it the program that says it."""

_LINE_END: Final = re.compile(r"([\r\n]+)")
_COLUMNS: Final = re.compile(r"( {2,})")
_SEPARATOR: Final = re.compile(
    r"(: |; |, |(?<=[.!?]) (?=[^\W_a-z])| \(|\)[.;:]? ?|\[|\] ?| and no | and |(?<=[0-9]) (?=[a-z])| \.\.\.|^- )"
)
"""Where sentences and lists are put together: after a colon, between sentences, around brackets."""

_LED_IN: Final = re.compile(r"[^\W\d_]+: ")

_MANY_WORDS: Final = re.compile(r" .* |[;:] |;$")
_PIECES_AT_MOST: Final = 24
_DEEPEST: Final = 6
_FEW_LETTERS: Final = 5
"""A template with fewer of its own, as "{first} to {last}", takes values of two words at most; "Why: {this}" any."""


class Language(enum.StrEnum):
    """What the tool speaks."""

    ENGLISH = "en"
    SPANISH = "es"


@dataclass(frozen=True, slots=True)
class _Template:
    """A sentence with places, and the same in Spanish."""

    english: str
    spanish: str
    longest: str  # piece of plain text: what does not have it need not be compared
    fixed: int  # characters outside of its places

    def values(self, text: str) -> dict[str, str] | None:
        """Return what stands in the places if `text` fits; None if not, or if it fits because so little is fixed."""
        match = _pattern(self.english).fullmatch(text) if self.longest in text else None
        if match is None or any("  " in one for one in match.groups()):  # columns, each of which is said by itself
            return None
        if self._is_mostly_places() and any(_MANY_WORDS.search(one) for one in match.groups()):
            return None
        return match.groupdict()

    def filled(self, english: Mapping[str, str], spanish: Mapping[str, str]) -> str:
        """Return the Spanish with its values, which in a dotted name stay English."""
        return PLACE.sub(
            lambda place: (english if place.string[: place.start()].endswith(".") else spanish)[place[1]], self.spanish
        )

    def _is_mostly_places(self) -> bool:
        return not _LED_IN.match(self.english) and len(_LETTER.findall(PLACE.sub("", self.english))) < _FEW_LETTERS


class Tongue:
    """One language."""

    def __init__(self, language: Language, entries: Mapping[str, str] | None = None) -> None:
        """Speak `language`; `entries` are Spanish templates by English ones (default: those of the catalogues)."""
        self.language = language
        given = entries if entries is not None or language is Language.ENGLISH else catalogue()
        self._entries = dict(given or {})
        self._fixed = {english: spanish for english, spanish in self._entries.items() if not PLACE.search(english)}
        self._templates = _sorted({one: self._entries[one] for one in self._entries if one not in self._fixed})
        self._known: dict[str, str] = {}

    def said(self, text: str) -> str:
        """Return `text`, some lines or a part of one, in this language; unchanged where the catalogues lack it."""
        if self.language is Language.ENGLISH:
            return text
        return "".join(part if _LINE_END.match(part) else self._line(part, _DEEPEST) for part in _LINE_END.split(text))

    def said_page(self, page: str) -> str:
        """Return a page of HTML in this language: the texts between its tags, and the language that it names."""
        if self.language is Language.ENGLISH:
            return page
        parts = _NOT_SHOWN.split(page.replace('<html lang="en">', f'<html lang="{self.language}">', 1))
        parts[::3] = [_SHOWN.sub(self._shown, f">{text}<")[1:-1] for text in parts[::3]]
        return "".join(part for number, part in enumerate(parts) if number % 3 != 2)  # which is an element's name

    def _shown(self, match: re.Match[str]) -> str:
        plain = _plain(match[0])
        return html.escape(self.said(plain)) if _LETTER.search(plain) else match[0]

    def _line(self, line: str, depth: int) -> str:
        match = _EDGES.fullmatch(line)
        before, text, after = match.groups() if match else ("", line, "")
        if not depth or not _LETTER.search(text):
            return line
        if text not in self._known:
            if len(self._known) > 4096:  # a session of aiming lasts for hours and its numbers change
                self._known.clear()
            whole = self._whole(text, depth)
            self._known[text] = self._pieces(text, depth) if whole is None else whole
        return before + self._known[text] + after

    def _whole(self, text: str, depth: int) -> str | None:
        """Return `text` said by one entry, that with most text of its own; None if none fits."""
        if text in self._fixed:
            return self._fixed[text]
        said = self._fitted(self._templates, text, depth)
        return self._otherwise_written(text, depth) if said is None else said

    def _fitted(self, templates: Iterable[_Template], text: str, depth: int) -> str | None:
        for template in templates:
            values = template.values(text)
            if values is not None:
                said = {name: self._value(name, value, depth - 1) for name, value in values.items()}
                return template.filled(values, said)
        return None

    def _otherwise_written(self, text: str, depth: int) -> str | None:
        """Return a word in capitals, or a part of a sentence that stands alone, said as it is elsewhere; or None."""
        if text.isupper():
            said = self._fixed.get(text.lower())
            return said and said.upper()
        end = "." if text.endswith(".") else ""
        said = self._hint(text.removesuffix(end), depth)
        return said and said + end

    def _hint(self, text: str, depth: int) -> str | None:
        """Return the end of a sentence that became one of its own, and may have got a capital for that; or None."""
        is_capital = text[:1].isupper() and text[1:2].islower()
        for one in (text, text[0].lower() + text[1:]) if is_capital else (text,):
            said = self._fixed.get(one) or self._fitted(self._begun if " " in one else (), one, depth)
            if said is not None:
                return said if one is text else said[0].upper() + said[1:]
        return None

    @functools.cached_property
    def _begun(self) -> list[_Template]:
        """What begins with words of its own: sentences, and of those that say what to do too, each half by itself."""
        found: dict[str, str] = {}
        for whole in self._entries.items():
            for english, spanish in zip(*(text.split("; ", 1) for text in whole), strict=False):
                has_words = len(_LETTER.findall(PLACE.sub("", english))) > _FEW_LETTERS
                if has_words and "; " in whole[1] and set(PLACE.findall(english)) == set(PLACE.findall(spanish)):
                    found.setdefault(english, spanish)
        return [one for one in _sorted(found | self._entries) if not one.english.startswith("{")]

    def _value(self, name: str, value: str, depth: int) -> str:
        """Return what stands in a place; a folder called "units" keeps its name."""
        return value if _OWN_NAMES.fullmatch(name) and " " not in value else self._line(value, depth)

    def _pieces(self, text: str, depth: int) -> str:
        """Return `text` said piece by piece, the longest run of pieces that an entry fits first; columns are kept."""
        columns = _COLUMNS.split(text)
        if len(columns) > 1:
            return self._columns(columns, depth)
        parts = _SEPARATOR.split(text)
        if len(parts) == 1 or len(parts) > 2 * _PIECES_AT_MOST:
            return text
        out, start = "", 0
        while start < len(parts):
            run, end = self._longest_run(parts, start, depth)
            out += run
            if end < len(parts):
                out += self._gap(parts[end], "".join(parts[start:end]), run)
            start = end + 1
        return out

    def _columns(self, columns: list[str], depth: int) -> str:
        """Return a line's columns, every other one of which is the space between two; they stay where they are."""
        out = ""
        for english, gap in zip(columns[::2], [*columns[1::2], ""], strict=True):
            said = self._line(english, depth)
            out += said + (" " * max(2, len(gap) + len(english) - len(said)) if gap else "")
        return out

    def _gap(self, gap: str, english: str, said: str) -> str:
        """Return a separator after a run of pieces; "and" between words is said too."""
        is_listed = said != english or " " not in english
        return gap.replace(gap.strip(), self._fixed.get(gap.strip(), gap.strip())) if is_listed else gap

    def _longest_run(self, parts: list[str], start: int, depth: int) -> tuple[str, int]:
        """Return the longest run of pieces from `start` on as it is said, and where its last separator stands."""
        for end in range(len(parts) if start else len(parts) - 2, start, -2):
            whole = self._whole("".join(parts[start:end]), depth)
            if whole is not None:
                return whole, end
        return parts[start], start + 1


@functools.cache
def catalogue() -> Mapping[str, str]:
    """Return the Spanish templates of all catalogues by English ones. Raises OSError."""
    from importlib import resources  # noqa: PLC0415  English does without

    files = sorted(resources.files("provisioning").joinpath(FOLDER).iterdir(), key=lambda file: file.name)
    found: dict[str, str] = {}
    for file in files:
        if file.name.endswith(".po"):
            found |= entries_of(file.read_text(encoding="utf-8"))
    return found


def entries_of(text: str) -> dict[str, str]:
    """Return the entries of one catalogue, a .po file's text; those without Spanish are left out."""
    import polib  # noqa: PLC0415  English does without

    return {entry.msgid: entry.msgstr for entry in polib.pofile(text) if entry.msgstr and not entry.obsolete}


def texts_of(page: str) -> list[str]:
    """Return the texts of a page of HTML, or of a part of one, as `Tongue.said_page` looks for them."""
    shown = "".join(part for part in _NOT_SHOWN.split(page)[::3])
    return [text for text in map(_plain, _SHOWN.findall(shown)) if text]


def _plain(text: str) -> str:
    return " ".join(html.unescape(text).split())


def _sorted(entries: Mapping[str, str]) -> list[_Template]:
    """Return entries as templates, those with most text of their own first."""
    return sorted(map(_template, entries.items()), key=lambda one: -one.fixed)


def _template(entry: tuple[str, str]) -> _Template:
    english, spanish = entry
    pieces = PLACE.split(english)[::2]
    return _Template(english, spanish, max(pieces, key=len), sum(map(len, pieces)))


@functools.cache
def _pattern(english: str) -> re.Pattern[str]:
    """Return what a sentence made from a template looks like; a name that comes again has the same value again."""
    seen: set[str] = set()
    out = ""
    for position, piece in enumerate(PLACE.split(english)):
        if position % 2 == 0:
            out += re.escape(piece)
        else:
            out += f"(?P={piece})" if piece in seen else f"(?P<{piece}>.*?)"
            seen.add(piece)
    return re.compile(out, re.DOTALL)
