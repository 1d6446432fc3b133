"""What is written below a root, and that a second time nothing is."""

import ipaddress
import os
import re
from pathlib import PurePosixPath

import msgspec
import pytest

from firmware import config
from firmware.config import CaptureConfig, MeterConfig, PowerConfig, UplinkConfig
from provisioning.host import install
from provisioning.host.addresses import Called, called_places, parsed, transaction
from provisioning.host.rendering import host_files

CONFIG_TXT = "dtparam=i2c_arm=on\n[pi4]\narm_boost=1\n"
CMDLINE = "console=serial0,115200 console=tty1 root=PARTUUID=1234-02 rootfstype=ext4 kgdboc=ttyAMA0 rootwait\n"


@pytest.fixture
def root(tmp_path, device_config):
    """A card with a unit and the Pi's boot files."""
    for folder in ("var/lib/kestrel", "boot/firmware"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "var/lib/kestrel/config.json").write_bytes(config.encode(device_config))
    (tmp_path / "boot/firmware/config.txt").write_text(CONFIG_TXT)
    (tmp_path / "boot/firmware/cmdline.txt").write_text(CMDLINE)
    return tmp_path


def below(root):
    """Return everything below `root` that a second installation could change."""
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_ino, path.lstat().st_mode) for path in root.rglob("*")}


def calling(device_config, host, port=8883):
    return config.DeviceConfig(
        version=1,
        device_id=device_config.device_id,
        site=device_config.site,
        seal=device_config.seal,
        uplink=UplinkConfig(host=host, port=port),
    )


def test_a_second_installation_changes_nothing(root, device_config):
    written = install.install(root, device_config)
    assert len(written) > 30
    before = below(root)
    assert install.install(root, device_config) == []
    assert install.differences(root, device_config) == []
    assert below(root) == before


def test_what_was_changed_by_hand_is_found_and_mended(root, device_config):
    install.install(root, device_config)
    rules = root / "etc/kestrel/firewall.nft"
    rules.write_text(rules.read_text().replace("policy drop", "policy accept"))
    unmasked = root / "etc/systemd/system/ssh.service"
    unmasked.unlink()
    mended = install.install(root, device_config)
    assert [str(path) for path in mended] == ["etc/kestrel/firewall.nft", "etc/systemd/system/ssh.service"]
    assert "policy accept" not in rules.read_text()
    assert str(unmasked.readlink()) == os.devnull


def test_files_are_for_all_to_read_and_for_root_to_write(root, device_config):
    for path in install.install(root, device_config):
        if not (root / path).is_symlink():
            assert (root / path).stat().st_mode & 0o777 == 0o644, path


def test_the_boot_files_keep_what_is_not_ours(root, device_config):
    install.install(root, device_config)
    text = (root / install.BOOT_CONFIG).read_text()
    assert text.startswith(CONFIG_TXT)
    ours = text[len(CONFIG_TXT) :]
    assert ours.index("[all]") < ours.index("dtoverlay=disable-wifi")  # not within the [pi4] that went before
    assert {"dtoverlay=disable-bt", "enable_uart=0", "dtparam=watchdog=on"} <= set(ours.splitlines())
    assert (root / install.BOOT_COMMAND).read_text() == (
        "console=tty1 root=PARTUUID=1234-02 rootfstype=ext4 rootwait\n"
    )


def test_what_is_appended_to_the_boot_file_later_stands_before_our_block(root):
    block = install.boot_block(None)
    text = install.boot_config(CONFIG_TXT, block) + "enable_uart=1\n"
    again = install.boot_config(text, block)
    assert again.index("enable_uart=1") < again.index("enable_uart=0")
    assert install.boot_config(again, block) == again
    assert again.count(install.BEGIN) == 1


def test_a_command_line_that_is_missing_is_not_made(root, device_config):
    (root / install.BOOT_COMMAND).unlink()
    install.install(root, device_config)
    assert not (root / install.BOOT_COMMAND).exists()


def test_each_unit_that_starts_with_the_machine_is_installed(root, device_config):
    files = {str(path) for path in host_files(device_config)}
    for names in install.WANTED.values():
        assert {f"etc/systemd/system/{name}" for name in names} <= files
    install.install(root, device_config)
    assert str((root / "etc/systemd/system/serial-getty@.service").readlink()) == os.devnull


def test_no_placeholder_is_left_and_none_of_our_files_is_masked(device_config):
    for path, content in host_files(device_config).items():
        assert not re.search(rb"\$[a-z{]", content), path
        assert path.suffix != ".in"
        assert path.name not in install.MASKED


