"""Whether CI tells apart a published hole, a tool that broke and a machine without a network."""

import http.server
import importlib.util
import json
import os
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPECIFICATION = importlib.util.spec_from_file_location("supply_chain", ROOT / ".ci" / "supply_chain.py")
supply_chain = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(supply_chain)

CLEAN = {"dependencies": [{"name": "numpy", "version": "2.4.6", "vulns": []}], "fixes": []}
HOLED = {"dependencies": [{"name": "pip", "version": "1", "vulns": [{"id": "PYSEC-2013-9", "fix_versions": ["1.3"]}]}]}
SKIPPED = {"dependencies": [{"name": "kestrel-camera", "skip_reason": "not on PyPI"}]}
NOBODY = "http://127.0.0.1:1/v1/query"


@pytest.fixture
def service():
    """A database that is there, whatever it answers."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


@pytest.fixture
def environment(tmp_path):
    (tmp_path / "venv" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    return tmp_path / "venv"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def a_tool(tmp_path, code, report=None):
    """A program with pip-audit's manners: its report in --output, its exit code."""
    path = tmp_path / "tool"
    written = f"open(sys.argv[sys.argv.index('--output') + 1], 'w').write({json.dumps(report)!r})" if report else "0"
    path.write_text(f"#!{sys.executable}\nimport sys\n{written}\nsys.stderr.write('it said this')\nsys.exit({code})\n")
    path.chmod(0o755)
    return path


def audit(environment, tmp_path, tool, url, capsys):
    out = tmp_path / "audit.json"
    code = supply_chain.main(["audit", str(environment), "--tool", str(tool), "--out", str(out), "--osv-url", url])
    return code, capsys.readouterr().out


@pytest.fixture
def asked(environment, tmp_path, capsys, service):
    """What the audit says when its tool ends with this code and this report; `network` is a database that answers."""

    def ask(code, report, url):
        return audit(environment, tmp_path, a_tool(tmp_path, code, report), url, capsys)

    ask.network = service
    return ask


@pytest.mark.parametrize(
    ("code", "report", "expected", "word"),
    [
        (0, CLEAN, 0, "no published hole in 1 packages"),
        (1, HOLED, 1, "pip 1: PYSEC-2013-9"),
        (0, HOLED, 1, "PYSEC-2013-9"),
        (1, CLEAN, 1, "the tool broke"),
        (0, SKIPPED, 1, "the tool broke"),
    ],
)
def test_a_report_counts_whatever_the_network_does(asked, code, report, expected, word):
    for url in asked.network, NOBODY:
        ended, said = asked(code, report, url)
        assert ended == expected
        assert word in said


def test_without_a_report_and_with_a_network_the_tool_is_to_blame(environment, tmp_path, capsys, service):
    ended, said = audit(environment, tmp_path, a_tool(tmp_path, 1), service, capsys)
    assert ended == 1
    assert "the tool broke (exit code 1, no report): it said this" in said


def test_without_a_report_and_without_a_network_nobody_is(environment, tmp_path, capsys):
    ended, said = audit(environment, tmp_path, a_tool(tmp_path, 1), NOBODY, capsys)
    assert ended == 0
    assert "no network, so nothing was audited" in said


def test_success_without_a_report_is_no_success(environment, tmp_path, capsys):
    ended, said = audit(environment, tmp_path, a_tool(tmp_path, 0), NOBODY, capsys)
    assert ended == 1
    assert "the tool broke" in said


def test_an_old_report_does_not_count(environment, tmp_path, capsys, service):
    (tmp_path / "audit.json").write_text(json.dumps(CLEAN))
    ended, _ = audit(environment, tmp_path, a_tool(tmp_path, 1), service, capsys)
    assert ended == 1


def test_a_tool_or_an_environment_that_is_not_there_is_no_success(environment, tmp_path, capsys, service):
    assert audit(environment, tmp_path, tmp_path / "nothing", service, capsys)[0] == 1
    assert audit(tmp_path, tmp_path, a_tool(tmp_path, 0, CLEAN), service, capsys)[0] == 1


@pytest.mark.parametrize(
    ("components", "expected", "word"),
    [
        (["numpy", "Cryptography"], 0, "2 components"),
        (["numpy"], 1, "lacks cryptography"),
        (["numpy", "cryptography", "pip-audit"], 1, "holds pip-audit"),
    ],
)
def test_a_bill_of_materials_is_checked_for_what_a_unit_has(tmp_path, capsys, components, expected, word):
    out = tmp_path / "sbom.json"
    document = {"components": [{"name": name, "version": "1"} for name in components]}
    tool = tmp_path / "tool"
    tool.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"open(sys.argv[sys.argv.index('--output-file') + 1], 'w').write({json.dumps(document)!r})\n"
    )
    tool.chmod(0o755)
    code = supply_chain.main(
        ["sbom", "venv", "--tool", str(tool), "--out", str(out), "--needs", "numpy", "cryptography"]
    )
    assert code == expected
    assert word in capsys.readouterr().out
