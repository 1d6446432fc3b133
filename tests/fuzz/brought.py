"""What somebody brings to a unit or an office: site files, labels as text and as photo, bundles."""

import functools

import cv2
import numpy as np

from firmware.faults import ConfigRejected
from provisioning import bundles, certificates, label_drawing, label_photos, labels, site_files
from provisioning.certificates import Authority
from provisioning.labels import Label
from provisioning.requests import UnitAnswer
from tests.fuzz.documents import DEVICE, NOW, device_key
from tests.fuzz.judging import Target

SITE_FILE = b"""{"site": {"name": "Test Street", "latitude_deg": 37.0, "longitude_deg": -122.0}, "modem": null,
"capture": {"pir_pin": 4, "lane": [[0, 0], [1, 0], [1, 1]]}, "mount": {"lens_mm": 16}, "uplink": {"window": 5}}"""

KEYS_TOLD = r"[a-z_.]{0,80}(\[\d+\])* (is missing|is no key of a configuration)|degrees|(latitude|longitude) -?[\d.e+]+"
"""A misspelt key, and the place of whoever types it, shown back to him alone."""


def _site_file(data: bytes) -> None:
    site_files.check(site_files.decode(data, "the file"), "the file")


def _label_text(data: bytes) -> None:
    labels.parsed(data.decode("utf-8", errors="replace"))


def _label_photo(data: bytes) -> None:
    label_photos.photographed(data)


def _label_photos() -> list[bytes]:
    png = label_drawing.png(Label(device_id=DEVICE, key="0123456789ABCDEF", fleet="01234567"))
    small = cv2.resize(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE), (590, 295))
    return [cv2.imencode(suffix, small)[1].tobytes() for suffix in (".png", ".jpg")]


@functools.cache
def _authority() -> Authority:
    return certificates.new_authority(NOW)


def _bundle(data: bytes) -> None:
    bundles.opened(bundles.parsed(data, "the file"), [device_key()], _authority().certificate, "the file")


def _bundle_seeds() -> list[bytes]:
    request = certificates.signing_request(device_key(), DEVICE)
    made = certificates.client_certificate(_authority(), request, DEVICE, NOW, 1)
    answer = UnitAnswer(
        device_id=DEVICE,
        certificates=(certificates.certificate_pem(made).decode(),),
        authority=certificates.certificate_pem(_authority().certificate).decode(),
    )
    contents = bundles.Contents(answer=answer, settings={"version": 1}, region=(37, -122))
    return [bundles.sealed(contents, DEVICE, bundles.public_text(device_key()), _authority())]


BROUGHT = (
    Target("site-file", _site_file, (ConfigRejected,), lambda: [SITE_FILE], may_tell=KEYS_TOLD),
    Target("label-text", _label_text, (ConfigRejected,), lambda: [b"KESTREL1:K-TEST0001:0123456789ABCDEF:01234567"]),
    Target("label-photo", _label_photo, (ConfigRejected,), _label_photos, longest_bytes=2**17),
    Target("bundle", _bundle, (ConfigRejected,), _bundle_seeds),
)
