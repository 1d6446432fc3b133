"""What a hand-over rests on and how it is shown: answers judged, small and bare photos, a page of the same bytes."""

import datetime as dt
import stat

import cv2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_handovers import (
    LATITUDE,
    aim_answer,
    check_answer,
    leave,
    leave_all,
    made_photo,
    made_record,
    survey_answer,
)

from cloud import handover
from cloud.handover import Step
from firmware import config, identity
from firmware.app import MODELS_FOLDER
from firmware.config import SiteConfig
from firmware.faults import ConfigRejected
from firmware.recognition import PlateReader
from hw_sim.light import LightLevel
from hw_sim.pictures import write_pictures
from provisioning import accept_words, handover_folder, handover_photos, handover_sources
from provisioning.__main__ import main
from provisioning.handover_page import Signed, page
from provisioning.handover_photos import LARGEST_BYTES, LONGEST_PX, Picture
from provisioning.handover_sources import HOURS_AT_MOST, NEVER_ACCEPTED, Flaw, Shortcoming
from provisioning.round_trip import WAITS, RoundTrip

NOW = dt.datetime(2026, 11, 22, 18, 0, tzinfo=dt.UTC)
NOW_TEXT = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
PLACE_IN_EXIF = b"II*\x00\x08\x00\x00\x00\x00\x00GPS 37 15 4.4 N"


@pytest.fixture
def unit_folder(tmp_path, device_config):
    folder = tmp_path / "unit"
    folder.mkdir()
    leave_all(folder, device_config.device_id, device_config.site, NOW)
    return folder


def flaws(unit_folder, settings, now=NOW):
    found = handover_sources.gather(unit_folder, settings, now).shortcomings
    return [(one.step, one.flaw) for one in found]


def test_good_answers_are_taken_with_what_was_measured(unit_folder, device_config):
    gathered = handover_sources.gather(unit_folder, device_config, NOW)
    assert gathered.shortcomings == ()
    assert [(one.name, one.passed) for one in gathered.sources] == [(step, True) for step in Step]
    assert [(one.part, one.state) for one in gathered.checks] == [
        ("camera", "pass"), ("battery", "absent"), ("modem", "warn"),
    ]  # fmt: skip
    assert gathered.checks[0].measured == {"frames": 3, "level": 0.5}
    assert {one.name: one.value for one in gathered.aim}["Plate width near"] == "151 px"
    assert "Plate width far" not in {one.name for one in gathered.aim}  # it was not measured
    assert {one.name: one.value for one in gathered.survey}["Panel at least"] == "27 W"


@pytest.mark.parametrize("step", Step)
def test_what_is_missing_or_no_answer_is_said(unit_folder, device_config, step):
    path = handover_folder.answer_path(unit_folder, step)
    for content in (b"", b"{}", b"[1]", b'{"device_id": 3}', b"\xff"):
        path.write_bytes(content)
        assert flaws(unit_folder, device_config) == [(step, Flaw.UNREADABLE)]
    path.unlink()
    assert flaws(unit_folder, device_config) == [(step, Flaw.MISSING)]


@pytest.mark.parametrize("step", Step)
def test_an_answer_that_is_too_old_or_of_tomorrow_is_said(unit_folder, device_config, step):
    limit = dt.timedelta(hours=HOURS_AT_MOST[step])
    kept = {
        Step.SURVEY: survey_answer(device_config.site),
        Step.CHECK: check_answer(device_config.device_id, made_utc=NOW_TEXT),
        Step.AIM: aim_answer(),
    }
    for away, expected in (
        (limit - dt.timedelta(minutes=1), []),
        (limit + dt.timedelta(minutes=1), [(step, Flaw.OLD)]),
        (dt.timedelta(hours=-2), [(step, Flaw.FROM_THE_FUTURE)]),
    ):
        made = NOW - away
        if step is Step.CHECK:
            kept[step] |= {"made_utc": made.strftime("%Y-%m-%dT%H:%M:%SZ")}
        leave(unit_folder, step, kept[step], made=made)
        assert flaws(unit_folder, device_config) == expected


