"""A unit's keys at work against a real broker and receiver: in a token, and while a new one takes over."""

import datetime as dt

import msgspec
import pytest
from loopback_fleet import CLOCK, NOW, SITE, Unit
from pkcs11 import Attribute

from cloud import fleet_folder
from cloud.registry import Registry
from firmware import config, erasure, identity
from firmware.board.pkcs11_token import TokenKeys, key_store, key_store_in
from firmware.board.tls import tls_context
from firmware.faults import ConfigRejected, DeviceFault, FaultCode, Retired
from firmware.key_files import KEY_NAME
from firmware.retirement import Cause
from provisioning import unit


@pytest.fixture
def token_unit(fleet_path, tmp_path, token):
    unit.enrol(fleet_path, tmp_path / "unit", SITE, NOW, token=token)
    return tmp_path / "unit"


def test_reads_signed_in_a_token_arrive(broker, token_unit, make_unit, start_receiver, stored):
    receiver = start_receiver()
    made = make_unit()
    assert made.identity.key_store.startswith("pkcs11: unit-")
    made.put(3)
    assert made.run_until(lambda: made.outbox.count() == 0)
    receiver.stop()
    assert stored() == 3


@pytest.mark.usefixtures("broker")
def test_reads_of_the_old_key_that_wait_in_the_outbox_are_taken_beside_those_of_the_new_one(
    fleet_path, tmp_path, make_unit, start_receiver, stored
):
    before = make_unit()
    old = before.identity.device_key.public_key()
    before.put(2)
    before.close()
    new = unit.rotate(fleet_path, tmp_path / "unit", NOW)
    after = make_unit()
    assert after.identity.device_key.public_key() == new != old
    after.put(2)
    receiver = start_receiver()
    assert after.run_until(lambda: after.outbox.count() == 0)
    receiver.stop()
    assert stored() == 4
    assert "0 rejected" in receiver.output.getvalue()


def test_the_old_key_is_taken_until_its_certificate_and_the_longest_retention_have_passed(
    fleet_path, tmp_path, make_unit
):
    made = make_unit()
    old = made.identity.device_key.public_key()
    new = unit.rotate(fleet_path, tmp_path / "unit", NOW + dt.timedelta(days=1))
    units = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER)
    end_utc_ms = made.identity.not_after_utc_ms
    day_ms = 86_400_000
    assert units.keys(made.config.device_id, CLOCK.utc_ms()) == (new, old)
    assert units.keys(made.config.device_id, end_utc_ms + 30 * day_ms) == (new, old)
    assert units.keys(made.config.device_id, end_utc_ms + 32 * day_ms) == (new,)


def test_a_key_that_was_erased_seals_nothing_more(token_unit, make_unit, token):
    made = make_unit()
    TokenKeys(token).erase()
    with pytest.raises(Exception, match="no longer has the unit's key") as fault:
        made.put()
    assert fault.value.code is FaultCode.KEY_UNUSABLE


@pytest.mark.usefixtures("broker")
def test_a_rotated_token_signs_with_its_new_key(fleet_path, token_unit, make_unit, start_receiver, stored):
    first = make_unit()
    first.put()
    first.close()
    new = unit.rotate(fleet_path, token_unit, NOW)
    receiver = start_receiver()
    second = Unit(token_unit)
    second.put()
    assert second.run_until(lambda: second.outbox.count() == 0)
    second.close()
    receiver.stop()
    assert stored() == 2
    kept = key_store(second.config.token, token_unit)
    assert kept.find(first.identity.device_key.public_key()) is None
    assert identity.load(token_unit, second.config.device_id, kept).device_key.public_key() == new


def test_what_a_token_s_library_leaves_in_openssl_does_not_keep_the_unit_off_line(token_unit, token, token_labels):
    own = token_unit
    spoilt = msgspec.structs.replace(token, token_label=next(token_labels), pin_file=str(own / "other.pin"))
    (own / "other.pin").write_text("11111111")
    (own / "other.pin").chmod(0o600)
    with pytest.raises(ConfigRejected, match="refuses this PIN"):
        TokenKeys(spoilt)  # SoftHSM's failed decryption stays in OpenSSL's queue of errors, which TLS shares
    tls_context(own / identity.AUTHORITY_NAME, own / identity.CERTIFICATE_NAME, own / KEY_NAME)


def test_erasing_a_unit_ends_its_key_in_the_token_too_though_power_was_cut_before(token_unit, token):
    keys = TokenKeys(token)
    public_key = identity.load(token_unit, unit_name(token_unit), keys).device_key.public_key()
    erasure.leave_mark(token_unit, Cause.TAMPER)
    with pytest.raises(Retired), erasure.unless_retired(token_unit, key_store_in):
        pytest.fail("a retired unit runs")
    assert keys.find(public_key) is None
    assert [path.name for path in token_unit.iterdir() if path.suffix != ".pin"] == [erasure.MARK_NAME]


def test_a_token_that_does_not_answer_keeps_the_rest_from_nothing(token_unit, token):
    class Deaf:
        def erase(self):
            raise DeviceFault(FaultCode.KEY_UNUSABLE, "the token is gone")

    with pytest.raises(DeviceFault, match="the token is gone"):
        erasure.erase(token_unit, Cause.TAMPER, Deaf())
    left = {path.name for path in token_unit.iterdir() if path.suffix != ".pin"}
    assert left == {erasure.MARK_NAME, identity.CONFIG_NAME}  # which names the token, for the next start to try again
    with pytest.raises(Retired), erasure.unless_retired(token_unit, key_store_in):
        pytest.fail("a retired unit runs")
    with TokenKeys(token).session() as session:
        assert not list(session.get_objects({Attribute.TOKEN: True}))


def unit_name(folder):
    return config.load(folder / identity.CONFIG_NAME).device_id
