"""Every name that the camera adapter uses, and every name that the stand-in has, against picamera2's own source.

The release is fetched from PyPI once (a source archive, held to its hash), kept below build/, and parsed: it cannot be
imported where there is no libcamera. What libcamera itself defines, as the names of controls are, is not in it; for
those hw_sim/libcamera_rules.py names its source, and here only what picamera2 mentions can be held against it.
"""

import ast
import hashlib
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from hw_sim.libcamera_rules import CONTROLS

ROOT = Path(__file__).resolve().parents[2]
RELEASE = "0.3.38"
SHA256 = "f4122b1d3d45e3068fe2d589b1d54ded94377d26b9444e1a0c67025b717b6108"
FOLDER = ROOT / "build" / "picamera2"
ARCHIVE = FOLDER / f"picamera2-{RELEASE}.tar.gz"

ADAPTER = (ROOT / "firmware/board/pi_camera.py", ROOT / "firmware/board/shot.py")
STAND_IN = (ROOT / "hw_sim/picamera.py", ROOT / "hw_sim/libcamera_rules.py")

RECEIVERS = {
    "self._camera": "Picamera2",
    "request": "CompletedRequest",
    "late": "CompletedRequest",
    "self._request": "CompletedRequest",
}
"""What the adapter calls the vendor's objects."""

OUR_SIDE = {"streams", "next_buffer", "hand_over", "recycle", "sensor", "number"}
"""What the stand-in offers to the simulated sensor and not to an adapter."""

WORDINGS = (
    "is not advertised by libcamera",
    "Camera not opened",
    "Camera must be stopped before configuring",
    "Camera has not been configured",
    "CompletedRequest: acquiring lock with ref_count 0",
    "CompletedRequest: lock now has negative ref_count",
    "failed to find buffer",
    "is not defined",
    "stream dimensions may not exceed main stream",
    "width and height should be even",
    "stream should be (width, height)",
    "valid stream configuration keys are",
    "was not defined",
    "Camera __init__ sequence did not complete.",
    "Unable to stop preview.",
)


@dataclass(frozen=True)
class Signature:
    """The parameters of a method without `self`, in order, and their defaults as source text."""

    names: tuple[str, ...]
    defaults: dict[str, str]

    @property
    def required(self):
        return {name for name in self.names if name not in self.defaults}


@dataclass(frozen=True)
class Use:
    """One call of the adapter."""

    owner: str
    name: str
    positional: int
    keywords: tuple[str, ...]


@pytest.fixture(scope="module")
def release():
    """Return the release's Python files, source text by name."""
    if not ARCHIVE.exists():
        fetch()
    data = ARCHIVE.read_bytes()
    assert hashlib.sha256(data).hexdigest() == SHA256, f"{ARCHIVE} is not the release {RELEASE}; delete it"
    with tarfile.open(ARCHIVE) as archive:
        members = [member for member in archive.getmembers() if member.isfile() and member.name.endswith(".py")]
        return {Path(member.name).name: archive.extractfile(member).read().decode() for member in members}


def fetch():
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = FOLDER / "wanted.txt"
    wanted.write_text(f"picamera2=={RELEASE} --hash=sha256:{SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "picamera2"]
    command += ["--dest", str(FOLDER), "--requirement", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode or not ARCHIVE.exists():
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        pytest.fail(f"picamera2 {RELEASE} cannot be fetched ({last}); connect to PyPI, or put the archive at {ARCHIVE}")


def classes_of(source):
    return {node.name: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)}


@pytest.fixture(scope="module")
def vendor(release):
    return classes_of(release["picamera2.py"]) | classes_of(release["request.py"])


@pytest.fixture(scope="module")
def stand_in():
    ours = classes_of(STAND_IN[0].read_text())
    return {"Picamera2": ours["SimPicamera2"], "CompletedRequest": ours["SimRequest"]}


def methods_of(node):
    """Return the signatures of a class's methods; of overloads the last, which is the one that runs."""
    found = {}
    for method in node.body:
        if isinstance(method, ast.FunctionDef):
            arguments = method.args.args if is_static(method) else method.args.args[1:]
            names = tuple(argument.arg for argument in arguments)
            values = [ast.unparse(value) for value in method.args.defaults]
            found[method.name] = Signature(names, dict(zip(names[len(names) - len(values) :], values, strict=True)))
    return found


def is_static(method):
    return any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in method.decorator_list)


def attributes_of(node):
    """Return what the methods of a class assign to `self`, and its properties."""
    assigned = {
        target.attr
        for statement in ast.walk(node)
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"
    }
    properties = {
        method.name
        for method in node.body
        if isinstance(method, ast.FunctionDef)
        and any("property" in ast.unparse(mark) for mark in method.decorator_list)
    }
    return assigned | properties


def adapter_tree():
    return [node for path in ADAPTER for node in ast.walk(ast.parse(path.read_text()))]


def uses():
    """Return every call of a method of the vendor's objects."""
    found = []
    for node in adapter_tree():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = RECEIVERS.get(ast.unparse(node.func.value))
            if owner is not None:
                keywords = tuple(word.arg for word in node.keywords)
                found.append(Use(owner, node.func.attr, len(node.args), keywords))
    return found


def names_used():
    """Return every attribute of the vendor's objects that the adapter reads, sets or calls."""
    found = set()
    for node in adapter_tree():
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in RECEIVERS:
            found.add((RECEIVERS[ast.unparse(node.value)], node.attr))
    return found


