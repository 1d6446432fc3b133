"""The rules of the house that a reader of one file cannot see broken: imports, clocks, words and sizes."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("firmware", "hw_sim", "models", "provisioning", "cloud")

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FIRMWARE = [path for path in FILES if path.is_relative_to(ROOT / "firmware")]
TESTS = sorted((ROOT / "tests").rglob("*.py"))

LINES_AT_MOST = 400
LINES_OF_A_FUNCTION_AT_MOST = 60

FORBIDDEN_FILE_NAMES = {
    "util",
    "utils",
    "helper",
    "helpers",
    "common",
    "base",
    "manager",
    "core",
    "misc",
    "types",
    "mixin",
}

OUTSIDE_LIBRARIES = {
    "picamera2", "libcamera", "gpiozero", "lgpio", "RPi", "smbus2", "spidev", "dbus_fast", "serial",
    "paho", "pkcs11", "socketserver", "http", "urllib", "requests", "asyncio", "ssl", "tensorflow",
}  # fmt: skip
RUNTIMES = {"ai_edge_litert", "tflite_runtime"}

CLOCK_CALLS = {
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.sleep", "time.perf_counter",
    "time.clock_gettime", "datetime.now", "datetime.utcnow", "datetime.datetime.now", "datetime.date.today",
}  # fmt: skip


def tree_of(path):
    return ast.parse(path.read_text(), filename=str(path))


def name_of(node):
    """Return the dotted name of an expression such as `os.path.join`, or an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := name_of(node.value)):
        return f"{before}.{node.attr}"
    return ""


SECRET_FIELDS = {"text", "alternatives", "characters", "char", "latitude_deg", "longitude_deg", "data", "wire"}


def is_dataclass(node):
    return isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(one) for one in node.decorator_list)


@pytest.mark.parametrize("path", sorted((ROOT / "firmware").rglob("*.py")), ids=lambda path: path.name)
def test_no_repr_shows_a_plate_or_a_place(path):
    shown_fields = [
        f"{node.name}.{line.target.id}"
        for node in ast.walk(tree_of(path))
        if is_dataclass(node) and not any(getattr(item, "name", "") == "__repr__" for item in node.body)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and line.target.id in SECRET_FIELDS
        if line.value is None or "repr=False" not in ast.unparse(line.value)
    ]
    assert shown_fields == []


def calls_in(path):
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]


