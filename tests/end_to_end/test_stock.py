"""Units from a site file and from stock, by the technician's own commands, before a real broker and receiver."""

import json

import pytest

from cloud import fleet_folder
from cloud.registry import Registry
from firmware import config
from provisioning.__main__ import main

HERE = ["--name", "North gate", "--latitude", "37.77", "--longitude", "-122.42"]


def done(*arguments):
    """Run one of the technician's commands, which must succeed."""
    assert main([str(argument) for argument in arguments]) == 0


@pytest.mark.usefixtures("broker")
def test_a_unit_from_the_depot_is_taken_into_use_at_the_roadside_and_its_reads_arrive(
    fleet_path, tmp_path, make_unit, start_receiver, stored
):
    folder, asked, label = tmp_path / "unit", tmp_path / "request.json", tmp_path / "label.png"
    bundle, site = tmp_path / "stick" / "bundle", tmp_path / "site.json"
    bundle.parent.mkdir()
    done("unit", "request", folder, "--out", asked)
    done("unit", "label", folder, "--out", label)
    done("unit", "bundle", fleet_path, asked, "--out", bundle, "--label", label)
    done("site", "new", site, *HERE, "--bearing", "180")
    sections = json.loads(site.read_bytes())
    sections["capture"]["speed_mph"] = 45
    site.write_text(json.dumps(sections))
    done("site", "check", site)
    done("unit", "apply", folder, bundle, "--site", site, "--label", label)
    done("unit", "apply", folder, bundle)  # once more does no harm

    made = make_unit()
    assert (made.config.site.bearing_deg, made.config.capture.speed_mph) == (180.0, 45.0)
    receiver = start_receiver()
    made.put(3)
    assert made.run_until(lambda: made.outbox.count() == 0)
    receiver.stop()
    assert stored() == 3


def test_what_is_wrong_at_the_roadside_is_one_sentence_and_changes_nothing(fleet_path, tmp_path, capsys):
    done("unit", "new", fleet_path, tmp_path / "neighbour", *HERE)
    for name in ("mine", "other"):
        done("unit", "request", tmp_path / name, "--out", tmp_path / f"{name}.json")
        done("unit", "bundle", fleet_path, tmp_path / f"{name}.json", "--out", tmp_path / f"{name}.bundle")
    own = json.loads((tmp_path / "mine.json").read_bytes())["device_id"]
    other = json.loads((tmp_path / "other.json").read_bytes())["device_id"]
    (tmp_path / "half.bundle").write_bytes((tmp_path / "mine.bundle").read_bytes()[:500])
    capsys.readouterr()
    minus = ["--name", "N", "--latitude", "37.77", "--longitude", "122.42"]
    for options, sentence in (
        (["other.bundle", *HERE], f"is for {other} and this unit is {own}"),
        (["half.bundle", *HERE], "was copied or written only in part"),
        (["mine.bundle"], "does not say where this unit hangs"),
        (["mine.bundle", *minus], "-122.42 would be near them; correct its sign"),
        (["mine.bundle", *HERE, "--label", other], f"the label is of {other} and this is {own}"),
        (["mine.bundle", *HERE, "--label", "EAN 4012345678901"], "is no Kestrel label"),
    ):
        name, *rest = options
        assert main(["unit", "apply", str(tmp_path / "mine"), str(tmp_path / name), *rest]) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert error.count("\n") == 1
        assert not (tmp_path / "mine" / "config.json").exists()
    done("unit", "apply", tmp_path / "mine", tmp_path / "mine.bundle", *minus, "--far", "--label", own)
    assert config.load(tmp_path / "mine" / "config.json").site.longitude_deg == 122.42


def test_a_name_is_given_once_and_a_half_made_folder_keeps_its_own(fleet_path, tmp_path, capsys):
    done("unit", "new", fleet_path, tmp_path / "one", *HERE, "--id", "k-bridge7")
    assert main(["unit", "new", str(fleet_path), str(tmp_path / "two"), *HERE, "--id", "k-bridge7"]) == 2
    assert "the fleet has a unit of this name" in capsys.readouterr().err
    done("unit", "request", tmp_path / "two", "--id", "k-bridge7", "--out", tmp_path / "two.json")
    for command in (["sign", *HERE], ["bundle"]):
        arguments = [str(fleet_path), str(tmp_path / "two.json"), "--out", str(tmp_path / "out")]
        assert main(["unit", command[0], *arguments, *command[1:]]) == 2
        assert "the fleet has a unit of this name" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
    done("unit", "request", tmp_path / "half", "--out", tmp_path / "half.json")
    name = json.loads((tmp_path / "half.json").read_bytes())["device_id"]
    capsys.readouterr()
    assert main(["unit", "new", str(fleet_path), str(tmp_path / "half"), *HERE, "--id", "k-other001"]) == 2
    assert f"this unit is half made, as {name}; go on without --id" in capsys.readouterr().err
    done("unit", "new", fleet_path, tmp_path / "half", *HERE)
    assert config.load(tmp_path / "half" / "config.json").device_id == name
    units = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).units()
    assert {one.device_id for one in units} == {"k-bridge7", name}
