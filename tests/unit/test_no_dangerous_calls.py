"""Calls that turn data into code, strings into shells, secrets into guesses or a unit into a server: absent.

What is allowed all the same stands here by place, each with its reason. A place that is no longer needed fails too.
"""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("firmware", "provisioning", "cloud", "hw_sim", "models")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

CODE_FROM_DATA = {"eval", "exec", "compile", "__import__", "breakpoint", "runpy.run_path", "code.interact"}
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "joblib", "yaml", "telnetlib", "ftplib",
                  "xmlrpc", "smtpd", "socketserver", "http", "wsgiref", "asyncio", "imp", "code", "pty"}  # fmt: skip
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
          "os.posix_spawn", "os.startfile", "pty.spawn",
          *(f"os.{verb}{kind}" for verb in ("exec", "spawn")
            for kind in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe"))}  # fmt: skip
PROCESSES = {
    "subprocess.run",
    "subprocess.Popen",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
}
PREDICTABLE_FILES = {"tempfile.mktemp", "os.tempnam", "os.tmpnam"}
WEAK_DIGESTS = {"hashlib.md5", "hashlib.sha1", "hashes.MD5", "hashes.SHA1"}
NO_VERIFICATION = {"ssl._create_unverified_context", "ssl._create_default_https_context", "ssl.CERT_NONE",
                   "ssl.CERT_OPTIONAL", "ssl.wrap_socket", "ssl.PROTOCOL_TLS", "ssl.PROTOCOL_TLSv1",
                   "ssl.PROTOCOL_TLSv1_1", "ssl.PROTOCOL_TLSv1_2", "ssl.PROTOCOL_SSLv23"}  # fmt: skip
GUESSABLE = {"random", "numpy.random.seed", "np.random.seed"}
ANY_ADDRESS = {"0.0.0.0", "::", "[::]"}  # noqa: S104

ALLOWED = {
    ("models/training.py", "import pickle"): "only the name of the error that torch.load raises for a strange file",
    ("firmware/board/system_bus.py", "import asyncio"): "dbus-fast has no other face; a client of a local socket",
    ("firmware/board/modem.py", "import asyncio"): "the loop of one thread of ours, which only calls the message bus",
    ("firmware/board/logind.py", "import asyncio"): "one call of the message bus",
    ("hw_sim/broker.py", "subprocess.Popen"): "Mosquitto on loopback; a list whose program we looked up",
    ("hw_sim/part_processes.py", "subprocess.Popen"): "our own modules as `python -m`; a list made here",
    (
        "hw_sim/practice_office.py",
        "subprocess.Popen",
    ): "sh with fixed words, which ends our own module with this process",
    ("provisioning/guide_screen.py", "import asyncio"): "the loop of Textual's screen hears signals; no socket",
    ("provisioning/pictures.py", "subprocess.run"): "pdftoppm draws a page that was made here; a path we looked up",
    ("provisioning/guide_pictures.py", "import asyncio"): "keys for a screen that nobody sees; no socket",
    ("hw_sim/tun_cell.py", "subprocess.Popen"): "our own forwarder as `python -m`; a list of numbers made here",
    ("hw_sim/tcp_relay.py", "socket.create_server"): "the simulated link without root: a relay on 127.0.0.1",
    ("hw_sim/tcp_relay.py", "create_server"): "the same call, by its last word: a relay on 127.0.0.1",
    (
        "firmware/board/host_facts.py",
        "subprocess.run",
    ): "nft lists the kernel's rules; fixed words, a path we looked up",
    ("provisioning/host/addresses.py", "subprocess.run"): "nft takes the addresses that it is given on standard input",
    (
        "provisioning/card/processes.py",
        "subprocess.Popen",
    ): "apt, dpkg, pip, the card's own programs; fixed words",
    ("provisioning/card/entering.py", "subprocess.run"): "mount(8), and a program of the card once its root is changed",
    ("hw_sim/broker.py", "bind"): "asks the kernel for a free port of 127.0.0.1 and closes it again",
}

SECRET_MAKERS = ("firmware", "provisioning", "cloud")
"""Here randomness is for keys, names and back-off, so module `random` is out; pictures and roads are drawn by seeds."""


def dotted(node):
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def imported(node):
    """Return the full dotted names that an import statement brings in."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{node.module or ''}.{alias.name}" for alias in node.names]


def aliases(tree):
    """Return what each local name of a file means: `from os import system as s` makes s -> os.system."""
    meanings = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias, full in zip(node.names, imported(node), strict=True):
                is_whole = isinstance(node, ast.Import) and alias.asname is None  # `import a.b` binds `a`
                meanings[alias.asname or alias.name.split(".")[0]] = full.split(".")[0] if is_whole else full
    return meanings


def keyword(call, name):
    return next((word.value for word in call.keywords if word.arg == name), None)


def says(node, word):
    """Say whether an expression is just this word, such as `True`."""
    return isinstance(node, ast.Constant) and repr(node.value) == word


def findings(text, package):
    """Return what is dangerous in a source text, as short names."""
    tree = ast.parse(text)
    meanings = aliases(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += _of_import(node, package)
        elif isinstance(node, ast.Call):
            found += _of_call(node, _meant(node.func, meanings))
        elif isinstance(node, ast.Assign):
            found += _of_assignment(node)
        elif isinstance(node, ast.Assert):
            found.append("assert")
        elif isinstance(node, ast.Constant) and node.value in ANY_ADDRESS:
            found.append("an address that means all networks")
        if isinstance(node, ast.Attribute | ast.Name):
            meant = _meant(node, meanings)
            found += [meant] * (meant in NO_VERIFICATION | SHELLS | PREDICTABLE_FILES | WEAK_DIGESTS)
    return found


def _meant(node, meanings):
    name = dotted(node)
    first, _, rest = name.partition(".")
    return ".".join(filter(None, (meanings.get(first, first), rest)))


def _of_import(node, package):
    tops = {name.split(".")[0] for name in imported(node)}
    found = [f"import {top}" for top in tops & UNSAFE_MODULES]
    if package in SECRET_MAKERS:
        found += [f"import {top}" for top in tops & GUESSABLE]
    return found


def _of_call(call, name):
    found = []
    if name in CODE_FROM_DATA:
        found.append(name)
    if name in PROCESSES:
        found.append(name)
        if not isinstance(call.args[0] if call.args else None, ast.List | ast.Name):
            found.append(f"{name} without a list")
    if (shell := keyword(call, "shell")) is not None and not says(shell, "False"):
        found.append("shell=True")
    if name.endswith("torch.load") and not says(keyword(call, "weights_only"), "True"):
        found.append("torch.load without weights_only=True")
    if name in {"np.load", "numpy.load"} and (keyword(call, "allow_pickle") is not None):
        found.append("allow_pickle")
    if name.startswith("hashlib.new") and not re.search(r"sha(256|384|512)|sha3|blake2", ast.unparse(call)):
        found.append("a weak digest")
    return found + _of_serving(call, name)


def _of_serving(call, name):
    found = []
    if isinstance(call.func, ast.Attribute) and call.func.attr in {"bind", "create_server", "start_server"}:
        found.append(call.func.attr)
    if name in {"socket.create_server", "socket.socket.listen"}:
        found.append(name)
    if isinstance(call.func, ast.Attribute) and call.func.attr == "listen" and _listens_on_a_socket(call):
        found.append("listen")
    return found


def _listens_on_a_socket(call):
    """A socket listens with a number or nothing; a port of ours, a part or an outbox listens with a wake event."""
    return not call.args or isinstance(call.args[0], ast.Constant)


def _of_assignment(node):
    """`check_hostname = False`, `verify_mode = CERT_NONE`, and TLS below 1.3."""
    names = {target.attr for target in node.targets if isinstance(target, ast.Attribute)}
    found = ["check_hostname = False"] * ("check_hostname" in names and not says(node.value, "True"))
    found += ["TLS below 1.3"] * ("minimum_version" in names and not dotted(node.value).endswith("TLSv1_3"))
    return found


@functools.cache
def all_findings():
    return {
        (str(path.relative_to(ROOT)), what)
        for path in FILES
        for what in findings(path.read_text(encoding="utf-8"), path.relative_to(ROOT).parts[0])
    }


def test_nothing_dangerous_is_called_but_in_the_places_that_say_why():
    assert all_findings() - ALLOWED.keys() == set()


def test_each_exception_is_still_needed_and_has_a_reason():
    assert ALLOWED.keys() - all_findings() == set()
    assert all(len(reason.split()) >= 5 for reason in ALLOWED.values())


def test_what_runs_on_a_unit_calls_nothing_but_the_packet_filter():
    """A technician alone starts the card's installer, in a folder of its own; pictures are made for documentation."""
    found = {
        place
        for place, what in ALLOWED
        if place.startswith(("firmware/", "provisioning/", "cloud/")) and what != "import asyncio"
    }
    on_a_unit = {place for place in found if not place.startswith(("provisioning/card/", "provisioning/pictures.py"))}
    assert on_a_unit == {"firmware/board/host_facts.py", "provisioning/host/addresses.py"}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("eval(x)", "eval"),
        ("import pickle", "import pickle"),
        ("from yaml import load", "import yaml"),
        ("from os import system as run\nrun('ls')", "os.system"),
        ("import os as o\no.system('ls')", "os.system"),
        ("import os\nlater = os.popen", "os.popen"),
        ("import subprocess\nsubprocess.run('ls -l', check=True)", "subprocess.run without a list"),
        ("import subprocess\nsubprocess.run(['ls'], shell=True)", "shell=True"),
        ("import subprocess\nsubprocess.run(['ls'], shell=maybe)", "shell=True"),
        ("import subprocess\nsubprocess.Popen(f'ls {folder}')", "subprocess.Popen without a list"),
        ("import torch\ntorch.load(path)", "torch.load without weights_only=True"),
        ("import torch\ntorch.load(path, weights_only=False)", "torch.load without weights_only=True"),
        ("import numpy as np\nnp.load(path, allow_pickle=True)", "allow_pickle"),
        ("import tempfile\ntempfile.mktemp()", "tempfile.mktemp"),
        ("import hashlib\nhashlib.md5(b'')", "hashlib.md5"),
        ("from hashlib import sha1\nsha1(b'')", "hashlib.sha1"),
        ("import hashlib\nhashlib.new('md5')", "a weak digest"),
        ("import ssl\nssl._create_unverified_context()", "ssl._create_unverified_context"),
        ("import ssl\ncontext.verify_mode = ssl.CERT_NONE", "ssl.CERT_NONE"),
        ("context.check_hostname = False", "check_hostname = False"),
        ("import ssl\ncontext.minimum_version = ssl.TLSVersion.TLSv1_2", "TLS below 1.3"),
        ("import random", "import random"),
        ("from random import choice", "import random"),
        ("server.bind(('0.0.0.0', 80))", "an address that means all networks"),
        ("server.bind(('127.0.0.1', 0))", "bind"),
        ("server.listen()", "listen"),
        ("server.listen(5)", "listen"),
        ("import socket\nsocket.create_server(('', 80))", "socket.create_server"),
        ("from http.server import HTTPServer", "import http"),
        ("assert value > 0", "assert"),
    ],
)
def test_each_of_them_would_be_found(text, what):
    assert what in findings(text, "firmware")


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ntorch.load(path, weights_only=True)",
        "link.listen(self.wake)",
        "import hashlib\nhashlib.sha256(b'')",
        "import ssl\ncontext.minimum_version = ssl.TLSVersion.TLSv1_3",
        "import secrets\nsecrets.choice('ab')",
    ],
)
def test_what_is_right_is_left_alone(text):
    assert findings(text, "firmware") == []
