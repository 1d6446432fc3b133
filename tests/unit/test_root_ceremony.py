"""The root of a fleet's updates: made by its holders, followed by the very client of The Update Framework, resumed."""

import base64
import contextlib
import datetime as dt
import functools
import http.server
import json
import shutil
import stat
import subprocess
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import ExpiredMetadataError, RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, Root
from tuf.ngclient import Updater

from firmware.faults import ConfigRejected
from provisioning import fleet, root_ceremony, root_keys, update_documents
from provisioning.certificates import present

NAMES = ("Ann Lee", "Bo Kim", "Cy Roy")
NOW = present()


class Said:
    """Passphrases without a terminal, each holder's own; `asked` is who was asked for which."""

    def __init__(self, *, wrong=(), away=()):
        self.asked, self._wrong, self._away = [], wrong, away

    def known(self, holder):
        self.asked.append(holder)
        if holder in self._away:
            raise KeyboardInterrupt
        return "not the right passphrase" if holder in self._wrong else f"the passphrase of {holder}"

    def chosen(self, holder):
        self.asked.append(f"new: {holder}")
        if holder in self._away:
            raise KeyboardInterrupt
        return f"the passphrase of {holder}"


@pytest.fixture(scope="module", autouse=True)
def quick_files():
    """Files of keys that are derived in fewer rounds: how many there are in the product is asked of a file below."""
    before, root_keys.ROUNDS = root_keys.ROUNDS, 1000
    yield
    root_keys.ROUNDS = before


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    path = tmp_path_factory.mktemp("office") / "fleet"
    fleet.init(path, host="broker.example", port=8883, now=NOW)
    return path


@pytest.fixture
def fleet_path(empty, tmp_path):
    return shutil.copytree(empty, tmp_path / "fleet")


