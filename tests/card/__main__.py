"""The card's installer on real roots: `make card-test`, or `python -m tests.card`, as root; half an hour and more.

Debian 12 and 13 of this machine's kind: installed with three kills on the way, a second time, checked, booted by their
own systemd, and asked what is enforced. An emulated arm64 Debian 12: installed to the end, and started in a whole
emulated machine with a kernel of its own, to be asked the same. Exits with 1 if anything is not as it should be.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from firmware.board.linux import LinuxClock
from firmware.faults import KestrelError
from provisioning.card.bundle import BEGIN_NAME
from provisioning.card.inside import BUNDLE_INSIDE
from provisioning.card.log_ins import open_accounts
from tests.arm64.emulated_pi import NoEmulation
from tests.card import read_only, self_checks, whole_machine
from tests.card.card_roots import FOLDER, ROOT, CardKind, fresh, make_archive, python, run, snapshot

KINDS = [
    CardKind(suite="bookworm", architecture="amd64"),
    CardKind(suite="trixie", architecture="amd64"),
    CardKind(suite="bookworm", architecture="arm64"),
]
KILLS = (("[1/7]", 2.0), ("[1/7]", 8.0), ("[2/7]", 5.0))
"""After which line, and how many seconds: while packages are unpacked, set up, and wheels installed."""

CLOCK = LinuxClock()
NOTHING = "Nothing was to be done."


class Wrong(KestrelError):
    """Something is not as it should be."""


def must(is_so, sentence):
    """Say what was looked at; raise Wrong unless it is so."""
    print(f"  {'ok  ' if is_so else 'FAIL'} {sentence}", flush=True)
    if not is_so:
        raise Wrong(sentence)


def provision(kind, *words):
    """Run kestrel-provision; return how it ended."""
    return run(kind, python("provisioning", *words))


def bundle_for(kind):
    """Make the kind's bundle, or renew it; return its folder."""
    folder = FOLDER / f"bundle-{kind}"
    begun_s = CLOCK.monotonic_s()
    made = provision(kind, "card", "bundle", "--out", folder, "--suite", kind.suite, "--arch", kind.architecture)
    must(made.returncode == 0, f"bundle: {last(made)} [{CLOCK.monotonic_s() - begun_s:.0f} s]")
    return folder


def last(done):
    """Return the last line of what was said."""
    return (done.stdout.strip().splitlines() or ["nothing"])[-1]


def killed(root, bundle, line, after_s):
    """Begin to install and kill that a while after a line has been said; return that line, and how it ended."""
    command = python("provisioning", "card", "install", "--root", root, "--bundle", bundle)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        said = next((one for one in child.stdout if one.startswith(line)), "it ended before")
        try:
            child.wait(after_s)
        except subprocess.TimeoutExpired:
            child.kill()
    return said.strip(), child.returncode


def journey(kind, work, *, kills):
    """Take one card from blank to a unit's and look at it. Raises Wrong."""
    root, fleet = work / "card", work / "fleet"
    fresh(kind, root)
    bundle = bundle_for(kind)
    for line, after_s in kills:
        said, code = killed(root, bundle, line, after_s)
        must(code == -9, f"killed {after_s:g} s after: {said}")
    begun_s = CLOCK.monotonic_s()
    done = provision(kind, "card", "install", "--root", root, "--bundle", bundle)
    print("".join(f"       {line}\n" for line in done.stdout.splitlines()), end="")
    must(done.returncode == 0, f"installed to the end in {CLOCK.monotonic_s() - begun_s:.0f} s")
    if kind.suite == "trixie":
        look_at_read_only(kind, root, bundle)
    provision(kind, "fleet", "init", fleet, "--host", "192.0.2.1")
    site = ["--name", "Test Street", "--latitude", "37", "--longitude", "-122"]
    provision(kind, "unit", "new", fleet, root / "var/lib/kestrel", *site)
    must(
        provision(kind, "card", "check", "--root", root).returncode == 1,
        "check: a new unit's firewall is not there yet",
    )
    must(provision(kind, "card", "install", "--root", root).returncode == 0, "installed again for the unit, no bundle")
    before, begun_s = snapshot(root), CLOCK.monotonic_s()
    again = provision(kind, "card", "install", "--root", root, "--bundle", bundle)
    must(NOTHING in again.stdout, f"a second time: {NOTHING} [{CLOCK.monotonic_s() - begun_s:.1f} s]")
    must(snapshot(root) == before, "and no file has changed")
    if not kind.is_emulated:
        begun = self_checks.entered_by(kind, root, bundle, "sh", BUNDLE_INSIDE / BEGIN_NAME)
        must(NOTHING in begun.stdout, f"begin.sh on the card itself: {NOTHING}")
    must(provision(kind, "card", "check", "--root", root).returncode == 0, "check: every part passes")
    look_at_files(root)
    look_at_unit(kind, root, work)


