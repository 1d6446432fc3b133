"""How two processors' answers are compared, and what the emulated Raspberry Pi is made of; nothing is emulated here."""

import numpy as np
import pytest

from tests.arm64 import comparison, emulated_pi
from tests.arm64.__main__ import drawn, spread


def plate(x_px=100.0, *, text="TEST123", region="US-CA", score=0.9):
    return {
        "box_px": [x_px, 50.0, 80.0, 20.0],
        "box_score_ratio": 0.7,
        "text": text,
        "region": region,
        "score_ratio": score,
        "region_score_ratio": 0.95,
    }


def compared(ours, theirs):
    result = comparison.Comparison()
    comparison.add_plates(result, "picture-0001", ours, theirs)
    return result


def test_the_same_plates_in_another_order_are_the_same():
    result = compared([plate(100), plate(400)], [plate(400.2), plate(100.2)])
    assert result.is_same
    assert (result.plates, result.same_text, result.same_region, result.same_box) == (2, 2, 2, 2)
    assert result.pictures_that_differ == []


def test_another_text_is_counted_with_its_score_and_without_itself():
    result = compared([plate(text="TEST123", score=0.3)], [plate(text="TEST128", score=0.4, region=None)])
    assert not result.is_same
    assert (result.same_text, result.same_region) == (0, 0)
    assert result.largest_score_difference == pytest.approx(0.1)
    assert result.surest_other_text == 0.4
    assert result.pictures_that_differ == ["picture-0001"]
    assert "TEST" not in repr(result)


@pytest.mark.parametrize(("ours", "theirs"), [([plate()], []), ([], [plate()]), ([plate(100)], [plate(300)])])
def test_a_plate_that_one_side_alone_finds_is_a_difference(ours, theirs):
    result = compared(ours, theirs)
    assert not result.is_same
    assert result.found_on_one_only == result.plates == len(ours) + len(theirs)


def test_a_picture_without_plates_is_no_difference():
    assert compared([], []).is_same


def test_the_kernels_are_judged_where_they_were_given_the_same():
    given, gave = np.zeros((2, 3), np.int16), np.full((4,), 7, np.int16)
    ours = {"a/0/ocr/input": given, "a/0/ocr/text": gave, "b/0/ocr/input": given, "b/0/ocr/text": gave}
    theirs = {"a/0/ocr/input": given, "a/0/ocr/text": gave + 1, "b/0/ocr/input": given + 2, "b/0/ocr/text": gave - 9}
    result = comparison.Comparison()
    comparison.add_tensors(result, ours, theirs | {"c/0/ocr/input": given, "c/0/ocr/text": gave})
    assert (result.network_calls, result.same_input) == (2, 1)
    assert result.largest_input_difference_steps == 2
    assert result.largest_output_difference_steps == 9
    assert result.largest_output_difference_on_same_input_steps == 1


def test_the_wheels_are_the_devices_at_the_versions_that_run_here(tmp_path):
    names = emulated_pi.requirements()
    assert {"numpy", "opencv-python-headless", "ai-edge-litert"} <= {name.split(">")[0] for name in names}
    assert not any("pytest" in line for line in [*names, *emulated_pi.pins()])
    arguments = emulated_pi.pip_arguments(tmp_path, names, tmp_path / "pins")
    assert "--only-binary=:all:" in arguments
    assert "--platform=manylinux_2_28_aarch64" in arguments
    assert "--platform=manylinux_2_37_aarch64" not in arguments  # Debian 12 could not load it


@pytest.mark.parametrize("machine", emulated_pi.MACHINES.values(), ids=emulated_pi.MACHINES)
def test_a_machine_describes_each_of_its_cores(machine):
    text = machine.cpuinfo()
    assert text.count("processor\t:") == text.count("CPU part\t: 0xd") == emulated_pi.CORES
    assert emulated_pi.command(machine, ["-V"])[:3] == [emulated_pi.EMULATOR, "-cpu", machine.cpu]


def test_what_was_made_to_its_end_is_not_made_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(emulated_pi, "ROOT", tmp_path)
    made = []
    for key in ("a", "a", "b"):
        emulated_pi._once(tmp_path / "system", key, made.append, "Unpacking")
    assert len(made) == 2
    assert capsys.readouterr().out.count("Unpacking into system") == 2


def test_a_half_made_folder_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(emulated_pi, "ROOT", tmp_path)

    def fail(folder):
        (folder / "half").touch()
        raise emulated_pi.NoEmulation("no network")

    with pytest.raises(emulated_pi.NoEmulation):
        emulated_pi._once(tmp_path / "system", "a", fail, "Unpacking")
    emulated_pi._once(tmp_path / "system", "a", lambda folder: None, "Unpacking")
    assert list((tmp_path / "system").iterdir()) == []


def test_the_drawn_pictures_are_as_many_as_were_asked_for():
    names = [name for name, image in drawn(1, 2) if image.size]
    assert [name.split("-")[0] for name in names] == ["picture", "plate", "plate"]
    assert spread(list(range(10)), 4) == [0, 3, 6, 9]
    assert spread([], 3) == []
