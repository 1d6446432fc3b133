"""Full, read-only and failing disks: a refusal is a fault with a hint, nothing kept is lost, it passes by itself."""

import json
import os
import subprocess
import sys

import disk_shim
import pytest


def test_whatever_write_or_sync_is_refused_nothing_is_lost_and_it_recovers_by_itself(ram_folder, shim_library):
    child = subprocess.run(
        [sys.executable, "-m", "refusals", ram_folder / "refusals"],
        env=disk_shim.environment(shim_library),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stderr.decode()
    tried = json.loads(child.stdout)
    assert len(tried) == 35
    assert min(tried.values()) >= 2  # each thing is written and synced, and each of these was refused


MOUNTED = 'mount -t tmpfs -o size=24m outbox "$1" && shift && exec "$@"'


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_disk_that_is_really_full_loses_nothing_and_comes_right_by_itself(tmp_path):
    environment = disk_shim.environment("") | {"LD_PRELOAD": ""}
    environment["PYTHONPATH"] += os.pathsep + str(disk_shim.ROOT / "tests" / "unit")
    child = subprocess.run(
        ["unshare", "--mount", "sh", "-c", MOUNTED, "sh", tmp_path, sys.executable, "-m", "full_disk", tmp_path],
        env=environment,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stderr.decode()
    assert json.loads(child.stdout)["lost"] > 0
