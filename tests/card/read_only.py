"""A card that is to be read-only: what overlayroot's own script, which runs before the root is there, makes of it.

No partition is made for it: the name that udev would give one is put under /dev/disk/by-label for a moment.
"""

import os
import subprocess
from contextlib import contextmanager

from provisioning.card.mounts import LABELS, STATE_LABEL, STATE_LINE
from provisioning.host.install import BOOT_COMMAND

SCRIPT = "usr/share/initramfs-tools/scripts/init-bottom/overlayroot"

# Its functions alone: what follows them would mount.
REWRITE = """MYTAG=overlayroot
eval "$(sed -n '/^[a-z_]*() {/,/^}/p' "$1")"
overlayrootify_fstab "$2" /media/root-ro /media/root-rw / "$3" 0 overlay
"""


@contextmanager
def labelled_partition():
    """Let there be a partition for the unit's folder, by its name."""
    made = [folder for folder in (LABELS.parent, LABELS) if not folder.is_dir()]
    for folder in made:
        folder.mkdir()
    name = LABELS / STATE_LABEL
    name.symlink_to(os.devnull)
    try:
        yield
    finally:
        name.unlink()
        for folder in reversed(made):
            folder.rmdir()


def switch(root):
    """Return the number after `recurse=` on the card's kernel command line."""
    return int((root / BOOT_COMMAND).read_text().partition("recurse=")[2].split()[0])


def is_writable(root, recurse):
    """Return whether the unit's partition stays as fstab has it under an overlay with this `recurse`."""
    words = ["sh", "-c", REWRITE, "sh", root / SCRIPT, root / "etc/fstab", str(recurse)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return STATE_LINE in done.stdout.splitlines(keepends=True)
