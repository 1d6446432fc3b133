"""`kestrel-provision fleet root`: passphrases typed where nobody sees them, or from files, and what is said to whom."""

import contextlib
import os
import pty
import select
import subprocess
import sys

import pytest

from provisioning import root_keys
from provisioning.__main__ import main

HOLDERS = ("Ann Lee", "Bo Kim", "Cy Roy")
LIMIT_S = 60


@pytest.fixture(autouse=True)
def quick_files(monkeypatch):
    monkeypatch.setattr(root_keys, "ROUNDS", 1000)


@pytest.fixture
def secrets(tmp_path):
    """The words that a script gives: a passphrase file for each holder."""
    words = []
    for number, holder in enumerate(HOLDERS, start=1):
        path = tmp_path / f"secret-{number}"
        path.write_text(f"the passphrase of {holder}\n")
        words += ["--passphrase-file", str(path)]
    return words


def run(*words):
    return main([str(word) for word in words])


def init(folder, *words):
    return run("fleet", "init", folder, "--host", "broker.example", *words)


def test_a_script_makes_a_fleet_with_its_root_and_is_told_which_file_is_whose(tmp_path, secrets, capsys):
    folder = tmp_path / "fleet"
    assert init(folder, "--root-holders", "Ann Lee, Bo Kim, Cy Roy", "--root-keys", 3, *secrets) == 0
    said = capsys.readouterr().out
    assert "Root 1 is in use until" in said
    for number, holder in enumerate(HOLDERS, start=1):
        path = folder / "update" / "holders" / f"root-{number}.p12"
        assert f"{path} is for {holder} alone: move it to a stick that {holder} takes away.\n" in said
        assert path.exists()
    assert (folder / "update" / "root.json").exists()


def test_a_fleet_without_a_question_says_what_is_left_to_do(tmp_path, capsys):
    assert init(tmp_path / "fleet") == 0
    said = capsys.readouterr().out
    assert f"`kestrel-provision fleet root begin {tmp_path / 'fleet'} --root-holders A,B,C`" in said
    assert not (tmp_path / "fleet" / "update").exists()


def test_the_same_command_goes_on_where_the_holders_were_interrupted(tmp_path, secrets, capsys):
    folder = tmp_path / "fleet"
    words = ("--root-holders", ",".join(HOLDERS))
    assert init(folder, *words, *secrets[:2]) == 2
    assert "there is no --passphrase-file for Bo Kim" in capsys.readouterr().err
    assert init(folder, *words, *secrets[2:]) == 0
    assert "signed by Bo Kim, Cy Roy" in capsys.readouterr().out
    assert init(folder, *words, *secrets) == 2
    assert "has its root already" in capsys.readouterr().err


def test_the_next_root_waits_and_says_for_whom(tmp_path, secrets, capsys):
    folder = tmp_path / "fleet"
    keys = folder / "update" / "holders"
    assert init(folder, "--root-holders", ",".join(HOLDERS), *secrets) == 0
    assert run("fleet", "root", "rotate", folder) == 0
    assert "Root 2 waits for 2 more of Ann Lee, Bo Kim, Cy Roy" in capsys.readouterr().out
    assert run("fleet", "root", "sign", folder, keys / "root-1.p12", *secrets[:2]) == 0
    assert "Root 2 waits for 1 more" in capsys.readouterr().out
    assert run("fleet", "root", "sign", folder, keys / "root-3.p12", *secrets[4:]) == 0
    said = capsys.readouterr().out
    assert "signed by Ann Lee so far" in said
    assert "Root 2 is in use until" in said
    assert run("fleet", "root", "refresh", folder) == 0
    assert "copy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--root-keys", "3", "--root-holders", "Ann,Bo"), "--root-holders names 2 people and --root-keys says 3"),
        (("--root-holders", "Ann,Bo", "--root-threshold", "3"), "a root with 2 holders cannot need 3 signatures"),
        (("--root-holders", "Ann,Bo", "--passphrase-file", "nowhere"), "the passphrase cannot be read"),
        (("--root-holders", "Ann,Bo"), "a passphrase is asked for at a terminal"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path, capsys, words, sentence):
    assert init(tmp_path / "fleet", *words) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


class Terminal:
    """A command at a terminal of its own, and what is typed there."""

    def __init__(self, *words):
        self.said = ""
        self._mine, other = pty.openpty()
        command = [sys.executable, "-W", "error", "-m", "provisioning", *(str(word) for word in words)]
        self._process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, start_new_session=True)
        os.close(other)

    def answer(self, prompt, text):
        """Wait for `prompt`, the first that was not answered, and type `text`."""
        start = len(self.said)
        waits = iter(range(LIMIT_S))
        while prompt not in self.said[start:]:
            assert next(waits, None) is not None, self.said
            if select.select([self._mine], [], [], 1.0)[0]:
                self.said += os.read(self._mine, 4096).decode()
        os.write(self._mine, text.encode() + b"\n")

    def end(self):
        """Read what is left; return the exit code."""
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while data := os.read(self._mine, 4096):
                self.said += data.decode()
        os.close(self._mine)
        return self._process.wait(LIMIT_S)


def test_at_a_terminal_each_holder_types_a_passphrase_twice_and_nobody_sees_it(tmp_path):
    terminal = Terminal("fleet", "init", tmp_path / "fleet", "--host", "broker.example")
    terminal.answer("Their names, separated by commas", "Ann Lee, Bo Kim")
    terminal.answer("New passphrase for the key of Ann Lee", "too short")
    terminal.answer("New passphrase for the key of Ann Lee", "horse staple battery")
    terminal.answer("once more: ", "horse staple bakery")
    terminal.answer("New passphrase for the key of Ann Lee", "horse staple battery")
    terminal.answer("once more: ", "horse staple battery")
    terminal.answer("New passphrase for the key of Bo Kim", "correct umbrella lantern")
    terminal.answer("once more: ", "correct umbrella lantern")
    assert terminal.end() == 0, terminal.said
    assert "were not the same" in terminal.said
    assert "Root 1 is in use until" in terminal.said
    for secret in ("staple", "bakery", "umbrella", "too short"):
        assert secret not in terminal.said
    path = tmp_path / "fleet" / "update" / "holders" / "root-1.p12"
    assert root_keys.load(path, "horse staple battery").public_key()


def test_at_a_terminal_updates_may_be_left_for_later(tmp_path):
    terminal = Terminal("fleet", "init", tmp_path / "fleet", "--host", "broker.example")
    terminal.answer("Their names, separated by commas", "")
    assert terminal.end() == 0, terminal.said
    assert "Nobody vouches for updates yet" in terminal.said
    unasked = Terminal("fleet", "init", tmp_path / "other", "--host", "broker.example", "--no-update-keys")
    assert unasked.end() == 0
    assert "separated" not in unasked.said