def imports_in(path):
    """Return the dotted names of all modules that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def shown(path, node=None):
    return f"{path.relative_to(ROOT)}:{node.lineno}" if node else str(path.relative_to(ROOT))


def test_there_is_something_to_look_at():
    assert len(FIRMWARE) > 15
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(PACKAGES)


def test_hardware_network_and_runtime_are_imported_in_one_place_each():
    allowed = {ROOT / "firmware" / "tflite.py": RUNTIMES}
    found = [
        f"{shown(path)} imports {name}"
        for path in FIRMWARE
        if not path.is_relative_to(ROOT / "firmware" / "board")
        for name in imports_in(path)
        if name.split(".")[0] in (OUTSIDE_LIBRARIES | RUNTIMES) - allowed.get(path, set())
    ]
    assert found == []


def test_the_firmware_imports_nothing_that_stands_around_it():
    around = set(PACKAGES) - {"firmware"} | {"tests"}
    assert [
        f"{shown(path)} imports {name}"
        for path in FIRMWARE
        for name in imports_in(path)
        if name.split(".")[0] in around
    ] == []


def test_only_main_opens_a_board():
    allowed = {ROOT / "firmware" / "__main__.py"}
    found = [
        f"{shown(path)} imports {name}"
        for path in FIRMWARE
        if path not in allowed and not path.is_relative_to(ROOT / "firmware" / "board")
        for name in imports_in(path)
        if name.startswith("firmware.board")
    ]
    assert found == []


def test_stages_do_not_import_each_other():
    stages = {
        "capture", "reading", "uplink", "guard", "expiry", "spending", "power", "health", "recovery", "clock_watch",
        "vehicles",
    }  # fmt: skip
    found = [
        f"{stage} imports {name}"
        for stage in stages
        for name in imports_in(ROOT / "firmware" / f"{stage}.py")
        if name in {f"firmware.{other}" for other in stages - {stage}}
    ]
    assert found == []


def test_only_linux_reads_a_clock():
    reader = ROOT / "firmware" / "board" / "linux.py"
    found = [
        f"{shown(path, node)} {name_of(node)}"
        for path in FIRMWARE
        if path != reader
        for node in ast.walk(tree_of(path))
        if name_of(node) in CLOCK_CALLS
    ]
    assert found == []


def test_nothing_waits_by_sleeping_in_tests():
    found = [
        shown(path, call) for path in TESTS for call in calls_in(path) if name_of(call.func) in {"time.sleep", "sleep"}
    ]
    assert found == []


def test_threads_are_started_in_few_places_and_are_no_daemons():
    threads = [
        (path, call)
        for path in FILES
        for call in calls_in(path)
        if name_of(call.func) in {"threading.Thread", "Thread"}
    ]
    daemons = [
        shown(path, call)
        for path, call in threads
        if any(word.arg == "daemon" and getattr(word.value, "value", True) for word in call.keywords)
    ]
    assert daemons == []
    allowed = {ROOT / "firmware" / "stage.py"}
    outside = {
        shown(path) for path, _ in threads if path in FIRMWARE and path not in allowed and path.parent.name != "board"
    }
    assert outside == set()


def test_the_firmware_has_no_word_for_simulation():
    words = re.compile(r"(^|_)(sim|simulated|simulation|simulator|emulat\w*|fake|mock\w*|dummy)(_|$)", re.IGNORECASE)
    camel = re.compile(r"(Sim|Simulated|Fake|Mock|Dummy)(?=[A-Z]|$)")
    found = []
    for path in FIRMWARE:
        for node in ast.walk(tree_of(path)):
            names = [getattr(node, field, None) for field in ("id", "attr", "arg", "name")]
            found += [
                f"{shown(path)} {name}"
                for name in names
                if isinstance(name, str) and (words.search(name) or camel.search(name))
            ]
    assert found == []


def test_nothing_is_validated_by_assert_or_caught_without_a_name():
    found = []
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Assert):
                found.append(f"{shown(path, node)} assert")
            if isinstance(node, ast.ExceptHandler):
                is_stage_thread = path == ROOT / "firmware" / "stage.py"
                if not is_stage_thread and (node.type is None or name_of(node.type) in {"Exception", "BaseException"}):
                    re_raises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
                    found += [] if re_raises else [f"{shown(path, node)} catches everything"]
                if all(isinstance(inner, ast.Pass) for inner in node.body):
                    found.append(f"{shown(path, node)} pass in an except")
    assert found == []


@pytest.mark.parametrize("path", FILES + TESTS, ids=shown)
def test_files_and_functions_are_short(path):
    assert len(path.read_text().splitlines()) <= LINES_AT_MOST
    long = [
        f"{shown(path, node)} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > LINES_OF_A_FUNCTION_AT_MOST
    ]
    assert long == []


def test_no_file_is_named_after_nothing():
    folders = [path.parent for path in FILES]
    found = [shown(path) for path in FILES + folders if path.stem.strip("_") in FORBIDDEN_FILE_NAMES]
    assert found == []


def test_every_module_and_public_thing_says_what_it_is():
    silent = []
    for path in FILES:
        tree = tree_of(path)
        silent += [shown(path)] * (ast.get_docstring(tree) is None)
        for node in ast.walk(tree):
            is_public = isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
            if is_public and node in tree.body and ast.get_docstring(node) is None:
                silent.append(f"{shown(path, node)} {node.name}")
    assert silent == []