def keys_used():
    """Return the string keys of dictionaries that the adapter writes, and those that it asks for."""
    written, asked = set(), set()
    for node in adapter_tree():
        if isinstance(node, ast.Dict):
            written |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
        ):
            asked.add(node.slice.value)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("_number"):
            asked |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return written, asked


def test_the_adapter_is_read_aright():
    """The tests below would pass on nothing."""
    called = {use.name for use in uses()}
    assert {"create_video_configuration", "configure", "start", "close", "set_controls", "make_array"} <= called
    assert ("Picamera2", "post_callback") in names_used()
    assert "ExposureTime" in keys_used()[0]
    assert "SensorTimestamp" in keys_used()[1]


@pytest.mark.parametrize("use", sorted(set(uses()), key=repr), ids=lambda use: f"{use.owner}.{use.name}")
def test_each_call_fits_the_release_and_the_stand_in(use, vendor, stand_in):
    for classes in (vendor, stand_in):
        methods = methods_of(classes[use.owner])
        assert use.name in methods, f"{use.owner} has no method {use.name}"
        signature = methods[use.name]
        assert use.positional <= len(signature.names)
        assert set(use.keywords) <= set(signature.names)
        assert signature.required <= set(signature.names[: use.positional]) | set(use.keywords)


@pytest.mark.parametrize(("owner", "name"), sorted(names_used()))
def test_each_name_is_the_releases_and_the_stand_ins(owner, name, vendor, stand_in):
    for classes in (vendor, stand_in):
        assert name in methods_of(classes[owner]).keys() | attributes_of(classes[owner])


def test_the_vendors_class_opens_without_arguments(vendor, stand_in):
    assert not methods_of(vendor["Picamera2"])["__init__"].required
    assert stand_in["Picamera2"].name == "SimPicamera2"


@pytest.mark.parametrize("owner", ["Picamera2", "CompletedRequest"])
def test_the_stand_in_has_no_name_of_its_own_and_no_other_arguments(owner, vendor, stand_in):
    real, ours = methods_of(vendor[owner]), methods_of(stand_in[owner])
    public = {name for name in ours if not name.startswith("_")} - OUR_SIDE
    assert public
    for name in public:
        assert name in real, f"{owner}.{name} is nothing that picamera2 has"
        assert ours[name].names == real[name].names, name
        assert ours[name].defaults.keys() == real[name].defaults.keys(), name
        for argument, default in ours[name].defaults.items():
            is_nothing = default == "None" and real[name].defaults[argument] in {"{}", "libcamera.Transform()", "None"}
            assert is_nothing or default == real[name].defaults[argument].replace('"', "'"), (name, argument)
    attributes = {name for name in attributes_of(stand_in[owner]) if not name.startswith("_")} - OUR_SIDE
    assert attributes <= attributes_of(vendor[owner]) | real.keys()


def test_streams_and_their_keys_are_those_of_the_release(release):
    """The adapter's configuration has no key that picamera2 refuses, and the stand-in takes the same keys."""
    valid = next(
        ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(release["picamera2.py"]))
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "valid"
        and isinstance(node.value, ast.Tuple)
    )
    ours = next(
        ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(STAND_IN[1].read_text()))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "valid"
    )
    assert ours == valid
    written, asked = keys_used()
    assert {key for key in written if key[0].islower()} <= set(valid)
    assert {key for key in asked if key[0].islower()} <= {*valid, "framesize", "main", "lores"}
    for pixel_format in ("RGB888", "YUV420"):
        assert f'"{pixel_format}"' in release["formats.py"]


def test_controls_are_advertised_and_metadata_are_known(release):
    written, asked = keys_used()
    controls = {key for key in written if key[0].isupper()}
    assert controls <= CONTROLS.keys()
    everything = "\n".join(release.values())
    told = {"ExposureTime", "AnalogueGain", "FrameDurationLimits", "NoiseReductionMode"}
    for name in (controls & told) | {key for key in asked if key[0].isupper()}:
        assert f'"{name}"' in everything or f"'{name}'" in everything or f"controls.{name}" in everything, name


def test_what_the_stand_in_says_is_the_releases_own_wording(release):
    everything = "\n".join(release.values())
    ours = "\n".join(path.read_text() for path in (*STAND_IN, ROOT / "hw_sim/camera.py"))
    for wording in WORDINGS:
        assert wording in everything, wording
        assert wording in ours, wording


def test_arrays_lie_in_memory_as_the_stand_in_lays_them(release):
    """Y, U and V as an array half as high again, padding and all; colour pictures without their padding."""
    shared = next(
        ast.unparse(node)
        for node in ast.walk(ast.parse(release["request.py"]))
        if isinstance(node, ast.FunctionDef) and node.name == "_make_array_shared"
    )
    colour, _, rest = shared.partition("elif fmt in ('YUV420', 'YVU420'):")
    assert "if fmt in ('BGR888', 'RGB888'):" in colour
    assert "array = array[:, :w * 3]" in colour
    assert "image = array.reshape((h, w, 3))" in colour
    assert rest.strip().startswith("image = array.reshape((h * 3 // 2, stride))")
    configuring = release["picamera2.py"]
    assert '"FrameDurationLimits": (33333, 33333)' in configuring
    assert '"NoiseReductionMode": libcamera.controls.draft.NoiseReductionModeEnum.Fast' in configuring
