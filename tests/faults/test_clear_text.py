"""Nothing readable is ever written: all bytes that go to any file of the outbox, deleted and overwritten ones too."""

import cv2
import numpy as np
import pytest
from made_reads import PLATE, SITE
from test_power_cut import Chain


@pytest.fixture
def crop():
    noise = np.random.default_rng(7).integers(0, 256, (24, 48, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def secrets(chain, crop):
    """What must not be found, by name."""
    raw = {
        "plate": PLATE.encode(),
        "plate in UTF-16": PLATE.encode("utf-16-le"),
        "site": SITE.name.encode(),
        "start of a JPEG": crop[:11],
        "JFIF": b"JFIF",
        "device key": chain.device_key.private_bytes_raw(),
        "agency key": chain.agency_key.private_bytes_raw(),
        "agency's public key": chain.agency_key.public_key().public_bytes_raw(),
    }
    picture = crop.index(b"\xff\xda")  # behind the tables, which hold long rows of zeros
    return raw | {f"crop at {at}": crop[at : at + 8] for at in range(picture, len(crop) - 8, 8)}


def found(hidden, data):
    return {name for name, secret in hidden.items() if secret in data}


@pytest.mark.parametrize("failing", [False, True], ids=["a sound disk", "a failing one"])
def test_no_plate_no_picture_and_no_key_is_ever_written(ram_folder, shim_library, crop, failing):
    chain = Chain(ram_folder, shim_library, seed=11, crop=crop)
    hidden = secrets(chain, crop)
    assert set(hidden) == found(hidden, b"-".join(hidden.values()))  # it would be found
    calls = chain.live(failing=failing)
    written = [call for call in calls if call.kind == "W"]
    assert {call.name for call in written} == {"outbox.db", "outbox.db-wal", "outbox.db-journal"}
    assert len(chain.offered(calls)) > 10
    assert set().union(*(found(hidden, call.data) for call in written)) == set()
    left = list((ram_folder / "disk").iterdir())
    assert left
    for path in left:  # the -shm file too, which is mapped and not written
        assert found(hidden, path.read_bytes() + path.name.encode()) == set()
