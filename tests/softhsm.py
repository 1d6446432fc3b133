"""Real PKCS #11 tokens in software (Debian's softhsm2), for the tests of keys in a secure element.

The library reads its tokens when it is loaded, once in a process, so that all are made before and given out one by one.
"""

import os
import subprocess

import pytest

from firmware.config import TokenConfig

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "48151623"
TOKENS_A_TEST = 2  # at most


def make_tokens(folder, count):
    """Make tokens labelled unit-0, unit-1, ... in `folder`; return the path of the library's configuration."""
    (folder / "tokens").mkdir(parents=True)
    path = folder / "softhsm2.conf"
    path.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    for number in range(count):
        command = [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            f"unit-{number}",
            "--so-pin",
            PIN,
            "--pin",
            PIN,
        ]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"SOFTHSM2_CONF": str(path)})
    return path


def pin_file(folder):
    path = folder / "token-pin"
    path.write_text(PIN + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def token_labels(tmp_path_factory, request):
    count = sum("token_labels" in item.fixturenames for item in request.session.items)
    path = make_tokens(tmp_path_factory.mktemp("softhsm"), TOKENS_A_TEST * count)
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(path)
    yield iter([f"unit-{number}" for number in range(TOKENS_A_TEST * count)])
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture
def token(token_labels, tmp_path):
    """The configuration of an empty token of this test's own."""
    return TokenConfig(module=MODULE, token_label=next(token_labels), pin_file=str(pin_file(tmp_path)))
