"""Every text of a failure that a technician can meet, found in the source, its named clauses filled in.

A text is what an exception of the product is made of. Most are whole there; some end in a clause that has a name (a
constant, a hint made some lines before, the argument of whoever calls): such names are followed to what they stand for,
and a text is listed once for each. What is filled in while the program runs stays a place: {path}.
"""

import ast
import functools
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from firmware import wall_clock
from provisioning.sentences import ROOT, name_of, template_of

PATTERNS = (
    "provisioning/**/*.py",
    "firmware/**/*.py",
    "cloud/registry.py",
    "cloud/fleet_folder.py",
    "cloud/opening_keys.py",
    "cloud/handover.py",
    "hw_sim/broker.py",
    "hw_sim/practice_office.py",
)
"""What runs when a technician works: tool and firmware, what both read of the office's, and the office for practice."""

FAMILY = "KestrelError"
DEEPEST = 5
PLACE = re.compile(r"\{[a-z_0-9]+\}")


@dataclass(frozen=True, slots=True)
class FailureText:
    """One text, where it is made, and of which kind: an exception's name, or "warning"."""

    file: str
    kind: str
    text: str

    @property
    def name(self):
        """A name that stays while the text does."""
        words = re.findall(r"[A-Za-z0-9]+", PLACE.sub("", self.text))
        return f"{self.file}:{'-'.join(words[:14])}"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression stands: a module, and the functions around it, innermost first."""

    module: "Module"
    functions: tuple[ast.FunctionDef, ...] = ()


class Module:
    """One source file: its constants, functions and imports by name."""

    def __init__(self, path: Path) -> None:
        self.file = path.relative_to(ROOT).as_posix()
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.constants, self.functions, self.imported = {}, {}, {}
        self.scopes, self.parents = {}, {}
        for node in self.tree.body:
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ):
                    self.constants[name] = value
        self._walk(self.tree, ())

    def _walk(self, node, functions):
        for child in ast.iter_child_nodes(node):
            self.scopes[child], self.parents[child] = Scope(self, functions), node
            match child:
                case ast.FunctionDef(name=name):
                    self.functions.setdefault(name, child)
                    self._walk(child, (child, *functions))
                    continue
                case ast.ImportFrom(module=str(origin), names=names):
                    for one in names:
                        self.imported[one.asname or one.name] = (origin.replace(".", "/"), one.name)
            self._walk(child, functions)


@functools.cache
def modules() -> dict[str, Module]:
    """Return all modules by path without suffix."""
    paths = sorted({path for pattern in PATTERNS for path in ROOT.glob(pattern)})
    return {path.relative_to(ROOT).with_suffix("").as_posix(): Module(path) for path in paths}


@functools.cache
def families() -> frozenset[str]:
    """Return the names of the exceptions that the product raises on purpose."""
    found, before = {FAMILY}, 0
    classes = [node for one in modules().values() for node in ast.walk(one.tree) if isinstance(node, ast.ClassDef)]
    while len(found) > before:
        before = len(found)
        found |= {one.name for one in classes if {ast.unparse(base) for base in one.bases} & found}
    return frozenset(found)


@functools.cache
def calls() -> dict[str, list[ast.Call]]:
    """Return every call by the last name of what is called."""
    found = {}
    for module in modules().values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                found.setdefault(name, []).append(node)
    return found


def scope_of(node: ast.AST) -> Scope:
    """Return where a node of any module stands."""
    return next(module.scopes[node] for module in modules().values() if node in module.scopes)


def texts(node: ast.AST, scope: Scope, depth: int = DEEPEST) -> list[str]:
    """Return what an expression may be as a text; what nobody can know before is a place with its name."""
    found = _written(node, scope, depth) or _meant(node, scope, depth) if depth else []
    return found or [f"{{{name_of(node)}}}"]


def _written(node, scope, depth):
    """Return the texts that stand in an expression itself."""
    found = []
    match node:
        case ast.Constant(value=str(text)):
            found = [text]
        case ast.JoinedStr():
            found = _joined(node, scope, depth)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            found = [one + other for one in texts(left, scope, depth) for other in texts(right, scope, depth)]
        case ast.IfExp(body=body, orelse=other):
            found = texts(body, scope, depth) + texts(other, scope, depth)
        case ast.Call(func=ast.Attribute(value=inner, attr="format")):
            found = texts(inner, scope, depth)
    return found


def _meant(node, scope, depth):
    """Return the texts of what an expression names: a table, a function of ours, a constant, whatever was assigned."""
    found = []
    match node:
        case ast.Call(func=ast.Attribute(value=inner, attr="get"), args=[_, default]) if _table(inner, scope):
            found = _table(inner, scope) + texts(default, scope, depth - 1)
        case ast.Call(func=ast.Name() | ast.Attribute() as func) if (called := _function(func, scope)) is not None:
            inside = scope_of(called)
            within = Scope(inside.module, (called, *inside.functions))
            values = [one.value for one in ast.walk(called) if isinstance(one, ast.Return) and one.value is not None]
            found = [text for value in values for text in texts(value, within, depth - 1)]
        case ast.Subscript(value=inner):
            found = _table(inner, scope)
        case ast.Name(id=name):
            found = _named(node, name, scope, depth)
        case ast.Attribute() if (constant := _constant(node, scope)) is not None:
            found = texts(*constant, depth - 1)
    return found


def _table(node, scope):
    """Return the sentences in a table of the module's, by whatever they are found; none if it is no table."""
    found = _constant(node, scope)
    if found is None or not isinstance(found[0], ast.Dict):
        return []
    values = [one for value in found[0].values for one in (value.elts if isinstance(value, ast.Tuple) else [value])]
    sentences = [one for one in values if isinstance(one, ast.Constant | ast.JoinedStr | ast.BinOp)]
    return [text for one in sentences for text in texts(one, found[1])]