def look_at_read_only(kind, root, bundle):
    """Make the card read-only, look at that, and take it back. Raises Wrong."""
    install = ("card", "install", "--root", root, "--bundle", bundle)
    refused = provision(kind, *install, "--read-only")
    must("mkfs.ext4 -L" in last(refused), "read-only: refused without a partition for the unit")
    with read_only.labelled_partition():
        must(provision(kind, *install, "--read-only").returncode == 0, "read-only: overlayroot installed, switched on")
    must(provision(kind, "card", "check", "--root", root).returncode == 0, "check: every part passes")
    must(
        read_only.is_writable(root, read_only.switch(root)),
        "read-only: overlayroot leaves the unit's partition writable",
    )
    must(not read_only.is_writable(root, 1), "and would not, had it not been told so")
    must(provision(kind, *install, "--writable").returncode == 0, "writable again")


def look_at_files(root):
    """Look at what the card's own files say now. Raises Wrong."""
    must(open_accounts((root / "etc/shadow").read_text()) == [], "no password opens anything")
    must(not (root / "etc/sudoers.d/010_pi-nopasswd").exists(), "nobody becomes root without being asked")
    must("swap" not in (root / "etc/fstab").read_text(), "no swap in fstab")
    words = (root / "boot/firmware/config.txt").read_text().split()
    must({"dtoverlay=disable-wifi", "dtoverlay=imx296", "gpio=18=op,dl"} <= set(words), "config.txt has our overlays")
    must("serial0" not in (root / "boot/firmware/cmdline.txt").read_text(), "no serial console")
    must((root / "etc/systemd/system/ssh.service").readlink() == Path(os.devnull), "ssh is masked")


def look_at_machine(answers):
    """Look at what a whole machine said; return the self-check's answer. Raises Wrong."""
    must(answers["kernel"].split()[2] == "aarch64", f"a whole machine: {answers['kernel'].strip()}")
    must("camera-absent" in answers["journal"], "kestrel.service as installed: it says that the camera is absent")
    must("NRestarts=0" not in answers["as-installed"], "ends, and is started again")
    must(answers["sockets-as-installed"] == answers["sockets"] == "", "ss -lntu: nothing listens, then and later")
    return json.loads(answers["self-check.json"])


def look_at_unit(kind, root, work):
    """Start the card and ask the unit on it what is enforced. Raises Wrong, NoEmulation."""
    answer = look_at_machine(whole_machine.booted(kind, root, work)) if kind.is_emulated else self_checks.booted(root)
    for check in answer["checks"]:
        print(f"       {check['name']:<12} {check['state']:<8} {check['found']}")
    must(answer["passed"], "self-check: all is enforced")


def main():
    """Take each kind of card through; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.card", description="The card's installer on real roots.")
    parser.add_argument("--card", choices=[str(kind) for kind in KINDS], action="append", help="default: all")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("card-test: needs root, for a root file system of its own; put sudo before it", file=sys.stderr)
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for kind in KINDS:
        if options.card and str(kind) not in options.card:
            continue
        print(f"== {kind}", flush=True)
        work = Path(tempfile.mkdtemp(prefix="work-", dir=FOLDER))
        try:
            make_archive(kind)
            journey(kind, work, kills=() if kind.is_emulated else KILLS)
        except (Wrong, NoEmulation, KestrelError, AssertionError, subprocess.SubprocessError) as error:
            print(f"card-test: {kind}: {error}", file=sys.stderr)
            wrong += 1
        finally:
            shutil.rmtree(work)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
