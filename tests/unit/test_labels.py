"""A unit's label: what is drawn can be read again, by a camera too; another unit's is refused, each in its words."""

import contextlib
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
import segno
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_fleet import NOW

from firmware import identity
from firmware.config import SiteConfig
from firmware.faults import ConfigRejected
from provisioning import certificates, fleet, label_drawing, label_photos, labels, requests, signing, unit
from provisioning.__main__ import main
from provisioning.labels import Label

SITE = SiteConfig(name="North gate", latitude_deg=37.77, longitude_deg=-122.42)
LABEL = Label(device_id="k-4496zh0r", key="0123456789ABCDEF", fleet="89ABCDEF")
LONGEST = Label(device_id="k-" + "z" * 24, key="FEDCBA9876543210", fleet="01234567")

IDS = st.from_regex(r"k-[0-9a-z]{4,24}", fullmatch=True)
DIGITS = st.text("0123456789ABCDEF", min_size=16, max_size=16)


@pytest.fixture
def fleet_path(tmp_path):
    fleet.init(tmp_path / "fleet", host="broker.example", port=8883, now=NOW)
    return tmp_path / "fleet"


@pytest.fixture
def unit_path(fleet_path, tmp_path):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW, device_id="k-bridge7")
    return tmp_path / "unit"


def rasterised(svg, dots_per_module=8):
    """Return the code of a label's SVG as a picture: its squares, drawn here by what the path says."""
    path = next(one for one in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}path"))  # noqa: S314  our own
    squares = [tuple(map(int, one)) for one in re.findall(r"M(\d+) (\d+)h1v1h-1z", path.get("d"))]
    side = max(max(one) for one in squares) + 5
    picture = np.full((side, side), 255, np.uint8)
    for x, y in squares:
        picture[y, x] = 0
    return np.kron(picture, np.ones((dots_per_module, dots_per_module), np.uint8))