@pytest.mark.parametrize(
    ("host", "elements"),
    [
        ("192.0.2.1", {"elements = { 192.0.2.1 . 8883 }"}),
        ("2001:db8::1", {"elements = { 2001:db8::1 . 8883 }"}),
        ("broker.example", set()),
    ],
)
def test_an_address_stands_in_the_rules_and_a_name_is_looked_up_by_the_unit(device_config, host, elements):
    files = {str(path): content.decode() for path, content in host_files(calling(device_config, host)).items()}
    rules, lookup = files["etc/kestrel/firewall.nft"], files["etc/systemd/system/kestrel-addresses.service"]
    assert {line.strip() for line in rules.splitlines() if "elements" in line} == elements
    assert ("kestrel-provision host addresses broker.example:8883\n" in lookup) == (not elements)
    service = files["etc/systemd/system/kestrel.service"]
    allowed = [line.partition("=")[2] for line in service.splitlines() if line.startswith("IPAddressAllow=")]
    assert (allowed == [host]) == bool(elements)


def test_a_service_that_calls_a_name_may_speak_to_no_loopback_and_no_crowd(device_config):
    service = host_files(calling(device_config, "broker.example"))
    text = next(content.decode() for path, content in service.items() if path.name == "kestrel.service")
    allowed = [
        ipaddress.ip_network(line.partition("=")[2]) for line in text.splitlines() if line.startswith("IPAddressAllow=")
    ]

    def may(address):
        one = ipaddress.ip_address(address)
        return any(one in network for network in allowed if network.version == one.version)

    assert all(
        map(may, ["1.1.1.1", "10.0.0.1", "100.64.0.1", "192.168.1.1", "223.255.255.254", "2001:db8::1", "fd00::1"])
    )
    assert not any(
        map(may, ["127.0.0.1", "127.255.255.255", "0.0.0.1", "224.0.0.251", "255.255.255.255", "::1", "ff02::fb"])
    )


@pytest.mark.parametrize("place", [Called(host="a.example", port=1), Called(host="2001:db8::1", port=65535)])
def test_a_place_is_one_word_of_a_command_line(place):
    assert parsed(str(place)) == place


@pytest.mark.parametrize("word", ["", "a", "a:", ":1", "a:0", "a:65536", "a:b", "a:-1"])
def test_a_word_that_names_no_place_is_refused(word):
    with pytest.raises(ValueError, match="host:port"):
        parsed(word)


def test_the_broker_is_the_one_place_that_is_called(device_config):
    assert called_places(device_config) == (Called(host="localhost", port=8883),)
    assert transaction([]) == "\n"


def test_the_lamp_s_pin_is_held_low_from_the_start_and_is_the_unit_s(device_config):
    moved = msgspec.structs.replace(device_config, capture=CaptureConfig(lamp_pin=12))
    assert "\ngpio=12=op,dl\n" in install.boot_block(moved)
    assert "\ngpio=18=op,dl\n" in install.boot_block(None)
    without = msgspec.structs.replace(device_config, capture=CaptureConfig(lamp_pin=None))
    assert "gpio=" not in install.boot_block(without)


METER_RULES = PurePosixPath("etc/udev/rules.d/86-kestrel-meters.rules")
BATTERY = MeterConfig(chip="ina226", address="0x4a", shunt_mohm=2)
PANEL = MeterConfig(chip="ina219", address="0x41", shunt_mohm=100)


def rules_of(device_config, power):
    text = host_files(msgspec.structs.replace(device_config, power=power))[METER_RULES].decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_the_kernel_is_told_which_meter_sits_where_and_of_its_shunt(device_config):
    assert rules_of(device_config, PowerConfig(battery=BATTERY, panel=PANEL)) == [
        'ACTION=="add", SUBSYSTEM=="i2c", KERNEL=="i2c-1", ATTR{new_device}="ina226 0x4a"',
        'ACTION=="add", SUBSYSTEM=="i2c", KERNEL=="i2c-1", ATTR{new_device}="ina219 0x41"',
        'ACTION=="add", SUBSYSTEM=="hwmon", KERNELS=="1-004a", ATTR{shunt_resistor}="2000"',
        'ACTION=="add", SUBSYSTEM=="hwmon", KERNELS=="1-0041", ATTR{shunt_resistor}="100000"',
    ]


def test_a_unit_without_meters_leaves_the_bus_alone(root, device_config):
    assert rules_of(device_config, None) == []
    assert "i2c_arm" not in install.boot_block(device_config)
    assert "i2c_arm" not in install.boot_block(None)
    block = install.boot_block(msgspec.structs.replace(device_config, power=PowerConfig(battery=BATTERY)))
    assert "dtparam=i2c_arm=on" in block.splitlines()
