"""Finds what the program says, in its source, and what of it has no Spanish: `python -m provisioning.sentences`.

Whatever is a sentence there is taken for shown: two words in a literal or an f-string, but for docstrings. Single words
count where they are written, raised, or named as help, in the files of words, and in the enums whose values are shown.
What is filled in is named after the expression: `{options.folder}` becomes {folder}, as the catalogues have it.
"""

import argparse
import ast
import re
import string
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provisioning.tongue import PLACE, PROGRAM, catalogue, texts_of

ROOT: Final = Path(__file__).resolve().parents[1]

SPOKEN: Final = (
    "provisioning/**/*.py",
    "cloud/registry.py",
    "cloud/fleet_folder.py",
    "cloud/opening_keys.py",
    "cloud/handover.py",
    "hw_sim/amiss_parts.py",
    "hw_sim/modem.py",
    "hw_sim/practice.py",
)
SPOKEN_FIRMWARE: Final = (
    "agency_keys", "board/gpio_pins", "board/host_facts", "board/logind", "board/modem", "board/mqtt_session",
    "board/pi_camera", "board/pkcs11_token", "board/power_meter", "board/session_terms", "board/shot",
    "board/system_bus", "board/tls", "command_line", "config", "erasure", "firewall_rules", "identity", "key_files",
    "lane", "link_causes", "modem_records", "outbox_file", "presence", "receipts", "recovery", "retirement",
    "self_check", "signed_document", "sole_use", "strict_json", "tflite", "uplink", "wall_clock", "wire",
)  # fmt: skip
"""What a technician can meet of the firmware's: its refusals, and the hints of its faults."""

SILENT: Final = frozenset(
    f"provisioning/{name}.py"
    for name in (
        "sentences",
        "tongue",
        "pictures",
        "guide_pictures",
        "screen_pictures",
        "live_page",
        "host/install",
        "host/rendering",
    )
)
"""Files whose texts are for programs."""

FOR_PROGRAMS: Final = frozenset({
    "# The card is read-only: the log stays in memory until the next start. journald.conf(5).",
    "Created-By: Packages",
    "Kestrel fleet authority",
    "LABEL={state_label} /{unit_folder} ext4 nodev,nosuid,noexec,noatime 0 2",
    "PRETTY_NAME",
    "Size: {st_size}",
    "\"lane\": [{corners}]",
    "ct direction",
    "ct state",
    "handle",
    "icmp type",
    "ip daddr . tcp dport",
    "ip6 daddr . tcp dport",
    "meta iif",
    "meta iifname",
    "meta oif",
    "meta oifname",
    "meta {key}",
    "tcp dport",
    "udp dport",
    "add element {name} { {one} timeout {kept_days}d }",
    "deb [signed-by={keyring}] {address} {one} main",
    "delete element {name} { {one} }",
    "inet kestrel called{version}",
    "install ok installed",
    "pole.jpg, road.jpg",
    "topic deny kestrel/v1/#",
    "user {device_id}",
})  # fmt: skip
"""Texts that look like sentences and are none."""

TO_BE_TRANSLATED: Final[frozenset[str]] = frozenset()
"""Files without Spanish yet. Empty when a version is made."""

ENUMS: Final = frozenset({"Part", "PartName", "PartState", "Registration", "State"})
"""Those whose values are shown as they are."""

SHOWN_ARGUMENTS: Final = frozenset({"help", "description", "epilog", "title"})
PROGRAMS_WORDS: Final = frozenset({"metavar", "prog", "pattern", "prefix", "encoding", "mode", "format"})
WRITES: Final = frozenset({"write", "add_argument_group"})