def test_what_failed_is_said_with_its_parts(unit_folder, device_config):
    failing = check_answer(device_config.device_id, made_utc=NOW_TEXT, camera="fail", broker="fail")
    leave(unit_folder, Step.CHECK, failing, made=NOW)
    leave(unit_folder, Step.AIM, aim_answer("turn-left"), made=NOW)
    leave(unit_folder, Step.SURVEY, survey_answer(device_config.site, ["too-steep"]), made=NOW)
    gathered = handover_sources.gather(unit_folder, device_config, NOW)
    assert [(one.step, one.flaw, one.parts) for one in gathered.shortcomings] == [
        (Step.SURVEY, Flaw.FAILED, ("too-steep",)),
        (Step.CHECK, Flaw.FAILED, ("camera", "broker")),
        (Step.AIM, Flaw.FAILED, ("turn-left",)),
    ]
    assert not any(one.passed for one in gathered.sources)
    assert len(gathered.checks) == 4  # what failed is in the record all the same


def test_another_unit_s_check_and_another_place_s_survey_are_never_taken(unit_folder, device_config):
    leave(unit_folder, Step.CHECK, check_answer("k-other001", made_utc=NOW_TEXT), made=NOW)
    site = device_config.site
    elsewhere = SiteConfig(name="South gate", latitude_deg=site.latitude_deg + 0.01, longitude_deg=site.longitude_deg)
    leave(unit_folder, Step.SURVEY, survey_answer(elsewhere), made=NOW)
    gathered = handover_sources.gather(unit_folder, device_config, NOW)
    assert [one.flaw for one in gathered.shortcomings] == [Flaw.OTHER_PLACE, Flaw.OTHER_UNIT]
    assert {one.flaw for one in gathered.shortcomings} <= NEVER_ACCEPTED
    assert (gathered.checks, gathered.survey) == ((), ())


def test_every_shortcoming_has_its_sentence_and_says_what_to_run():
    impossible = {(Step.SURVEY, Flaw.OTHER_UNIT), (Step.AIM, Flaw.OTHER_UNIT)}
    impossible |= {(Step.CHECK, Flaw.OTHER_PLACE), (Step.AIM, Flaw.OTHER_PLACE)}
    for step in Step:
        for flaw in Flaw:
            if (step, flaw) in impossible:
                continue
            one = Shortcoming(step=step, flaw=flaw, parts=("camera", "focus"), hours=100.0)
            assert len(accept_words.shortcoming(one)) > 20
            said = accept_words.refused((one,), can_be_accepted=flaw not in NEVER_ACCEPTED)
            assert f"`kestrel-provision {step}" in said
            assert ("--despite" in said) is (flaw not in NEVER_ACCEPTED)


def test_the_outcome_says_whether_the_receiver_has_it():
    confirmed = RoundTrip(sequence=1, acknowledged_s=0.1, confirmed_s=0.2, hint="")
    waits = RoundTrip(sequence=1, acknowledged_s=None, confirmed_s=None, hint=f"no signal; {WAITS}")
    assert accept_words.outcome(confirmed) == accept_words.CONFIRMED
    assert "it waits in the outbox" in accept_words.outcome(waits)


def test_a_photo_is_small_and_says_nothing_of_place_or_phone(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(made_photo(exif=PLACE_IN_EXIF))
    (picture,) = handover_photos.of_phone([path], MODELS_FOLDER)
    assert b"GPS" in path.read_bytes()
    assert b"GPS" not in picture.jpeg
    assert b"Exif" not in picture.jpeg
    assert len(picture.jpeg) == picture.photo.size_bytes <= LARGEST_BYTES
    assert max(picture.photo.width_px, picture.photo.height_px) == LONGEST_PX
    assert picture.photo.taken_by == "technician"
    assert cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (675, 900, 3)


def test_a_plate_in_a_photo_is_covered(tmp_path):
    write_pictures(tmp_path, mph=75.0, light=LightLevel.DAY, rain=0.0, seed=1)
    reader = PlateReader.load(MODELS_FOLDER, detection_score_ratio=0.45)

    def texts(image):
        return [one.text for one in reader.read(image, frame_number=0, at_s=0.0) if len(one.text) > 3]

    small = {}
    for path in sorted(tmp_path.glob("*.png")):
        image = cv2.imread(str(path))
        small[path] = cv2.resize(image, (LONGEST_PX, round(LONGEST_PX * image.shape[0] / image.shape[1])))
    path = next(path for path, image in small.items() if texts(image))
    (picture,) = handover_photos.of_phone([path], MODELS_FOLDER)
    assert texts(cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)) == []


