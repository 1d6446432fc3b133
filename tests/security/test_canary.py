"""Nothing of what a unit sees or knows is found where it does not belong: no log, file, topic or block of its disk.

The whole product runs with plates, keys and a place that are known; everything on the unit's side is then searched for
them. What may lie where is said here: the unit's own key in device.key, its place in config.json, and nothing else.
"""

import subprocess

import pytest
from canary_run import BLOCK_BYTES, SITE, collected, json_lines
from secrets_sought import Secret, found_in, of_any_picture, of_bytes, of_degrees, of_picture, of_text

from firmware import identity


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    yield from collected(tmp_path_factory.mktemp("canary"))


@pytest.fixture(scope="module")
def secrets(evidence):
    """All that is sought. A plate of fewer than six characters would be found in any ciphertext by chance."""
    texts = sorted({*evidence.plates, *evidence.stored})
    assert all(len(text) >= 6 for text in texts)
    return [
        *[of_text(f"plate {number}", text) for number, text in enumerate(texts)],
        *[of_picture(f"picture {number}", picture) for number, picture in enumerate(evidence.pictures)],
        *[of_bytes(name, key) for name, key in evidence.keys.items()],
        of_any_picture(),
        *place_secrets(),
    ]


def place_secrets():
    return [
        of_degrees("the latitude", SITE.latitude_deg),
        of_degrees("the longitude", SITE.longitude_deg),
        of_text("the site's name", SITE.name),
    ]


def certificate_body(evidence):
    """The middle of the unit's certificate, as it stands in its file."""
    lines = (evidence.places.unit / identity.CERTIFICATE_NAME).read_bytes().splitlines()
    return Secret("the certificate's body", (lines[len(lines) // 2],))


def may_lie_in(evidence):
    """Return how often each secret lies in the two files in which it belongs."""
    unit = evidence.places.unit
    key = of_bytes("the unit's key", evidence.keys["the unit's key"])
    allowed = {"the unit's key": key.count((unit / identity.KEY_NAME).read_bytes())}
    settings = (unit / identity.CONFIG_NAME).read_bytes()
    return allowed | {secret.name: secret.count(settings) for secret in place_secrets()}


def test_the_run_was_one(evidence):
    """What is searched is the trace of reads that were sealed, sent and opened, and of all faults provoked."""
    assert evidence.codes == {"whole": 0, "faults": 1}
    assert set(evidence.plates) <= set(evidence.stored)
    assert len(evidence.pictures) == len(evidence.stored)
    assert len(evidence.messages) > len(evidence.plates)
    events = [line["message"] for line in json_lines(evidence.lines["whole"])]
    assert sum("is sealed and stored" in event for event in events) == len(evidence.stored)
    said = evidence.lines["faults"]
    assert "broker-refused: the certificate of localhost was not accepted" in said
    assert "camera-nonsense" in said
    assert "Python warns: UserWarning at " in said
    assert "a bug ends a thread: ValueError (" in said
    assert "stage reading ends the process: ValueError (" in said
    if evidence.image is not None:
        assert "storage-refused: the disk of " in said


def test_no_log_line_holds_a_secret(evidence, secrets):
    for run, text in evidence.lines.items():
        assert found_in(text.encode(), [*secrets, certificate_body(evidence)]) == [], run
        assert "-----BEGIN" not in text
        assert "withheld" not in text  # a line of ours that lost a value has lost its use


def test_no_file_of_the_unit_s_side_holds_a_secret(evidence, secrets):
    folder = evidence.places.folder
    files = [path for name in ("unit", "home", "tmp") for path in (folder / name).rglob("*") if path.is_file()]
    files += [path for path in (folder.parent / "cwd").rglob("*") if path.is_file()]
    assert {identity.KEY_NAME, identity.CONFIG_NAME, identity.OUTBOX_NAME} <= {path.name for path in files}
    found = {path.name: names for path in files if (names := found_in(path.read_bytes(), secrets))}
    assert found == {
        identity.KEY_NAME: ["the unit's key"],
        identity.CONFIG_NAME: ["the latitude", "the longitude", "the site's name"],
    }


def test_the_unit_s_files_held_none_while_it_ran(evidence, secrets):
    assert len(evidence.alive) > 5
    assert any(b"SQLite format 3" in files for files in evidence.alive)
    allowed = may_lie_in(evidence)
    for files in evidence.alive:
        assert set(found_in(files, secrets)) <= set(allowed)
        assert all(secret.count(files) <= allowed.get(secret.name, 0) for secret in secrets)


def test_the_device_s_process_shows_none_and_leaves_no_core(evidence, secrets):
    assert set(evidence.processes) == {"cmdline", "environ", "limits"}
    assert b"SSLKEYLOGFILE" in evidence.processes["environ"]
    for name in ("cmdline", "environ"):
        assert found_in(evidence.processes[name], secrets) == []
    (core,) = [line for line in evidence.processes["limits"].splitlines() if line.startswith(b"Max core file size")]
    assert core.split()[4:6] == [b"0", b"0"]


def test_no_topic_and_no_message_holds_a_secret(evidence, secrets):
    assert {topic.rsplit("/", 1)[1] for topic, _ in evidence.messages} == {"read", "receipt", "status"}
    for topic, payload in evidence.messages:
        assert found_in(topic.encode() + b"\0" + payload, secrets) == []


def raw_disk(evidence):
    """Return the blocks of the disk that hold anything, in their order."""
    subprocess.run(["sync", "-f", evidence.places.unit], check=True)
    disk = evidence.image.read_bytes()
    blocks = (disk[begin : begin + BLOCK_BYTES] for begin in range(0, len(disk), BLOCK_BYTES))
    return b"".join(block for block in blocks if any(block))


def test_the_raw_disk_holds_no_secret_but_in_its_place(evidence, secrets):
    if evidence.image is None:
        pytest.skip("needs root, a loop device and mkfs.ext4")
    disk = raw_disk(evidence)
    allowed = may_lie_in(evidence)
    assert allowed["the unit's key"] >= 1
    assert {secret.name: count for secret in secrets if (count := secret.count(disk))} == allowed


def test_the_search_finds_each_secret_in_each_spelling(evidence, secrets):
    """Planted in a file, and on the disk where the file has been deleted: what was not found above was not there."""
    plant = evidence.places.unit / "plant"
    for secret in secrets:
        plant.write_bytes(b"\0".join(b"before" + spelling + b"behind" for spelling in secret.spellings))
        planted = plant.read_bytes()
        assert all(Secret(secret.name, (spelling,)).count(planted) for spelling in secret.spellings)
        assert secret.name in found_in(planted, secrets)
    if evidence.image is not None:
        plant.write_bytes(b"\0".join(spelling for secret in secrets for spelling in secret.spellings))
        subprocess.run(["sync", "-f", plant], check=True)
        plant.unlink()
        assert found_in(raw_disk(evidence), secrets) == sorted({secret.name for secret in secrets})
