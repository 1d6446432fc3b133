"""The simulated device, with a sensor that delivers nonsense and a bug in its reading that quotes plates: a process.

Everything but the bug is the product's own; the bug is as careless as one can be: plates in its message, in its cause,
in a warning and in a thread of its own.
"""

import argparse
import sys
import threading
import warnings
from pathlib import Path

from firmware import app, config, identity
from firmware.board import log_output
from firmware.board.linux import forbid_dumps
from firmware.board.log_output import LogFormat
from firmware.faults import FaultCode
from firmware.recognition import PlateReader
from hw_sim.board import open_unit
from hw_sim.surroundings import World

BAD_FRAMES = 4


class CarelessReader:
    """Reads as the product does, until it has seen plates and `is_ripe`."""

    def __init__(self, reader):
        self.version = reader.version
        self.is_ripe = lambda: False
        self._reader = reader
        self._seen = []

    def read(self, image, *, frame_number, at_s):
        readings = self._reader.read(image, frame_number=frame_number, at_s=at_s)
        for text in (reading.text for reading in readings if len(reading.text) >= 6):
            if text not in self._seen:
                self._seen.append(text)
        if self._seen and self.is_ripe():
            self._fail()
        return readings

    def _fail(self):
        text = ", ".join(self._seen)
        warnings.warn(f"about to fail on {text}", stacklevel=1)
        thread = threading.Thread(target=int, args=(text,), name="careless")
        thread.start()
        thread.join()
        try:
            {}[text]
        except KeyError as error:
            raise ValueError(f"cannot make sense of {text}") from error


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--log-format", type=LogFormat, required=True)
    parser.add_argument("--after", type=FaultCode, required=True, help="the bug comes once this fault is latched")
    options = parser.parse_args()
    forbid_dumps()
    log_output.catch_strays()
    log_output.begin("debug", options.log_format, packages=("firmware", "hw_sim"))
    with app.stop_requests() as request:
        settings = config.load(options.folder / identity.CONFIG_NAME)
        unit = open_unit(settings, options.folder, World(source=options.source))
        reader = PlateReader.load(app.MODELS_FOLDER, detection_score_ratio=settings.reading.detection_score_ratio)
        unit.camera.spoil_next(BAD_FRAMES)
        unit.camera.misshape_next(BAD_FRAMES)
        careless = CarelessReader(reader)
        machine = app.build(unit.board, settings, options.folder, careless)
        careless.is_ripe = lambda: options.after in {report.code for report in machine.faults.reports()}
        return app.run(unit.board, machine, request)


if __name__ == "__main__":
    sys.exit(main())
