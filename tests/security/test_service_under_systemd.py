"""The unit file is no wish: the product starts and feeds its watchdog inside the sandbox that systemd makes of it."""

import datetime as dt

import pytest
from booted_card import boot, prepare
from network_spaces import need_root_and

from firmware import config
from firmware.board.linux import LinuxClock
from firmware.config import SiteConfig
from provisioning import fleet, unit
from provisioning.host import install


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    need_root_and("systemd-nspawn", "nft")
    root, looked, office = (tmp_path_factory.mktemp(name) for name in ("card", "seen", "office"))
    begun = dt.datetime.fromtimestamp(LinuxClock().utc_ms() / 1000, tz=dt.UTC)
    fleet.init(office / "fleet", host="192.0.2.1", port=8883, now=begun)
    (root / "var/lib").mkdir(parents=True)
    site = SiteConfig(name="Test Street", latitude_deg=37.0, longitude_deg=-122.0)
    settings = unit.enrol(office / "fleet", root / "var/lib/kestrel", site, begun)
    assert config.load(root / "var/lib/kestrel/config.json") == settings
    install.install(root, settings)
    prepare(root, looked)
    return boot(root, looked)


def lines_of(text, separator):
    return dict(line.split(separator, 1) for line in text.splitlines() if separator in line)


def state_of(answer, name):
    return next(check for check in answer["checks"] if check["name"] == name)


def test_it_is_ready_and_feeds_its_watchdog(seen):
    service = lines_of(seen["service"], "=")
    assert service["ActiveState"] == "active"
    assert service["NRestarts"] == "0"
    assert service["WatchdogTimestamp"]


def test_the_kernel_confines_it(seen):
    status = lines_of(seen["status"], ":\t")
    assert status["Uid"].split()[0] != "0"
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}


def test_it_sees_the_camera_and_no_other_device(seen):
    devices = set(seen["devices"].split())
    assert {"media0", "null", "urandom"} <= devices
    assert devices.isdisjoint({"net", "fuse", "console", "tty0", "ttyAMA0", "ttyUSB0", "mem", "kmsg"})


def test_its_folder_is_its_own(seen):
    assert seen["folder"].splitlines() == [
        "700 kestrel /var/lib/kestrel",
        "600 kestrel /var/lib/kestrel/device.key",
    ]


def test_networks_keep_their_delegate_inside(seen):
    found = state_of(seen["inside.json"], "models")
    assert found["state"] in {"pass", "warn"}  # a busy machine is slow
    assert "detector" in found["found"]
    assert "without XNNPACK" not in found["found"]


def test_from_inside_it_says_what_it_cannot_see(seen):
    assert state_of(seen["inside.json"], "firewall")["state"] == "unknown"
    for name in ("sockets", "key_store", "certificate", "disk", "sandbox"):
        assert state_of(seen["inside.json"], name)["state"] == "pass", name


def test_root_sees_all_of_it_enforced(seen):
    for name in ("sockets", "firewall", "key_store", "certificate", "disk", "sandbox"):
        found = state_of(seen["outside.json"], name)
        assert found["state"] == "pass", found
