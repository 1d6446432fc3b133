"""How two processors' answers are compared, and what the emulated Raspberry Pi is made of; nothing is emulated here."""

import numpy as np
import pytest

from tests.arm64 import comparison, emulated_pi, reading_items
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
    ours = {"a/0/0/input": given, "a/0/0/text": gave, "a/1/0/input": given, "a/1/0/text": gave}
    theirs = {"a/0/0/input": given, "a/0/0/text": gave + 1, "a/1/0/input": given + 2, "a/1/0/text": gave - 9}
    result = comparison.Comparison()
    elsewhere = {"b/0/0/input": given, "b/0/0/text": gave + 99}
    ours, theirs = (comparison.calls_of("a", tensors | elsewhere) for tensors in (ours, theirs))
    comparison.add_calls(result, [(0, 0), (1, 1)], ours, theirs)
    assert (result.network_calls, result.same_input, result.calls_on_one_only) == (2, 1, 0)
    assert result.largest_input_difference_steps == 2
    assert result.largest_output_difference_steps == 9
    assert result.largest_output_difference_on_same_input_steps == 1


def test_calls_are_matched_by_plate_and_look():
    """One side looks twice at its first plate, and finds the two plates in another order and a third one."""

    def call(level):
        return {"input": np.full(3, level, np.int16), "text": np.full(3, level, np.int16)}

    ours = {("detector", "0"): call(1), ("0", "0"): call(20), ("0", "1"): call(21), ("1", "0"): call(30)}
    theirs = {("detector", "0"): call(1), ("0", "0"): call(30), ("1", "0"): call(20), ("2", "0"): call(40)}
    result = comparison.Comparison()
    comparison.add_calls(result, [(0, 1), (1, 0), (None, 2)], ours, theirs)
    assert (result.network_calls, result.same_input, result.calls_on_one_only) == (3, 3, 2)
    assert result.largest_output_difference_steps == 0


def test_notes_tell_plates_and_looks_apart():
    notes = reading_items.Notes()
    one = {"input": np.zeros(1, np.int16)}
    for _ in range(2):
        notes.begin()
        notes.add(one)
        for looks in (1, 2):
            notes.begin_plate()
            for _ in range(looks):
                notes.add(one)
        assert list(notes.tensors) == ["detector/0/input", "0/0/input", "1/0/input", "1/1/input"]


def test_the_verdict_needs_something_to_compare():
    assert comparison.verdict([compared([plate()], [plate()])]) == (0, "")
    for results in ([], [compared([], [])], [compared([plate()], [plate()]), comparison.Comparison()]):
        code, sentence = comparison.verdict(results)
        assert code == 2
        assert "nothing is compared" in sentence
    assert comparison.verdict([compared([plate()], [plate(text="TEST124")])])[0] == 1


def test_a_missing_emulator_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(emulated_pi, "SYSTEM", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(emulated_pi.NoEmulation, match="qemu-aarch64-static cannot be used"):
        emulated_pi.run(emulated_pi.MACHINES["pi5"], ["-V"])


def test_the_emulator_is_found_where_path_says(tmp_path, monkeypatch):
    emulator = tmp_path / emulated_pi.EMULATOR
    emulator.write_text(f"#!/bin/sh\n: > '{tmp_path}/ran'\n")
    emulator.chmod(0o755)
    monkeypatch.setattr(emulated_pi, "SYSTEM", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    emulated_pi.run(emulated_pi.MACHINES["pi5"], ["-V"])
    assert (tmp_path / "ran").exists()


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
        emulated_pi.once(tmp_path / "system", key, made.append, "Unpacking")
    assert len(made) == 2
    assert capsys.readouterr().out.count("Unpacking into system") == 2


def test_a_half_made_folder_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(emulated_pi, "ROOT", tmp_path)

    def fail(folder):
        (folder / "half").touch()
        raise emulated_pi.NoEmulation("no network")

    with pytest.raises(emulated_pi.NoEmulation):
        emulated_pi.once(tmp_path / "system", "a", fail, "Unpacking")
    emulated_pi.once(tmp_path / "system", "a", lambda folder: None, "Unpacking")
    assert list((tmp_path / "system").iterdir()) == []


def test_the_drawn_pictures_are_as_many_as_were_asked_for():
    names = [name for name, image in drawn(1, 2) if image.size]
    assert [name.split("-")[0] for name in names] == ["picture", "plate", "plate"]
    assert list(drawn(0, 0)) == []
    assert spread(list(range(10)), 4) == [0, 3, 6, 9]
    assert spread([], 3) == []
