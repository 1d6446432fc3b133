"""What all tests share: which board the contract tests run against, and a unit's configuration without secrets."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import settings
from made_reads import made_config
from softhsm import token, token_labels  # noqa: F401  fixtures: one library, so one set of tokens, in a process

# A busy machine is slow and not wrong. The same examples each time, so that a change fails by its own fault only; to
# look for others: `pytest --hypothesis-profile=search -n 0`.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("same")

os.environ["KESTREL_LANGUAGE"] = "en"  # whatever this machine speaks; what is about Spanish asks for it


def pytest_addoption(parser):
    parser.addoption("--board", choices=["sim", "pi"], default="sim", help="whose parts the contract tests run against")
    parser.addoption(
        "--second-broker", type=Path, metavar="ROOT", help="root folder of a Debian 13 with rabbitmq-server"
    )
    parser.addoption("--rounds", type=int, help="how many power cuts, kills, flips of bits (default: a few of each)")


@pytest.fixture
def device_config():
    return made_config()


@pytest.fixture(autouse=True)
def log_put_back():
    """Put back where log lines go: a program's `main` that a test calls decides that for its process."""
    loggers = [logging.getLogger(name) for name in (None, "firmware", "hw_sim")]
    before = [(logger, logger.handlers[:], logger.level) for logger in loggers]
    raises = logging.raiseExceptions
    yield
    for logger, handlers, level in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)
    logging.raiseExceptions = raises