def _joined(node, scope, depth):
    """Return an f-string with its clauses filled in: of what its places stand for, that which is a clause."""
    pieces = []
    for one, template in zip(node.values, _piece_templates(node), strict=True):
        options = [template]
        if isinstance(one, ast.FormattedValue):
            found = texts(one.value, scope, depth - 1)
            clauses = [text for text in found if text.count(" ") >= 2]
            options = clauses + ([template] if not clauses or len(clauses) < len(found) else [])
        pieces.append(list(dict.fromkeys(options)))
    return ["".join(one) for one in itertools.product(*pieces)]


def _piece_templates(node):
    """Return each part of an f-string as the catalogues have it."""
    return [
        template_of(ast.JoinedStr(values=[one])) if isinstance(one, ast.FormattedValue) else str(one.value)
        for one in node.values
    ]


def _named(node, name, scope, depth):
    """Return what a name stands for: assigned here, handed over by a caller, or a constant."""
    for place, function in enumerate(scope.functions):
        around = Scope(scope.module, scope.functions[place:])
        values = _values(node, name, function, scope.module)
        if values:
            return [text for value in values for text in texts(value, around, depth - 1)]
        if name in _parameters(function):
            return _handed_over(name, function, scope.module, depth)
    constant = _constant(ast.Name(id=name), scope)
    return texts(*constant, depth - 1) if constant else []


def _values(node, name, function, module):
    """Return what a name may have been given where `node` uses it: the last before it, if no branch leads past that."""
    given = [(one, _assigned(name, one)) for one in ast.walk(function)]
    given = sorted(((one, value) for one, value in given if value is not None), key=lambda pair: pair[0].lineno)
    before = [(one, value) for one, value in given if one.lineno < node.lineno]
    around, step = set(), node
    while step is not function and step in module.parents:
        step = module.parents[step]
        around.add(step)
    if before and module.parents[before[-1][0]] in around:
        return [before[-1][1]]
    return [value for _, value in before or given]


def _assigned(name, node):
    match node:
        case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
            return value
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            return next((one for to, one in zip(targets, values, strict=True) if ast.unparse(to) == name), None)
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value) if name in map(ast.unparse, targets):
            return value
    return None


def _parameters(function):
    given = function.args
    return [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]


def _handed_over(name, function, module, depth):
    """Return what the callers give for a parameter; those of a function with a _ are in its own file."""
    names = [one for one in _parameters(function) if one not in {"self", "cls"}]
    found = []
    for call in calls().get(function.name, ()):
        where = scope_of(call)
        called = _function(call.func, where)
        is_method = called is None and where.module is module and isinstance(call.func, ast.Attribute)
        if called is not function and not is_method:
            continue
        given = dict(zip(names, call.args, strict=False)) | {one.arg: one.value for one in call.keywords}
        if name in given:
            found += texts(given[name], where, depth - 1)
    return found


