"""What a unit is made of, and whether any of it has a published hole: `python .ci/supply_chain.py sbom|audit ...`.

Runs with nothing but the standard library. The product stands in one environment, these tools in another, so that
neither the list nor the audit counts the auditors.

Exit codes: 0 done, or no network (said in one sentence); 1 a published hole, or the tool broke.
"""

import argparse
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OSV_URL = "https://api.osv.dev/v1/query"
PROBE_LIMIT_S = 15.0
TOOL_LIMIT_S = 900.0

AUDITORS = {"pip-audit", "cyclonedx-bom", "cyclonedx-python-lib"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    code, sentence = options.command(options)
    sys.stdout.write(f"{options.name}: {sentence}\n")
    return int(code)


def _sbom(options: argparse.Namespace) -> tuple[int, str]:
    """Write the bill of materials of an environment as CycloneDX 1.6 JSON, checked against its schema by the tool."""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.unlink(missing_ok=True)
    command = [str(options.tool), "environment", "--validate", "--spec-version", "1.6", "--output-format", "JSON",
               "--output-reproducible", "--output-file", str(options.out), str(options.environment)]  # fmt: skip
    ended = subprocess.run(command, check=False, timeout=TOOL_LIMIT_S)  # noqa: S603  a list, the tool of our own venv
    document = _json_of(options.out)
    if ended.returncode or not isinstance(document, dict):
        return 1, f"the tool broke (exit code {ended.returncode}); its message is above"
    components = document.get("components", [])
    found = {component["name"].lower() for component in components if component.get("version")}
    if missing := {name.lower() for name in options.needs} - found:
        return 1, f"the list lacks {', '.join(sorted(missing))}; make the environment again"
    if strangers := found & AUDITORS:
        return 1, f"the list holds {', '.join(sorted(strangers))}, which no unit has; make the environment again"
    return 0, f"{len(found)} components in {options.out}, valid CycloneDX 1.6"


def _audit(options: argparse.Namespace) -> tuple[int, str]:
    """Ask the vulnerability database about every package of an environment."""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.unlink(missing_ok=True)
    folders = sorted(options.environment.glob("lib/python*/site-packages"))
    if not folders:
        return 1, f"{options.environment} is no environment; make it again"
    command = [str(options.tool), "--path", str(folders[-1]), "--vulnerability-service", "osv",
               "--osv-url", options.osv_url, "--format", "json", "--output", str(options.out),
               "--progress-spinner", "off"]  # fmt: skip
    try:
        ended = subprocess.run(  # noqa: S603  a list, the tool of our own venv
            command, check=False, timeout=TOOL_LIMIT_S, capture_output=True, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, f"the tool broke ({type(error).__name__})"
    return verdict(ended.returncode, _json_of(options.out), ended.stderr, osv_url=options.osv_url)


def verdict(code: int, report: Any, said: str, *, osv_url: str) -> tuple[int, str]:
    """Return exit code and sentence for what pip-audit did.

    Its exit code is 1 both for a hole and for a failure, so only its report tells them apart; whether a failure without
    a report is the network's is found out by knocking at the same door.
    """
    packages = report.get("dependencies") if isinstance(report, dict) else None
    if packages:
        holes = [f"{one['name']} {one['version']}: {hole['id']}" for one in packages for hole in one.get("vulns", [])]
        audited = [one for one in packages if "vulns" in one]
        if holes:
            return 1, f"{len(holes)} published holes: {'; '.join(holes)}"
        if code == 0 and audited:
            return 0, f"no published hole in {len(audited)} packages"
        return 1, f"the tool broke (exit code {code}, {len(audited)} packages looked at)"
    if code != 0 and not _answers(osv_url):
        return 0, "no network, so nothing was audited; run it again where there is one"
    return 1, f"the tool broke (exit code {code}, no report): {' '.join(said.split())[-300:]}"


def _answers(url: str) -> bool:
    """Say whether anything at all answers there, through the proxy if one is set; an error page is an answer."""
    try:
        urllib.request.urlopen(url, timeout=PROBE_LIMIT_S).close()  # noqa: S310  our own constant or the caller's
    except urllib.error.HTTPError:
        return True
    except OSError:  # URLError is one: no name, no route, refused, timed out, TLS
        return False
    return True


def _json_of(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=".ci/supply_chain.py", description="Bill of materials, and its audit.")
    commands = parser.add_subparsers(dest="name", required=True)
    for name, command in (("sbom", _sbom), ("audit", _audit)):
        one = commands.add_parser(name)
        one.add_argument("environment", type=Path, help="the virtual environment of the product")
        one.add_argument("--tool", type=Path, required=True, help="cyclonedx-py or pip-audit, of another environment")
        one.add_argument("--out", type=Path, required=True, help="where the result goes")
        one.set_defaults(command=command)
    commands.choices["sbom"].add_argument("--needs", nargs="*", default=[], help="packages that must be in it")
    commands.choices["audit"].add_argument("--osv-url", default=os.environ.get("OSV_URL", OSV_URL))
    return parser


if __name__ == "__main__":
    sys.exit(main())