@pytest.fixture
def begun(fleet_path):
    root_ceremony.begin(fleet_path, NAMES, None, NOW, Said())
    return fleet_path


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(fleet_path):
    """A real web server that shows the fleet's updates; yields its address."""
    handler = functools.partial(_Quiet, directory=str(fleet_path / "update"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    serving = threading.Thread(target=server.serve_forever, name="updates")
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def refreshed(url, folder, trusted):
    """The root of a unit that began with `trusted`, after it has looked for updates."""
    folder.mkdir(exist_ok=True)
    updater = Updater(str(folder), f"{url}/metadata/", str(folder), f"{url}/targets/", bootstrap=trusted)
    updater.refresh()
    assert updater.get_targetinfo("firmware") is None
    return Metadata[Root].from_file(str(folder / "root.json")).signed


@pytest.fixture
def client(tmp_path, begun):
    """A function: the root of a unit of this fleet, which has the first one, after it has looked for updates."""
    first = (begun / "update" / "root.json").read_bytes()
    with served(begun) as url:
        yield lambda trusted=first: refreshed(url, tmp_path / "unit", trusted)


def root_of(fleet_path, name="root.json"):
    return Metadata[Root].from_bytes((fleet_path / "update" / name).read_bytes())


def key_file(fleet_path, number):
    return fleet_path / "update" / "holders" / f"root-{number}.p12"


def signed_by(fleet_path, number):
    holder = json.loads((fleet_path / "update" / "holders.json").read_text())["holders"][number - 1]["name"]
    return root_keys.load(key_file(fleet_path, number), f"the passphrase of {holder}")


def published(fleet_path, root):
    path = fleet_path / "update" / "metadata" / f"{root.signed.version}.root.json"
    path.write_bytes(update_documents.encode(root))


def next_root(fleet_path, *signers, now=NOW):
    """A root as somebody could make it who has the keys `signers` and no more."""
    root = root_of(fleet_path)
    root.signed.version += 1
    root.signed.expires = now + dt.timedelta(days=365)
    root.signatures.clear()
    for key in signers:
        root.sign(CryptoSigner(key), append=True)
    return root


def test_the_client_of_the_framework_accepts_what_the_ceremony_made(begun, client):
    root = client()
    assert root.version == 1
    assert root.roles["root"].threshold == 2
    assert len(root.roles["root"].keyids) == 3
    assert root.expires == NOW + dt.timedelta(days=update_documents.ROOT_DAYS)
    assert len({key_id for role in root.roles.values() for key_id in role.keyids}) == 6


def test_no_name_and_no_private_key_is_in_what_units_get(begun):
    public = b"".join(path.read_bytes() for path in (begun / "update" / "metadata").iterdir())
    public += (begun / "update" / "root.json").read_bytes()
    assert not [name for name in NAMES if name.split()[0].encode() in public]
    for number in (1, 2, 3):
        key = signed_by(begun, number).private_bytes_raw()
        sealed = key_file(begun, number).read_bytes()
        everything = b"".join(path.read_bytes() for path in begun.rglob("*") if path.is_file())
        for form in (key, key.hex().encode(), base64.b64encode(key)):
            assert form not in everything
        assert b"PRIVATE" not in sealed


def test_nobody_else_may_read_any_of_it(begun):
    made = [begun / "update", *(begun / "update").rglob("*")]
    assert {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in made} == {(True, 0o700), (False, 0o600)}


def test_a_root_with_one_signature_is_refused_and_the_unit_keeps_its_own(begun, client):
    client()
    published(begun, next_root(begun, signed_by(begun, 1)))
    with pytest.raises(UnsignedMetadataError, match="1/2"):
        client()
    published(begun, next_root(begun, signed_by(begun, 1), signed_by(begun, 3)))
    assert client().version == 2


def test_a_forged_root_is_refused(begun, client):
    client()
    forgers = [Ed25519PrivateKey.generate() for _ in range(3)]
    forged = next_root(begun)
    for key_id in list(forged.signed.roles["root"].keyids):
        forged.signed.revoke_key(key_id, "root")
    for key in forgers:
        forged.signed.add_key(update_documents.key_of(key.public_key()), "root")
        forged.sign(CryptoSigner(key), append=True)
    published(begun, forged)
    with pytest.raises(RepositoryError):
        client()
    one_byte_more = next_root(begun, signed_by(begun, 1), signed_by(begun, 2))
    one_byte_more.signed.expires += dt.timedelta(seconds=1)
    published(begun, one_byte_more)
    with pytest.raises(UnsignedMetadataError):
        client()


def test_the_next_root_is_signed_by_old_and_new_and_followed(begun, client):
    client()
    progress = root_ceremony.rotate(begun, NOW, Said(), leaver="Bo Kim", newcomer="Di Fox", online=True)
    assert (progress.version, progress.signed, progress.missing, progress.is_in_use) == (2, (), 2, False)
    assert set(progress.may_sign) == {*NAMES, "Di Fox"}
    assert client().version == 1  # until it is whole nobody hears of it
    # two of the old, of whom one leaves, are not two of the new
    assert not root_ceremony.sign(begun, key_file(begun, 1), NOW, Said()).is_in_use
    still = root_ceremony.sign(begun, key_file(begun, 2), NOW, Said())
    assert (still.signed, still.missing, still.is_in_use) == (("Ann Lee", "Bo Kim"), 1, False)
    assert client().version == 1
    whole = root_ceremony.sign(begun, key_file(begun, 4), NOW, Said())
    assert whole.is_in_use
    root = client()
    assert root.version == 2
    assert update_documents.key_of(signed_by(begun, 2).public_key()).keyid not in root.keys
    assert not (begun / "update" / "waiting-root.json").exists()
    assert client((begun / "update" / "root.json").read_bytes()).version == 2  # a new unit


def test_a_unit_that_was_away_for_years_follows_root_by_root(begun, client, tmp_path):
    first = (begun / "update" / "root.json").read_bytes()
    for _ in range(3):
        root_ceremony.rotate(begun, NOW, Said(), leaver=None, newcomer=None, online=False)
        root_ceremony.sign(begun, key_file(begun, 1), NOW, Said())
        assert root_ceremony.sign(begun, key_file(begun, 2), NOW, Said()).is_in_use
    assert client(first).version == 4


def test_a_timestamp_that_ran_out_is_refused_and_one_signed_anew_is_taken(fleet_path, tmp_path):
    long_ago = NOW - dt.timedelta(days=update_documents.TIMESTAMP_DAYS, seconds=1)
    shutil.rmtree(fleet_path)
    fleet.init(fleet_path, host="broker.example", port=8883, now=long_ago)
    root_ceremony.begin(fleet_path, NAMES, None, long_ago, Said())
    trusted = (fleet_path / "update" / "root.json").read_bytes()
    with served(fleet_path) as url:
        with pytest.raises(ExpiredMetadataError):
            refreshed(url, tmp_path / "unit", trusted)
        root_ceremony.refresh(fleet_path, NOW)
        assert refreshed(url, tmp_path / "unit", trusted).version == 1


def test_a_signature_by_a_key_that_counts_nowhere_is_refused(begun, tmp_path):
    stranger = tmp_path / "root-9.p12"
    root_keys.make(stranger, "Eve", "the passphrase of Eve")
    with pytest.raises(ConfigRejected, match="no root waits"):
        root_ceremony.sign(begun, key_file(begun, 1), NOW, Said())
    root_ceremony.rotate(begun, NOW, Said(), leaver=None, newcomer=None, online=False)
    before = (begun / "update" / "waiting-root.json").read_bytes()
    with pytest.raises(ConfigRejected, match="this passphrase does not open it"):
        root_ceremony.sign(begun, key_file(begun, 1), NOW, Said(wrong=NAMES))

    class Eve(Said):
        def known(self, holder):
            return "the passphrase of Eve"

    with pytest.raises(ConfigRejected, match="counts neither in the present root nor in the next"):
        root_ceremony.sign(begun, stranger, NOW, Eve())
    assert (begun / "update" / "waiting-root.json").read_bytes() == before
    with pytest.raises(ConfigRejected, match="waits for signatures already"):
        root_ceremony.rotate(begun, NOW, Said(), leaver=None, newcomer=None, online=False)


def test_a_ceremony_that_was_broken_off_goes_on_with_the_keys_that_were_made(fleet_path):
    with pytest.raises(KeyboardInterrupt):
        root_ceremony.begin(fleet_path, NAMES, None, NOW, Said(away=("Bo Kim",)))
    made = key_file(fleet_path, 1).read_bytes()
    with pytest.raises(ConfigRejected, match="root keys were begun for Ann Lee, Bo Kim, Cy Roy, and 2 of them"):
        root_ceremony.begin(fleet_path, ("Eve",), None, NOW, Said())
    said = Said()
    progress = root_ceremony.begin(fleet_path, (), None, NOW, said)
    assert said.asked == ["new: Bo Kim", "new: Cy Roy"]  # two signatures are there, the third is not needed
    assert progress.signed == ("Bo Kim", "Cy Roy")
    assert progress.is_in_use
    assert key_file(fleet_path, 1).read_bytes() == made
    assert len(progress.files) == 3
    with pytest.raises(ConfigRejected, match="has its root already"):
        root_ceremony.begin(fleet_path, NAMES, None, NOW, Said())


@pytest.mark.parametrize(
    ("names", "threshold", "sentence"),
    [
        ((), None, "1 to 10 different holders"),
        (("Ann", "Ann"), None, "different holders"),
        (("Ann", "Bo"), 3, "a root with 2 holders cannot need 3 signatures"),
        (("Ann", "Bo"), 0, "a root with 2 holders cannot need 0"),
        (tuple(f"Holder {number}" for number in range(11)), None, "1 to 10 different holders"),
        (("x" * 81,), None, "1 to 80 characters"),
    ],
)
def test_holders_that_cannot_be_are_refused_before_a_key_is_made(fleet_path, names, threshold, sentence):
    with pytest.raises(ConfigRejected, match=sentence):
        root_ceremony.begin(fleet_path, names, threshold, NOW, Said())
    assert list((fleet_path / "update").rglob("*.p12")) == []


def test_a_key_file_is_never_overwritten_and_has_a_passphrase_that_takes_time(tmp_path, monkeypatch):
    monkeypatch.setattr(root_keys, "ROUNDS", 600_000)
    path = tmp_path / "root-1.p12"
    with pytest.raises(ConfigRejected, match="12 characters"):
        root_keys.make(path, "Ann Lee", "short")
    made = root_keys.make(path, "Ann Lee", "four words or more")
    with pytest.raises(ConfigRejected, match="none is ever overwritten"):
        root_keys.make(path, "Ann Lee", "four words or more")
    assert root_keys.load(path, "four words or more").private_bytes_raw() == made.private_bytes_raw()
    # what openssl(1) says of the file, which is no code of ours
    said = subprocess.run(
        ["openssl", "pkcs12", "-in", str(path), "-passin", "pass:four words or more", "-nodes", "-info"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256" in said.stderr
    assert "friendlyName: Ann Lee" in said.stdout


def test_a_rotation_that_was_broken_off_makes_no_second_key_for_who_joins(begun):
    def rotate(said):
        return root_ceremony.rotate(begun, NOW, said, leaver="Bo Kim", newcomer="Di Fox", online=False)

    with pytest.raises(KeyboardInterrupt):
        rotate(Said(away=("Di Fox",)))
    assert not (begun / "update" / "waiting-root.json").exists()
    rotate(Said())
    (begun / "update" / "waiting-root.json").unlink()  # given up, or killed before it was written
    made, said = key_file(begun, 4).read_bytes(), Said()
    rotate(said)
    assert said.asked == []
    assert key_file(begun, 4).read_bytes() == made
    assert not key_file(begun, 5).exists()


@pytest.mark.parametrize(
    ("leaver", "newcomer", "sentence"),
    [
        ("Bo Kim", None, "give both, with --leaves and --joins"),
        ("Eve", "Di Fox", "Eve holds no root key; name one of Ann Lee, Bo Kim, Cy Roy"),
        ("Bo Kim", "Cy Roy", "Cy Roy holds a root key already"),
    ],
)
def test_a_change_of_holders_that_cannot_be_is_refused(begun, leaver, newcomer, sentence):
    with pytest.raises(ConfigRejected, match=sentence):
        root_ceremony.rotate(begun, NOW, Said(), leaver=leaver, newcomer=newcomer, online=False)
    assert not (begun / "update" / "waiting-root.json").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"signatures": [], "signed": {"_type": "root"}}'])
def test_a_root_or_a_list_of_holders_that_is_spoilt_is_one_sentence(begun, content):
    holders = begun / "update" / "holders.json"
    whole = holders.read_bytes()
    holders.write_bytes(content)
    with pytest.raises(ConfigRejected, match="bring the fleet's own file"):
        root_ceremony.rotate(begun, NOW, Said(), leaver=None, newcomer=None, online=False)
    holders.write_bytes(whole)
    (begun / "update" / "root.json").write_bytes(content)
    with pytest.raises(ConfigRejected, match="not a document of the update repository"):
        root_ceremony.refresh(begun, NOW)


def test_an_office_key_that_is_gone_is_said_and_replaced_by_the_holders(begun, client):
    client()
    (begun / "update" / "online" / "1" / "timestamp.key").unlink()
    with pytest.raises(ConfigRejected, match=r"the key of timestamp is gone; .*--new-online-keys"):
        root_ceremony.refresh(begun, NOW)
    root_ceremony.rotate(begun, NOW, Said(), leaver=None, newcomer=None, online=True)
    root_ceremony.sign(begun, key_file(begun, 2), NOW, Said())
    root_ceremony.sign(begun, key_file(begun, 3), NOW, Said())
    assert client().version == 2