def _constant(node, scope):
    """Return (value, scope) of a constant by its name, here or in the module that it is from; None if it is none."""
    match node:
        case ast.Name(id=name):
            if name in scope.module.constants:
                return scope.module.constants[name], Scope(scope.module)
            origin, name = scope.module.imported.get(name, ("", ""))
            other = modules().get(origin)
            return (other.constants[name], Scope(other)) if other and name in other.constants else None
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            other = modules().get("/".join(scope.module.imported.get(module, ("", ""))))
            return (other.constants[name], Scope(other)) if other and name in other.constants else None
    return None


def _function(func, scope):
    """Return the function of ours that is called, None if it is another's."""
    match func:
        case ast.Name(id=name):
            if name in scope.module.functions:
                return scope.module.functions[name]
            origin, name = scope.module.imported.get(name, ("", ""))
            return modules()[origin].functions.get(name) if origin in modules() else None
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return scope.module.functions.get(name)
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            other = modules().get("/".join(scope.module.imported.get(module, ("", ""))))
            return other.functions.get(name) if other else None
    return None


def raised() -> list[FailureText]:
    """Return the texts of all exceptions of the product, each once for a file."""
    return _made_by(sorted(families()), _sentence_of)


def links() -> list[FailureText]:
    """Return why a session with the broker came to nothing, as the health report and the tools have it."""
    found = _made_by(["Refused"], lambda call: call.args[1] if call.args else None)
    found += _made_by(["Lost"], lambda call: call.args[0] if call.args else None)
    return [one for one in found if one.file.startswith("firmware/board/")]


def self_checks() -> list[FailureText]:
    """Return what the self-check finds amiss or could not see, with its hint."""
    found = _made_by(["Unseen"], lambda call: _both([one.value for one in call.keywords]))
    found += _made_by(["_check"], lambda call: _both(call.args[1:]) if _is_amiss(call) else None)
    return [one for one in found if one.file in {"firmware/self_check.py", "firmware/board/host_facts.py"}]


def warnings() -> list[FailureText]:
    """Return what is written to standard error beside exceptions."""
    written = [one for one in _made_by(["write"], _on_standard_error) if " " in PLACE.sub("", one.text).strip()]
    told = _made_by(["append"], lambda call: call.args[0])
    return written + [one for one in told if one.file == "provisioning/update_warnings.py"]


def round_trips() -> list[FailureText]:
    """Return what is said of a document that was not confirmed in time."""
    hints = _made_by(["RoundTrip"], lambda call: next((one.value for one in call.keywords if one.arg == "hint"), None))
    return [one for one in hints if one.text]


def disputes() -> list[FailureText]:
    """Return why a time is not believed."""
    return [one for one in _made_by(["_disputed"], lambda call: call) if one.text] + [
        FailureText("firmware/wall_clock.py", "dispute", wall_clock.OUT_OF_BOUNDS)
    ]


def _made_by(names, sentence):
    """Return the texts in calls of these names, each once for a file."""
    found = {}
    for name in names:
        for call in calls().get(name, ()):
            argument = sentence(call)
            if argument is None:
                continue
            scope = scope_of(call)
            for text in texts(argument, scope):
                found.setdefault((scope.module.file, text), FailureText(scope.module.file, name, text.strip()))
    return sorted(found.values(), key=lambda one: (one.file, one.text))


def _sentence_of(call):
    """Return which argument of an exception is its sentence: the last, but for causes in one word."""
    given = [*call.args, *(one.value for one in call.keywords)]
    sentences = [one for one in given if "RejectionCause" not in ast.unparse(one)]
    return sentences[-1] if sentences else None


def _both(parts):
    """Return what was found and what to do about it as one sentence."""
    whole = [ast.FormattedValue(value=one, conversion=-1) for one in parts]
    return ast.JoinedStr(values=[whole[0], ast.Constant(value="; "), *whole[1:]]) if len(whole) > 1 else None


def _is_amiss(call):
    return bool(call.args) and ast.unparse(call.args[0]) in {"State.FAIL", "State.WARN", "State.UNKNOWN"}


def _on_standard_error(call):
    return call.args[0] if ast.unparse(call.func) == "sys.stderr.write" else None