def photo(png, *, turn_deg=0.0, blur_px=0.0, noise=0.0, quality=70):
    """Return a JPEG of 12 megapixels in which the label lies on a grey housing, askew and not sharp."""
    label = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    height, width = label.shape
    corners = np.float32([[1000, 900], [2900, 1100], [2850, 2060], [1050, 1830]])
    turn = cv2.getRotationMatrix2D((2000, 1500), turn_deg, 1.0)
    turned = cv2.transform(corners[None], turn)[0].astype(np.float32)
    seen = cv2.getPerspectiveTransform(np.float32([[0, 0], [width, 0], [width, height], [0, height]]), turned)
    picture = np.full((3000, 4000), 120, np.uint8)
    cv2.warpPerspective(label, seen, (4000, 3000), dst=picture, borderMode=cv2.BORDER_TRANSPARENT)
    if blur_px:
        picture = cv2.GaussianBlur(picture, (0, 0), blur_px)
    shade = np.linspace(0.5, 0.9, 4000)  # a lamp from the side
    noisy = picture * shade + np.random.default_rng(1).normal(0, noise, picture.shape)
    return cv2.imencode(".jpg", np.clip(noisy, 0, 255), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


@given(IDS, DIGITS, st.sampled_from(["", "01234567"]))
def test_what_a_code_says_is_read_back_in_capitals_or_not(device_id, key, fleet_digits):
    label = Label(device_id=device_id, key=key, fleet=fleet_digits)
    assert labels.parsed(label.text()) == labels.parsed(f"  {label.text().lower()}\n") == label
    assert labels.parsed(device_id) == labels.parsed(device_id.upper()) == Label(device_id=device_id)


@given(st.text(min_size=12, max_size=300).filter(lambda text: not text.strip().lower().startswith(("k-", "kestrel1:"))))
def test_any_other_text_is_refused_in_one_sentence_that_does_not_repeat_it(text):
    with pytest.raises(ConfigRejected) as refused:
        labels.parsed(text)
    assert "\n" not in str(refused.value)
    assert text not in str(refused.value)


@pytest.mark.parametrize("label", [LABEL, LONGEST], ids=["usual", "longest"])
def test_a_drawn_label_can_be_read_as_svg_and_as_png(label):
    text, *_ = cv2.QRCodeDetector().detectAndDecode(rasterised(label_drawing.svg(label)))
    assert labels.parsed(text) == label
    assert label_photos.photographed(label_drawing.png(label)) == label


@pytest.mark.parametrize("turn_deg", [0, 20, 90, 200])
def test_a_label_is_read_in_a_photo_of_a_telephone(turn_deg):
    taken = photo(label_drawing.png(LABEL), turn_deg=turn_deg, blur_px=4.0, noise=8.0)
    assert label_photos.photographed(taken) == LABEL


def test_a_label_is_read_though_a_corner_of_its_code_is_scratched():
    png = label_drawing.png(LABEL)
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    picture[330:420, 330:430] = 255
    assert label_photos.photographed(cv2.imencode(".png", picture)[1].tobytes()) == LABEL


@pytest.mark.parametrize("label", [LABEL, LONGEST], ids=["usual", "longest"])
def test_a_label_has_its_size_and_says_in_print_what_the_code_says(label):
    svg = ET.fromstring(label_drawing.svg(label))  # noqa: S314  our own
    assert (svg.get("width"), svg.get("height")) == ("50mm", "25mm")
    prints = list(svg.iter("{http://www.w3.org/2000/svg}text"))
    assert {label.device_id, f"FLEET {label.fleet}"} <= {one.text for one in prints}
    for one in prints:  # a monospaced letter is 0.6 of its size wide
        assert float(one.get("x")) + 0.602 * float(one.get("font-size")) * len(one.text) <= 49.5
    png = label_drawing.png(label)
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    at = png.index(b"pHYs") + 4
    dots_a_metre = int.from_bytes(png[at : at + 4], "big")
    assert [round(1000 * side / dots_a_metre, 1) for side in picture.shape] == [25.0, 50.0]
    assert picture[:, -12:].min() == 255  # nothing is cut off


def test_a_module_is_large_enough_for_a_telephone():
    assert label_drawing.CODE_MM / len(label_drawing.modules(LABEL)) > 0.6
    assert label_drawing.CODE_MM / len(label_drawing.modules(LONGEST)) > 0.5


@pytest.mark.parametrize(
    "data",
    [b"", b"no picture", cv2.imencode(".png", np.full((300, 300), 200, np.uint8))[1].tobytes(), b"\xff\xd8\xff\xe0"],
    ids=["empty", "text", "nothing on it", "cut off"],
)
def test_a_photo_without_a_code_is_refused_and_says_what_to_do(data):
    with pytest.raises(ConfigRejected, match="or type the name on the label"):
        label_photos.photographed(data)


def test_a_code_of_somebody_else_is_refused_and_one_beside_it_is_found():
    def drawn(text):
        return np.kron(
            np.where(np.array(list(segno.make(text).matrix_iter(border=4))), 0, 255).astype(np.uint8),
            np.ones((8, 8), np.uint8),
        )

    other = drawn("https://maker.example/part/4711")
    with pytest.raises(ConfigRejected, match="is no Kestrel label"):
        label_photos.photographed(cv2.imencode(".png", other)[1].tobytes())
    ours = drawn(LABEL.text())
    both = np.full((max(len(other), len(ours)), other.shape[1] + ours.shape[1] + 80), 255, np.uint8)
    both[: len(other), : other.shape[1]] = other
    both[: len(ours), -ours.shape[1] :] = ours
    assert label_photos.photographed(cv2.imencode(".png", both)[1].tobytes()) == LABEL


@settings(max_examples=60)
@given(st.integers(0, 4000), st.binary(min_size=1, max_size=8))
def test_a_photo_that_is_damaged_is_the_label_or_refused(at, piece):
    data = bytearray(label_drawing.png(LABEL))
    data[at : at + len(piece)] = piece
    with contextlib.suppress(ConfigRejected):
        assert label_photos.photographed(bytes(data)) == LABEL


def test_a_picture_that_claims_to_be_huge_is_not_decoded():
    png = bytearray(label_drawing.png(LABEL))
    png[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(ConfigRejected, match="no code can be read"):
        label_photos.photographed(bytes(png))


def compared(found, own=LABEL, *, is_first_key=True):
    labels.compare(found, own, is_first_key=is_first_key)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (Label(device_id="k-other001"), "of k-other001 and this is k-4496zh0r: it is the wrong unit or the wrong file"),
        (Label(device_id=LABEL.device_id, key=LABEL.key, fleet="00000000"), "is of another fleet"),
        (Label(device_id=LABEL.device_id, key="0" * 16, fleet=LABEL.fleet), "with another key"),
    ],
)
def test_each_way_in_which_a_label_is_another_s_has_its_own_sentence(found, sentence):
    with pytest.raises(ConfigRejected, match=sentence):
        compared(found)