def test_what_is_no_photo_is_refused_by_name(tmp_path):
    path = tmp_path / "photo.heic"
    for content in (b"", b"ftypheic", made_photo()[:40]):
        path.write_bytes(content)
        with pytest.raises(ConfigRejected, match=r"photo\.heic.*JPEG or PNG"):
            handover_photos.of_phone([path], MODELS_FOLDER)
    with pytest.raises(ConfigRejected, match="cannot be read"):
        handover_photos.of_phone([tmp_path / "none.jpg"], MODELS_FOLDER)
    with pytest.raises(ConfigRejected, match="6 at most"):
        handover_photos.of_phone([path] * 7, MODELS_FOLDER)


def made_page(say=lambda text: text, pictures=1, **values):
    jpeg = made_photo(300, 200)
    record = made_record(**values)
    facts = Signed(fingerprint="ef" * 32, signature=bytes(64))
    return page(record, facts, [Picture(photo, jpeg) for photo in record.photos * pictures], say)


def test_the_same_record_makes_the_same_page_and_holds_its_pictures():
    made = made_page()
    assert made == made_page()
    assert made.startswith(handover.PDF_BEGINS)
    assert made_photo(300, 200) in made
    assert made != made_page(accepted_by="Bob")


def test_a_page_says_every_sentence_in_its_language():
    said = []

    def shout(text):
        said.append(text)
        return text.upper()

    assert made_page(shout, despite=("The unit was not checked",), reason="night") != made_page(
        despite=("The unit was not checked",), reason="night"
    )
    assert {
        "Hand-over record",
        "Accepted by",
        "The unit was not checked",
        "Pictures",
        "weak",
        "The antenna is inside.",
    } <= {*said}


def test_long_and_foreign_texts_and_many_parts_are_no_bug():
    checks = tuple(
        handover.Checked(part=f"part {n}", state="fail", found="ñandú " * 40, cause="почему " * 20) for n in range(48)
    )
    assert made_page(checks=checks, accepted_by="Zoë 李", pictures=7, aim=(), survey=()).startswith(b"%PDF-")


def test_a_unit_is_not_handed_over_unless_somebody_saw_that_it_looks_at_rears(unit_folder, device_config, capsys):
    (unit_folder / identity.CONFIG_NAME).write_bytes(config.encode(device_config))
    assert main(["accept", str(unit_folder), "--by", "Ana"]) == 2
    error = capsys.readouterr().err
    assert "--rear-plates-only yes" in error
    assert "RSA 261:75-b" in error
    assert str(LATITUDE) not in error


def test_nothing_is_signed_while_something_is_amiss_and_no_reason_is_given(unit_folder, device_config, capsys):
    (unit_folder / identity.CONFIG_NAME).write_bytes(config.encode(device_config))
    handover_folder.answer_path(unit_folder, Step.CHECK).unlink()
    words = ["accept", str(unit_folder), "--by", "Ana", "--rear-plates-only", "yes"]
    assert main(words) == 2
    assert "The unit was not checked: run `kestrel-provision check" in capsys.readouterr().err
    leave(unit_folder, Step.CHECK, check_answer("k-other001", made_utc=NOW_TEXT))
    assert main([*words, "--despite", "they are brothers"]) == 2
    assert "of another unit" in capsys.readouterr().err
    assert not list(handover_folder.folder_of(unit_folder).glob("accepted*"))


def test_the_folder_is_its_owner_s_alone(unit_folder):
    folder = handover_folder.folder_of(unit_folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_verify_names_what_is_wrong(tmp_path, capsys):
    key = Ed25519PrivateKey.generate()
    record = made_record()
    pdf = made_page()
    signature = handover.signature_of(record, key.sign)
    signed = handover.sealed_with_page(record, signature, pdf, key.public_key(), key.sign)
    path = tmp_path / "accepted.json"
    path.write_bytes(handover.encode(signed))
    assert main(["verify", str(path)]) == 2
    assert "accepted.pdf: cannot be read" in capsys.readouterr().err
    path.with_suffix(".pdf").write_bytes(pdf)
    assert main(["verify", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "Whose key signed it is not known here" in shown
    assert handover.fingerprint(key.public_key()) in shown
    assert str(LATITUDE) not in shown
    path.with_suffix(".pdf").write_bytes(pdf + b" ")
    assert main(["verify", str(path)]) == 1
    assert "the page is not the one that was signed with it" in capsys.readouterr().err
    path.write_bytes(path.read_bytes().replace(b"Ana Lee", b"Bob Lee"))
    assert main(["verify", str(path)]) == 1
    assert "changed after it was signed" in capsys.readouterr().err
