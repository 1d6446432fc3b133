"""Fuzz every decoder of bytes from outside: `make fuzz SECONDS=600`, or `python -m tests.fuzz --target config`.

Each target gets its share of the time in a process of its own, begins with seeds that code makes, and leaves what it
found in build/fuzz: `corpus/NAME` for the next run, `found/NAME` for what came out wrong, with the command that repeats
it. Exit codes: 0 nothing found, 1 a finding, 2 usage.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.documents import work_folder
from tests.fuzz.judging import ROOT, TIME_LIMIT_S, judge
from tests.fuzz.table import TARGETS

BUILD = ROOT / "build" / "fuzz"
RESIDENT_LIMIT_MB = 1024
GRACE_S = 240  # to start, and for the last input


def main() -> int:
    options = _parser().parse_args()
    if options.repeat:
        return _repeat(options.target[0], options.repeat)
    names = options.target or sorted(TARGETS)
    share_s = max(1, options.seconds // len(names))
    print(f"{len(names)} targets, {share_s} s each", flush=True)
    guilty = [name for name in names if not _is_clean(name, share_s)]
    shutil.rmtree(work_folder(), ignore_errors=True)
    print(f"Findings in: {', '.join(guilty)}" if guilty else "No findings.")
    return 1 if guilty else 0


def _is_clean(name: str, seconds: int) -> bool:
    """Fuzz one target; say whether nothing was found. What it printed lies in build/fuzz/NAME.log."""
    corpus, found = BUILD / "corpus" / name, BUILD / "found" / name
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in TARGETS[name].seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    before = set(found.iterdir())
    command = [sys.executable, "-m", "tests.fuzz.attack", TARGETS[name].feed.__module__, name, str(corpus),
               f"-max_total_time={seconds}", f"-timeout={5 * TIME_LIMIT_S:.0f}", f"-rss_limit_mb={RESIDENT_LIMIT_MB}",
               "-print_final_stats=1",
               f"-max_len={TARGETS[name].longest_bytes}", f"-artifact_prefix={found}/"]  # fmt: skip
    log = BUILD / f"{name}.log"
    # libFuzzer ends its process at once, so what that leaves behind goes with a folder of ours
    with log.open("wb") as output, tempfile.TemporaryDirectory(dir=work_folder()) as scratch:
        try:
            ended = subprocess.run(
                command,
                env=os.environ | {"TMPDIR": scratch},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=seconds + GRACE_S,
            ).returncode
        except subprocess.TimeoutExpired:
            ended = None
    return _reported(name, ended, sorted(set(found.iterdir()) - before), log)


def _reported(name: str, ended: int | None, findings: list[Path], log: Path) -> bool:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    runs = [line.split()[-1] for line in lines if "number_of_executed_units" in line]
    print(f"{name:<14} {runs[-1] if runs else '?':>9} inputs  {'clean' if ended == 0 else 'FOUND'}", flush=True)
    if ended == 0:
        return True
    causes = [
        line for line in lines if "Uncaught Python exception" in line or line.startswith((" === ", "==", "tests."))
    ]
    print(f"  ended with {ended}; the whole output is {log.relative_to(ROOT)}")
    print("".join(f"  {line}\n" for line in [*causes[:3], *lines[-12:]]), end="")
    for finding in findings:
        print(f"  repeat: {sys.executable} -m tests.fuzz --target {name} --repeat {finding.relative_to(ROOT)}")
    return False


def _repeat(name: str, path: Path) -> int:
    """Feed one input, without the fuzzer; a traceback is the finding."""
    taken = judge(TARGETS[name], path.read_bytes())
    shutil.rmtree(work_folder(), ignore_errors=True)
    print(f"{name}: {'taken' if taken else 'refused as documented'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the decoders.")
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together (default: %(default)s)")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one; may be repeated")
    parser.add_argument("--repeat", type=Path, help="feed this one file to --target")
    return parser


if __name__ == "__main__":
    sys.exit(main())
