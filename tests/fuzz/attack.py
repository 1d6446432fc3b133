"""One target under atheris (libFuzzer) until its time is over: `python -m tests.fuzz.attack MODULE NAME OPTIONS`.

Started by `python -m tests.fuzz`; libFuzzer ends the process itself. Only the module that the target is in is loaded,
because what is loaded is instrumented, and that takes its time.
"""

import importlib
import sys

import atheris

with atheris.instrument_imports(include=["firmware", "cloud", "hw_sim", "paho"]):
    MODULE = importlib.import_module(sys.argv[1])

from tests.fuzz.judging import Target, judge


def main() -> None:
    name, *options = sys.argv[2:]
    groups = [value for value in vars(MODULE).values() if isinstance(value, tuple)]
    target = next(one for group in groups for one in group if isinstance(one, Target) and one.name == name)
    for seed in target.seeds():  # what is cached, loaded or imported on first use must not count as one input's cost
        is_taken_or_refused(target, seed)
    atheris.Setup([name, *options], lambda data: is_taken_or_refused(target, data))
    atheris.Fuzz()


def is_taken_or_refused(target: Target, data: bytes) -> None:
    judge(target, data)


if __name__ == "__main__":
    main()