def test_a_label_without_a_fleet_or_a_name_typed_by_hand_or_one_older_than_the_key_is_this_unit_s():
    compared(LABEL)
    compared(Label(device_id=LABEL.device_id, key=LABEL.key))
    compared(Label(device_id=LABEL.device_id))
    compared(Label(device_id=LABEL.device_id, key="0" * 16, fleet=LABEL.fleet), is_first_key=False)


def test_the_office_keeps_each_unit_s_label_and_it_says_no_place_and_no_name(fleet_path, unit_path):
    svg = signing.label_path(fleet_path, "k-bridge7").read_bytes()
    key = identity.load(unit_path, "k-bridge7").device_key.public_key()
    authority = fleet.load_authority(fleet_path).certificate
    text, *_ = cv2.QRCodeDetector().detectAndDecode(rasterised(svg))
    assert labels.parsed(text) == labels.of("k-bridge7", key, authority)
    assert not re.search(rb"North|37\.|122\.|broker", svg)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_command_draws_the_same_label_again(fleet_path, unit_path, tmp_path, suffix, capsys):
    out = tmp_path / f"label{suffix}"
    assert main(["unit", "label", str(unit_path), "--out", str(out)]) == 0
    kept = signing.label_path(fleet_path, "k-bridge7").read_bytes()
    own = labels.of(
        "k-bridge7",
        identity.load(unit_path, "k-bridge7").device_key.public_key(),
        fleet.load_authority(fleet_path).certificate,
    )
    assert out.read_bytes() == (kept if suffix == ".svg" else label_drawing.png(own))
    assert main(["unit", "label", str(unit_path), "--out", str(tmp_path / "label.pdf")]) == 2
    assert "drawn as .svg or .png" in capsys.readouterr().err
    assert main(["unit", "label", str(tmp_path), "--out", str(out)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_the_office_signs_for_the_unit_whose_label_was_read_only(fleet_path, tmp_path, capsys):
    asked, answered, photo_path = (str(tmp_path / name) for name in ("r.json", "a.json", "photo.jpg"))
    assert main(["unit", "request", str(tmp_path / "unit"), "--id", "k-bridge7", "--out", asked]) == 0
    assert main(["unit", "label", str(tmp_path / "unit"), "--out", str(tmp_path / "label.png")]) == 0
    (tmp_path / "photo.jpg").write_bytes(photo((tmp_path / "label.png").read_bytes()))
    site = ["--name", "North gate", "--latitude", "37.77", "--longitude", "-122.42"]
    sign = ["unit", "sign", str(fleet_path), asked, "--out", answered, *site]
    for wrong, sentence in (
        ("k-other001", "the wrong unit or the wrong file"),
        (labels.of("k-bridge7", Ed25519PrivateKey.generate().public_key()).text(), "with another key"),
        (labels.of("k-bridge7", key_in(asked), certificates.new_authority(NOW).certificate).text(), "of another fleet"),
        ("https://maker.example", "is no Kestrel label"),
        ("KESTREL2:K-BRIDGE7", "of another release"),
        (str(tmp_path / "absent.jpg"), "photo cannot be read"),
    ):
        assert main([*sign, "--label", wrong]) == 2
        assert sentence in capsys.readouterr().err
    assert list((fleet_path / "registry").iterdir()) == []
    assert main([*sign, "--label", photo_path]) == 0
    assert main(["unit", "install", str(tmp_path / "unit"), answered, "--label", "k-other001"]) == 2
    assert not (tmp_path / "unit" / "config.json").exists()
    assert main(["unit", "install", str(tmp_path / "unit"), answered, "--label", photo_path]) == 0


def key_in(path):
    return signing.key_asked_for(requests.load_request(Path(path)))


def test_a_label_stays_good_after_the_unit_was_given_other_keys(fleet_path, unit_path, tmp_path):
    assert main(["unit", "label", str(unit_path), "--out", str(tmp_path / "label.png")]) == 0
    unit.rotate(fleet_path, unit_path, NOW)
    asked, answered = str(tmp_path / "r.json"), str(tmp_path / "a.json")
    label = ["--label", str(tmp_path / "label.png")]
    assert main(["unit", "request", str(unit_path), "--out", asked]) == 0
    assert main(["unit", "sign", str(fleet_path), asked, "--out", answered, *label]) == 0
    assert main(["unit", "install", str(unit_path), answered, *label]) == 0
