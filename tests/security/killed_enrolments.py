"""Make a unit again and again, each time killed one line later, then once more to the end; tell what was left.

Not a test but what one runs: `python killed_enrolments.py WAY FLEET WORK` prints JSON lines. WAY is `new`, or `stock`
for a unit that asks, gets its bundle and applies it with its site. Each run is a forked process of its own, on a copy.
"""

import json
import shutil
import sys
from pathlib import Path

import killed_rotations
from killed_rotations import ENDED, KILLED, NOW, in_child, keys_left, killed_at, state

from cloud import fleet_folder
from cloud.registry import Registry
from firmware import durable_files, key_files
from firmware.config import SiteConfig
from firmware.faults import ConfigRejected
from provisioning import bundling, fleet_sites, requests, signing, unit
from provisioning.site_files import SitePlan

PLAN = SitePlan(site=SiteConfig(name="Test Street", latitude_deg=37.25, longitude_deg=-122.1))

killed_rotations.CHANGING = {
    durable_files: {"write", "replace_and_erase"},
    key_files: {"prepare", "settle"},
    signing: {"sign", "issue", "_certified"},
    fleet_sites: {"keep"},
    unit: {"enrol", "request_new", "take", "_settle", "_finished"},
    bundling: {"make", "apply"},
}
"""Whatever is changed on the way is changed by a line of these functions."""


def made_new(fleet, work):
    """Make the unit where both folders are; one that was finished before is told to be there, and left alone."""
    folder = work / "unit"
    is_finished = (folder / "config.json").exists() and not (folder / unit.REQUEST_NAME).exists()
    try:
        unit.enrol(fleet, folder, PLAN.site, NOW)
    except ConfigRejected:
        if not is_finished:
            raise


def made_in_stock(fleet, work):
    """Let the unit ask, the office answer with a bundle, and the unit apply it; each step as its command does it."""
    folder, asked, bundle = work / "unit", work / "request.json", work / "bundle"
    if not (folder / "config.json").exists():
        durable_files.write(asked, requests.encode(unit.request_new(folder)))
        durable_files.write(bundle, bundling.make(fleet, requests.load_request(asked), NOW))
    bundling.apply(folder, bundle, NOW, plan=PLAN)


def again(way, fleet, work):
    """Do it to the end; return what there is then."""
    way(fleet, work)
    folder = work / "unit"
    left = sorted(path.name for path in folder.iterdir())
    units = Registry(fleet / fleet_folder.REGISTRY_FOLDER).units()
    labels = len(list((fleet / fleet_folder.LABELS_FOLDER).glob("k-*.svg")))
    return state(fleet, folder) | {"keys": keys_left(folder), "files": left, "units": len(units), "labels": labels}


def one_step(way, step, fleet, work):
    """Return what is left of a run that is killed at `step`, and of the one that follows it."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(fleet, work / "fleet")
    note = work / "told.json"

    def killed():
        killed_at(step)
        way(work / "fleet", work)

    code = in_child(killed)
    is_unit = (work / "unit" / "config.json").exists()
    after = told(note, lambda: state(work / "fleet", work / "unit")) if is_unit else None
    return {"code": code, "after": after, "final": told(note, lambda: again(way, work / "fleet", work))}


def told(note, work):
    code = in_child(lambda: note.write_text(json.dumps(work())))
    return json.loads(note.read_text()) if code == ENDED else {"whole": False, "why": f"ended with {code}"}


def main(way, fleet, work):
    """Go on until a run ends before it is killed."""
    step, code = 0, KILLED
    while code == KILLED:
        step += 1
        left = one_step({"new": made_new, "stock": made_in_stock}[way], step, fleet, work / "copy")
        code = left["code"]
        sys.stdout.write(json.dumps({"step": step} | left) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
