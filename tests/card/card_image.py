"""A card as its blocks: a root in an image with the two partitions of a card of a Raspberry Pi, written unmounted."""

import subprocess

DISK_ID = "6b657374"
BOOT_PARTITION, SYSTEM_PARTITION = (f"PARTUUID={DISK_ID}-{number:02d}" for number in (1, 2))
MIB = 1 << 20
BOOT_AT_MIB, BOOT_MIB = 1, 64
SYSTEM_AT_MIB = BOOT_AT_MIB + BOOT_MIB
FREE_MIB = 2048
"""More than the outbox may take, the log and updates."""

TABLE = f"""label: dos
label-id: 0x{DISK_ID}
start={BOOT_AT_MIB}MiB, size={BOOT_MIB}MiB, type=c
start={SYSTEM_AT_MIB}MiB, type=83
"""


def write(root, image):
    """Write the card whose root is `root` to the file `image`, which takes no more room than what is on it."""
    used = subprocess.run(["du", "--summarize", "--block-size=1M", root], capture_output=True, text=True, check=True)
    system_mib = int(used.stdout.split()[0]) * 5 // 4 + FREE_MIB
    boot = image.with_suffix(".boot")
    boot.unlink(missing_ok=True)
    _made(["mkfs.vfat", "-F", "32", "-C", boot, str(BOOT_MIB * 1024)])
    _made(["mcopy", "-s", "-i", boot, *(root / "boot/firmware").iterdir(), "::"])
    with image.open("wb") as file:
        file.seek(BOOT_AT_MIB * MIB)
        file.write(boot.read_bytes())
        file.truncate((SYSTEM_AT_MIB + system_mib) * MIB)
    boot.unlink()
    _made(["sfdisk", "--quiet", image], input=TABLE)
    place = f"offset={SYSTEM_AT_MIB * MIB},lazy_itable_init=1,nodiscard"
    _made(["mke2fs", "-q", "-t", "ext4", "-d", root, "-E", place, image, f"{system_mib}M"])


def _made(words, **options):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{words[0]} did not end well; {done.stdout[-1500:]}")
