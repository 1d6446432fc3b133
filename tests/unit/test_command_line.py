"""`python -m hw_sim`: what a person meets who mistypes something, before anything is started."""

import datetime as dt

import pytest

from firmware.board.linux import LinuxClock
from firmware.config import SiteConfig
from hw_sim.__main__ import MODELS_FOLDER, main
from provisioning import fleet, unit

NOW = dt.datetime.fromtimestamp(LinuxClock().utc_ms() / 1000, tz=dt.UTC)


@pytest.fixture
def unit_folder(tmp_path):
    fleet.init(tmp_path / "fleet", host="localhost", port=18883, now=NOW)
    site = SiteConfig(name="Test Street", latitude_deg=37.0, longitude_deg=-122.0)
    unit.enrol(tmp_path / "fleet", tmp_path / "unit", site, NOW)
    return tmp_path / "unit"


def said(capsys):
    """Return the one sentence on standard error."""
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.startswith("kestrel-sim: ")
    return text


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["device", "--help"]])
def test_help_is_useful(words, capsys):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 0
    assert "--source" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["device"], ["device", "--folder", "x", "--passes", "0"], ["run", "--passes", "-1"]]
)
def test_wrong_usage_is_exit_code_2(words):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2


def test_a_folder_without_a_unit_says_how_to_make_one(tmp_path, capsys):
    assert main(["device", "--folder", str(tmp_path)]) == 2
    assert "kestrel-provision unit new" in said(capsys)


def test_a_wrong_key_of_the_configuration_is_named(unit_folder, capsys):
    path = unit_folder / "config.json"
    path.write_bytes(path.read_bytes().replace(b'"window"', b'"windou"'))
    assert main(["device", "--folder", str(unit_folder)]) == 2
    assert "windou" in said(capsys)


@pytest.mark.parametrize("name", ["missing", "empty", "notes.txt"])
def test_a_source_without_pictures_is_named(unit_folder, tmp_path, capfd, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no picture")
    assert main(["device", "--folder", str(unit_folder), "--source", str(tmp_path / name)]) == 2
    assert str(tmp_path / name) in capfd.readouterr().err.splitlines()[-1]


def test_a_folder_without_networks_is_a_fault(unit_folder, tmp_path, capsys):
    assert main(["device", "--folder", str(unit_folder), "--models", str(tmp_path)]) == 1
    assert "model-refused" in said(capsys)


def test_a_corrupt_network_is_a_fault(unit_folder, tmp_path, capsys):
    """The manifest names a digest, so a network that was damaged on its way is refused before it is run."""
    models = tmp_path / "models"
    models.mkdir()
    for path in [*MODELS_FOLDER.glob("*.tflite"), MODELS_FOLDER / "manifest.json"]:
        (models / path.name).write_bytes(path.read_bytes())
    network = next(models.glob("*.tflite"))
    network.write_bytes(network.read_bytes()[:-100])
    assert main(["device", "--folder", str(unit_folder), "--models", str(models)]) == 1
    assert "model-refused" in said(capsys)


def test_a_key_that_others_may_read_is_refused(unit_folder, capsys):
    (unit_folder / "device.key").chmod(0o644)
    assert main(["device", "--folder", str(unit_folder)]) == 2
    assert "chmod 600" in said(capsys)
