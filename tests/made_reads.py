"""Reads of vehicles that never were, and the clock and system that a test gives to the parts that ask for them."""

import base64
import dataclasses
import os

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloud import fleet_folder, registry
from firmware import sealing
from firmware.agency_keys import CONTENT_KEY_BYTES, AgencyKey, SuiteNumber, hpke_suite
from firmware.config import AgencyKeyConfig, DeviceConfig, SealConfig, SiteConfig, UplinkConfig
from firmware.records import Direction, Passage, Picture, PictureCoding, PlateText, Read, Site
from firmware.sealing import Sealer, uuid7

PLATE = "TEST123"
SITE = Site(name="Test Street", latitude_deg=37.25, longitude_deg=-122.1, bearing_deg=90.0)
START_UTC_MS = 1_800_000_000_000
STARTED_UTC_MS = START_UTC_MS - 3_600_000  # when the unit was switched on
BOOT_ID = bytes(range(8))
NOBODYS_KEY = "A" * 43 + "="


def made_config():
    """A unit's configuration, whose keys are well formed and open nothing."""
    return DeviceConfig(
        version=1,
        device_id="k-test0001",
        site=SiteConfig(name="Test Street", latitude_deg=37.0, longitude_deg=-122.0),
        seal=SealConfig(
            agency_keys=(AgencyKeyConfig(key=NOBODYS_KEY),), receipt_key=NOBODYS_KEY, retirement_key=NOBODYS_KEY
        ),
        uplink=UplinkConfig(host="localhost"),
    )


def made_read(
    sequence=1, *, device_id="k-test0001", plate=PLATE, at_utc_ms=START_UTC_MS, picture=b"\xff\xd8crop\xff\xd9"
):
    passage = Passage(
        first_utc_ms=at_utc_ms - 400,
        last_utc_ms=at_utc_ms,
        last_boot_ms=max(0, at_utc_ms - STARTED_UTC_MS),
        clock_trusted=True,
        plate=PlateText(plate) if plate else None,
        character_scores=tuple([1.0] * len(plate or "")),
        score_ratio=204 / 255,
        region="CA",
        region_score_ratio=51 / 255,
        frames=5,
        infrared=False,
        partial=True,
        direction=Direction.AWAY,
        picture=Picture(PictureCoding.AVIF, picture) if picture else None,
    )
    return Read(
        read_id=uuid7(at_utc_ms, os.urandom(10)),
        device_id=device_id,
        sequence=sequence,
        boot_id=BOOT_ID,
        site=SITE,
        passage=passage,
        model_version="test-1",
        config_version=1,
    )


def made_sealer(device_key, *opening_keys, device_id="k-test0001"):
    """A unit's sealer to the public halves of these keys (OpeningKey, or X25519PrivateKey), without limits of time."""
    return Sealer(device_id, device_key, [agency_key(key) for key in opening_keys])


def agency_key(key, **limits):
    if isinstance(key, X25519PrivateKey):
        return AgencyKey.from_raw(SuiteNumber.X25519, key.public_key().public_bytes_raw(), **limits)
    return AgencyKey.from_raw(key.suite, key.public_bytes, **limits)


class SetClock:
    """A clock that stands where the test puts it. Time goes by when `now_utc_ms` is set; `jump` sets the wall."""

    def __init__(self, utc_ms=START_UTC_MS, *, trusted=True):
        self.now_utc_ms, self.trusted = utc_ms, trusted
        self._jumped_ms = utc_ms

    def jump(self, by_ms):
        self.now_utc_ms += by_ms
        self._jumped_ms += by_ms

    def monotonic_s(self):
        return (self.now_utc_ms - self._jumped_ms) / 1000

    def utc_ms(self):
        return self.now_utc_ms

    def is_trusted(self):
        return self.trusted

    def boot_id(self):
        return BOOT_ID


class KernelRandom:
    """The part of the System port that sealing and storing need."""

    def notify(self, state):
        raise AssertionError("nothing here talks to the service manager")

    def random_bytes(self, count):
        return os.urandom(count)


def registry_entry(device_id, device_key):
    """What the registry's file of an active unit holds."""
    entry = registry.Unit(
        device_id=device_id,
        public_key=base64.b64encode(device_key.public_key().public_bytes_raw()).decode(),
        certificate_serials=("7f",),
        certificate_until_utc="2037-01-15T08:00:00Z",
        site_name="Test Street",
        enrolled_utc="2027-01-15T08:00:00Z",
    )
    return registry.encode(entry)


def registered(folder, device_key, *device_ids):
    """Return the registry of a fleet's `folder`, made there, in which these units are active, all with one key."""
    path = folder / fleet_folder.REGISTRY_FOLDER
    path.mkdir()
    for device_id in device_ids:
        (path / f"{device_id}.json").write_bytes(registry_entry(device_id, device_key))
    return registry.Registry(path)


def sealed_around(sealed, plaintext, opening_key):
    """`sealed` with another payload, as whoever holds the unit's key can make it; not signed anew."""
    header, content_key = sealing.header(sealed), os.urandom(CONTENT_KEY_BYTES)
    public_key = opening_key.private_key.public_key()
    wrapped = hpke_suite(opening_key.suite).encrypt(content_key, public_key, info=sealing.INFO_PREFIX + header)
    ciphertext = AESGCM(content_key).encrypt(sealing.content_nonce(header), plaintext, header)
    recipients = (dataclasses.replace(sealed.recipients[0], wrapped_key=wrapped),)
    return dataclasses.replace(sealed, recipients=recipients, ciphertext=ciphertext)
