"""Writes the host's files below a root, and says what there differs from what should be there.

Below a root, and not on the running machine: a card can be prepared in the office, and what was written takes effect
with the next start. Writing a second time changes nothing.
"""

import os
from pathlib import Path, PurePosixPath
from typing import Final

from firmware.config import CaptureConfig, DeviceConfig
from provisioning import durable_files
from provisioning.host.rendering import host_files

SYSTEMD: Final = PurePosixPath("etc/systemd/system")
GENERATORS: Final = PurePosixPath("etc/systemd/system-generators")

WANTED: Final = {
    "sysinit.target.wants": ("kestrel-firewall.service",),
    "multi-user.target.wants": ("kestrel.service", "kestrel-addresses.service"),
    "timers.target.wants": ("kestrel-addresses.timer",),
}
"""What starts with the machine: the links that `systemctl enable` would make."""

MASKED: Final = (
    # consoles on serial ports, the USB gadget's among them: whoever opens the housing would get a log-in
    "serial-getty@.service",
    # everything that Raspberry Pi OS may bring and that listens
    "ssh.service", "ssh.socket", "sshswitch.service", "avahi-daemon.service", "avahi-daemon.socket", "rpcbind.service",
    "rpcbind.socket", "nfs-server.service", "cups.service", "cups.socket", "cups-browsed.service", "hostapd.service",
    "dnsmasq.service", "mosquitto.service", "wayvnc.service", "vncserver-x11-serviced.service", "pigpiod.service",
    # radios
    "wpa_supplicant.service", "bluetooth.service", "hciuart.service",
    # swap on the card: memory holds plates in the clear
    "dphys-swapfile.service",
    # the first start asks nobody for an account, and nothing is fetched by itself
    "userconfig.service", "apt-daily.timer", "apt-daily-upgrade.timer",
)  # fmt: skip

MASKED_GENERATORS: Final = ("rpi-swap-generator", "zram-generator")
"""What makes swap by itself on Raspberry Pi OS of Debian 13; masked as systemd.generator(7) says."""

BOOT_CONFIG: Final = PurePosixPath("boot/firmware/config.txt")
BOOT_COMMAND: Final = PurePosixPath("boot/firmware/cmdline.txt")
BEGIN, END = "# kestrel: begin", "# kestrel: end"
FSTAB: Final = PurePosixPath("etc/fstab")
BOOT_WORDS: Final = f"""{BEGIN} (made by `kestrel-provision card install`)
[all]
# radios off in the device tree (overlays/README of the Raspberry Pi firmware), the serial console off, the hardware
# watchdog there, an initramfs for a read-only card
dtoverlay=disable-wifi
dtoverlay=disable-bt
enable_uart=0
dtparam=watchdog=on
auto_initramfs=1
# the camera, which is not looked for; the lamp off until the service has it
camera_auto_detect=0
dtoverlay=imx296
"""
SERIAL_CONSOLES: Final = ("console=serial", "console=ttyAMA", "console=ttyS", "kgdboc=", "earlycon")
"""Words of the kernel's command line that open a serial port; the console on the screen stays."""


def install(root: Path, settings: DeviceConfig | None) -> list[PurePosixPath]:
    """Write what is not yet as it should be; return the paths, below `root`, that were written. Raises OSError."""
    wrong = differences(root, settings)
    files, links = wanted_files(root, settings), wanted_links()
    for path in wrong:
        place = root / path
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if path in files:
            durable_files.publish(place, files[path])
        else:
            place.unlink(missing_ok=True)
            place.symlink_to(links[path])
    return wrong


def differences(root: Path, settings: DeviceConfig | None) -> list[PurePosixPath]:
    """Return the paths below `root` that are missing or not as they should be. Raises OSError."""
    files = [path for path, content in wanted_files(root, settings).items() if not _is_file(root / path, content)]
    links = [path for path, target in wanted_links().items() if not _is_link(root / path, target)]
    return sorted(files + links)


def wanted_files(root: Path, settings: DeviceConfig | None) -> dict[PurePosixPath, bytes]:
    """Return the content that each file below `root` should have. Raises OSError.

    Of the Pi's boot files only our part is ours. A command line that is missing is not made: it names the disk.
    """
    files = host_files(settings)
    files[BOOT_CONFIG] = boot_config(_text(root / BOOT_CONFIG), boot_block(settings)).encode()
    if (root / BOOT_COMMAND).exists():
        files[BOOT_COMMAND] = boot_command(_text(root / BOOT_COMMAND)).encode()
    return files


def wanted_links() -> dict[PurePosixPath, str]:
    """Return the target that each symbolic link below the root should have."""
    links = {SYSTEMD / folder / name: f"/{SYSTEMD / name}" for folder, names in WANTED.items() for name in names}
    generators = {GENERATORS / name: os.devnull for name in MASKED_GENERATORS}
    return links | generators | {SYSTEMD / name: os.devnull for name in MASKED}


def boot_block(settings: DeviceConfig | None) -> str:
    """Return our part of the Pi's config.txt; the lamp's pin is the unit's, or the default while there is none."""
    capture = settings.capture if settings else CaptureConfig()
    lamp = f"gpio={capture.lamp_pin}=op,dl\n" if capture.lamp_pin is not None else ""
    bus = "# the bus of battery's and panel's meters\ndtparam=i2c_arm=on\n" if settings and settings.power else ""
    return f"{BOOT_WORDS}{lamp}{bus}{END}\n"


def is_boot_partition_missing(root: Path) -> bool:
    """Return whether fstab(5) names the Pi's boot partition and it is not mounted below `root`. Raises OSError."""
    is_named = f"/{BOOT_CONFIG.parent}" in _text(root / FSTAB).split()
    return is_named and not (root / BOOT_CONFIG).exists()


def boot_config(text: str, block: str) -> str:
    """Return the Pi's config.txt with our block at its end, where nothing after it can take it back."""
    before, begin, rest = text.partition(BEGIN)
    after = rest.partition(f"{END}\n")[2] if begin else ""
    others = (before + after).rstrip("\n")
    return f"{others}\n\n{block}" if others else block


def boot_command(text: str) -> str:
    """Return the kernel's command line without serial consoles."""
    return " ".join(word for word in text.split() if not word.startswith(SERIAL_CONSOLES)) + "\n"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _is_file(path: Path, content: bytes) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_bytes() == content


def _is_link(path: Path, target: str) -> bool:
    return path.is_symlink() and str(path.readlink()) == target
