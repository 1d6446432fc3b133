"""A key that was made in a token signs there, cannot be read out, and is gone when it is erased."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import msgspec
import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from made_reads import made_read, made_sealer
from pkcs11 import Attribute, ObjectClass
from softhsm import PIN

from firmware import sealing
from firmware.board.pkcs11_token import ED25519_PARAMETERS, TokenKeys, key_store
from firmware.faults import ConfigRejected, DeviceFault, FaultCode
from firmware.key_files import KeyFiles
from provisioning import certificates


@pytest.fixture
def keys(token):
    return TokenKeys(token)


def private_objects(keys):
    with keys.session() as session:
        return list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY}))


def test_a_read_is_signed_in_the_token(keys):
    key = keys.prepare(None)
    sealed = made_sealer(key, X25519PrivateKey.generate()).seal(made_read())
    sealing.verify(sealed, key.public_key())


def test_a_request_is_signed_in_the_token(keys):
    request = certificates.signing_request(keys.prepare(None), "k-test0001")
    assert request.is_signature_valid


def test_no_call_gives_the_private_half(keys):
    key = keys.prepare(None)
    (private,) = private_objects(keys)
    assert private[Attribute.SENSITIVE]
    assert not private[Attribute.EXTRACTABLE]
    with pytest.raises(pkcs11.AttributeSensitive):
        private[Attribute.VALUE]
    with pytest.raises(pkcs11.PKCS11Error):
        private[Attribute.EXTRACTABLE] = True
    with pytest.raises(pkcs11.PKCS11Error):
        private[Attribute.SENSITIVE] = False
    with pytest.raises(TypeError, match="no bytes"):
        key.private_bytes_raw()
    with pytest.raises(TypeError, match="no bytes"):
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert copy.copy(key) is copy.deepcopy(key) is key
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(key)


def test_a_key_that_could_have_been_copied_is_refused(keys, token):
    with keys.session() as session:
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: ED25519_PARAMETERS}, local=True
        )
        public, _ = parameters.generate_keypair(
            store=True,
            label=token.key_label,
            id=b"copyable",
            mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
            private_template={Attribute.EXTRACTABLE: True},
        )
        raw = bytes(public[Attribute.EC_POINT])[-32:]
    with pytest.raises(DeviceFault, match="could have been copied"):
        keys.find(Ed25519PublicKey.from_public_bytes(raw))


@pytest.fixture(params=["token", "file"])
def store(request, tmp_path):
    return key_store(request.getfixturevalue("token") if request.param == "token" else None, tmp_path)


def test_a_new_key_waits_beside_the_old_one_until_it_is_settled(store):
    first = store.prepare(None).public_key()
    assert store.prepare(None).public_key() == first
    store.settle(first)
    second = store.prepare(first).public_key()
    assert store.prepare(first).public_key() == second != first
    assert store.find(first).public_key() == first
    store.settle(second)
    assert store.find(first) is None
    assert store.find(second).public_key() == second
    signature = store.find(second).sign(b"message")
    second.verify(signature, b"message")


def test_settling_a_key_that_is_not_there_ends_nothing(store):
    first = store.prepare(None).public_key()
    store.settle(first)
    waiting = store.prepare(first).public_key()
    store.settle(Ed25519PrivateKey.generate().public_key())
    assert store.find(first) is not None
    assert store.find(waiting) is not None


def test_erasing_destroys_every_key_in_the_token(keys, token):
    first = keys.prepare(None)
    keys.settle(first.public_key())
    keys.prepare(first.public_key())
    keys.erase()
    assert private_objects(keys) == []
    with pytest.raises(DeviceFault, match="no longer has"):
        first.sign(b"message")
    script = (
        "import sys, msgspec\n"
        "from firmware.config import TokenConfig; from firmware.board.pkcs11_token import TokenKeys\n"
        "from pkcs11 import Attribute\n"
        "with TokenKeys(msgspec.json.decode(sys.argv[1], type=TokenConfig)).session() as session:\n"
        "    print(len(list(session.get_objects({Attribute.TOKEN: True}))))"
    )
    told = msgspec.json.encode(token).decode()
    seen = subprocess.run([sys.executable, "-c", script, told], capture_output=True, text=True, check=True)
    assert seen.stdout == "0\n"


def test_erasing_a_file_overwrites_it_first(tmp_path):
    store = KeyFiles(tmp_path)
    first = store.prepare(None).public_key()
    store.settle(first)
    store.prepare(first)
    paths = [tmp_path / "device.key", tmp_path / "device.next.key"]
    with paths[0].open("rb") as one, paths[1].open("rb") as other:  # still there for whoever had them open
        store.erase()
        assert set(one.read()) == set(other.read()) == {0}
    assert list(tmp_path.iterdir()) == []
    store.erase()


def test_a_replaced_file_is_overwritten(tmp_path):
    store = KeyFiles(tmp_path)
    first = store.prepare(None).public_key()
    store.settle(first)
    second = store.prepare(first).public_key()
    with (tmp_path / "device.key").open("rb") as replaced:
        store.settle(second)
        assert set(replaced.read()) == {0}


def test_a_store_says_what_it_is(keys, token, tmp_path):
    assert keys.describe() == f"pkcs11: {token.token_label}"
    assert KeyFiles(tmp_path).describe() == "file"


def loosen(token, path):
    path.chmod(0o640)
    return token


def remove_pin(token, path):
    path.unlink()
    return token


def spoil_pin(token, path):
    path.write_text("11111111")
    return token


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (loosen, "other users may read the token's PIN"),
        (remove_pin, "the token's PIN cannot be read"),
        (spoil_pin, "refuses this PIN"),
        (
            lambda token, _: msgspec.structs.replace(token, module="/usr/lib/nothing.so"),
            "not the library of a secure element",
        ),
    ],
)
def test_what_a_technician_can_mend_is_a_sentence_without_the_pin(token, spoil, sentence):
    spoilt = spoil(token, Path(token.pin_file))
    with pytest.raises(ConfigRejected, match=sentence) as refused:
        TokenKeys(spoilt)
    assert PIN not in str(refused.value)
    assert "11111111" not in str(refused.value)


def test_a_token_that_is_not_there_is_a_fault(token):
    with pytest.raises(DeviceFault, match="no token is labelled") as fault:
        TokenKeys(msgspec.structs.replace(token, token_label="elsewhere"))  # noqa: S106  a label
    assert fault.value.code is FaultCode.KEY_UNUSABLE


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the library's search, at its end
def test_a_session_that_breaks_is_a_fault_and_the_next_one_works(keys):
    key = keys.prepare(None)
    with keys.session() as session:
        session.close()
    with pytest.raises(DeviceFault, match="the token says"):
        key.sign(b"message")
    key.public_key().verify(key.sign(b"message"), b"message")