_SENTENCE: Final = re.compile(r"[^\W\d_]{2,}[,;:.]? \(?[^\W\d_]{2,}|[^\W\d_]{2,}[,;:]? \(?\{|\}[,;:]? [^\W\d_]{2,}")
_TAG: Final = re.compile(r"<[a-z!/]|\w=\"")
_LONG_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_CODE: Final = re.compile(
    r"--\S*$|/\S*$|\.|[a-z]+[-_./=][\w./=-]+$|\S*[\w}][./_][\w{]\S*$"  # options, paths, names
    r"|.*\b(CREATE|BEGIN|INTEGER|REAL|BLOB|PRAGMA|SELECT)\b|.*\\[A-Za-z\d]"  # SQL, regular expressions
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One line of text as the source has it, with named places; `is_shown`: a person gets to read it."""

    template: str
    file: str
    line: int
    is_shown: bool


def in_the_source(root: Path = ROOT) -> list[Sentence]:
    """Return all texts of the files that speak. Raises OSError."""
    spoken = {path for pattern in SPOKEN for path in root.glob(pattern)}
    spoken |= {root / "firmware" / f"{name}.py" for name in SPOKEN_FIRMWARE}
    files = sorted(path.relative_to(root).as_posix() for path in spoken)
    return [
        one
        for file in files
        if file not in SILENT
        for one in sentences((root / file).read_text(encoding="utf-8"), file)
    ]


def sentences(source: str, file: str) -> list[Sentence]:
    """Return the texts of one file's source."""
    is_of_words = file.endswith(("words.py", "wording.py"))
    reader = _Reader(is_of_words=is_of_words)
    reader.visit(ast.parse(source))
    found = []
    for text, line, is_said in reader.found:
        is_page = bool(_TAG.search(text))
        for part in texts_of(text) if is_page else (line.strip() for line in re.split(r"[\r\n]+", text)):
            alone = part.removeprefix(PROGRAM)
            is_shown = _is_shown(alone, is_said=is_said or is_page)
            found.append(Sentence(template=alone, file=file, line=line, is_shown=is_shown))
    return found


def _is_shown(part: str, *, is_said: bool) -> bool:
    """Return whether a person reads this; `is_said`: by its place in the source, whatever it looks like."""
    plain = PLACE.sub("", part)
    if _CODE.match(part) or part in FOR_PROGRAMS or not _WORD.search(plain):
        return False
    if is_said and plain == part:
        return True
    return bool(_LONG_WORD.search(plain)) and (is_said or bool(_SENTENCE.search(part)))


def missing(known: Mapping[str, str], found: Sequence[Sentence]) -> list[Sentence]:
    """Return what is shown and has no Spanish, each text once, but for files that wait for theirs."""
    return without_spanish(known, [one for one in found if one.file not in TO_BE_TRANSLATED])


def without_spanish(known: Mapping[str, str], found: Sequence[Sentence]) -> list[Sentence]:
    """Return what is shown and not `known`, each text once."""
    wanted: dict[str, Sentence] = {}
    for one in found:
        if one.is_shown and one.template not in known:
            wanted.setdefault(one.template, one)
    return list(wanted.values())


def stanza(sentence: Sentence) -> str:
    """Return an entry of a catalogue without its Spanish."""
    quoted = sentence.template.replace("\\", "\\\\").replace('"', '\\"')
    return f'#: {sentence.file}\nmsgid "{quoted}"\nmsgstr ""\n'


def main(arguments: Sequence[str] | None = None) -> int:
    """List what is said, or what of it has no Spanish, as entries of a catalogue; return 1 if Spanish is missing."""
    parser = argparse.ArgumentParser(prog="python -m provisioning.sentences")
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("file", nargs="*")
    options = parser.parse_args(arguments)
    found = [one for one in in_the_source() if not options.file or one.file in options.file]
    lacking = missing(catalogue(), found)
    shown = lacking if options.missing else without_spanish({}, found)
    sys.stdout.write("\n".join(stanza(one) for one in shown))
    sys.stderr.write(f"{len(shown)} texts, {len(lacking)} without Spanish\n")
    return 1 if lacking else 0


class _Reader(ast.NodeVisitor):
    """Collects texts: (template, line, whether it is said whatever it looks like)."""

    def __init__(self, *, is_of_words: bool) -> None:
        self.found: list[tuple[str, int, bool]] = []
        self._is_said = self._is_of_words = is_of_words

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if "__all__" not in map(ast.unparse, node.targets):
            self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        """Leave annotations out."""

    def visit_Raise(self, node: ast.Raise) -> None:
        if node.exc is not None:
            self._said(node.exc)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        is_enum = any("Enum" in ast.unparse(one) for one in node.bases)
        before, self._is_said = self._is_said, is_enum and node.name in ENUMS
        self.generic_visit(node)
        self._is_said = before

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for one in [*node.args.defaults, *(one for one in node.args.kw_defaults if one), *node.body]:
            self.visit(one)

    def visit_Dict(self, node: ast.Dict) -> None:
        for one in node.keys:
            self._looked_up(one)
        for one in node.values:
            self.visit(one)

    def visit_Set(self, node: ast.Set) -> None:
        for one in node.elts:
            self._looked_up(one)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        if not isinstance(node.slice, ast.Constant):
            self.visit(node.slice)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in {"Meta", "compile", "getLogger", "debug", "info", "warning", "error"}:
            return
        self.visit(node.func)
        for one in node.args:
            self._said(one) if name in WRITES else self.visit(one)
        for word in node.keywords:
            if word.arg in SHOWN_ARGUMENTS:
                self._said(word.value)
            elif word.arg not in PROGRAMS_WORDS:
                self.visit(word.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.found.append((_formatted(node.value), node.lineno, self._is_said))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        text = template_of(node)
        self.found.append((text, node.lineno, self._is_said))
        is_shown = self._is_said or bool(_SENTENCE.search(text))
        before, self._is_said = self._is_said, is_shown
        for one in node.values:
            if isinstance(one, ast.FormattedValue):
                self.visit(one.value)
        self._is_said = before

    def _said(self, node: ast.AST) -> None:
        self._visit_as(node, is_said=True)

    def _looked_up(self, node: ast.AST | None) -> None:
        if node is not None:  # None stands for a dict that is spread into this one
            self._visit_as(node, is_said=False)

    def _visit_as(self, node: ast.AST, *, is_said: bool) -> None:
        before, self._is_said = self._is_said, is_said
        self.visit(node)
        self._is_said = before


def template_of(node: ast.JoinedStr) -> str:
    """Return an f-string as a template, its places named after what is filled in; one expression has one name."""
    named: dict[str, str] = {}
    text = ""
    for one in node.values:
        if isinstance(one, ast.FormattedValue) and isinstance(one.value, ast.Constant):
            text += format(str(one.value.value), _width(one.format_spec))
        elif isinstance(one, ast.FormattedValue):
            expression = ast.unparse(one.value)
            if expression not in named:
                named[expression] = _unused(name_of(one.value), set(named.values()))
            text += f"{{{named[expression]}}}"
        elif isinstance(one, ast.Constant):
            text += _formatted(str(one.value))
    return text


def _width(spec: ast.expr | None) -> str:
    """Return how wide a fixed word is written."""
    pieces = spec.values if isinstance(spec, ast.JoinedStr) else []
    return "".join(str(piece.value) for piece in pieces if isinstance(piece, ast.Constant))


def name_of(node: ast.AST) -> str:
    """Return the word that an expression is known by in a template, "value" if it has none."""
    if isinstance(node, ast.Name | ast.Attribute):
        return (node.id if isinstance(node, ast.Name) else node.attr).strip("_").lower()
    return next((name for name in map(name_of, _inner(node)) if name != "value"), "value")


def _inner(node: ast.AST) -> Sequence[ast.AST]:
    """Return the expressions within one of which the first that has a name names it."""
    match node:
        case ast.Call(func=ast.Attribute(attr="join") | ast.Name(id="len" | "max" | "min" | "sorted" | "abs" | "int")):
            return node.args  # what these functions are called says nothing of what comes
        case ast.Call(func=ast.Attribute(value=inner)) | ast.Subscript(value=inner, slice=ast.Slice()):
            return [inner]
        case ast.Call(func=inner):
            return [inner]
        case ast.Subscript(value=one, slice=other) | ast.IfExp(orelse=one, body=other):
            return [other, one]
    return list(ast.iter_child_nodes(node))


def _formatted(text: str) -> str:
    """Return a text for str.format as a template: {km:,.0f} becomes {km}, {:.1f} {value}; any other text as it is."""
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError:
        return text
    found, names = "", set[str]()
    for plain, name, _, _ in pieces:
        place = _unused("value", names) if name == "" else (name or "").lower()
        if name is not None and not PLACE.fullmatch(f"{{{place}}}"):
            return text
        names.add(place)
        found += plain if name is None else f"{plain}{{{place}}}"
    return found


def _unused(name: str, taken: set[str]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found


if __name__ == "__main__":
    sys.exit(main())
