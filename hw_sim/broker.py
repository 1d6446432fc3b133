"""A real Mosquitto on loopback, with the fleet's own files: the broker of the simulation and of the tests.

World face: start, stop, kill, save, start again. It is the product's configuration with another port and other folders,
so what is refused here is refused on the road.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cloud import broker_files, fleet_folder
from cloud.broker_files import BrokerPlace
from firmware.faults import KestrelError
from provisioning import durable_files

START_LIMIT_S: Final = 10.0
STOP_LIMIT_S: Final = 10.0
LOOK_EVERY_S: Final = 0.02
ADDRESS: Final = "127.0.0.1"


class BrokerAbsent(KestrelError):
    """The broker cannot be started here. The message says what to do."""


def free_port() -> int:
    """Return a port of loopback on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def is_listening(port: int, address: str = ADDRESS) -> bool:
    """Say whether something accepts connections on this port, of loopback unless another address is given."""
    with contextlib.closing(socket.socket()) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((address, port)) == 0


class Broker:
    """One Mosquitto for the fleet in `fleet_path`; its state and its log lie in `folder`. A context manager."""

    def __init__(self, fleet_path: Path, folder: Path, address: str = ADDRESS) -> None:
        self._address = address
        self.port = fleet_folder.load(fleet_path).port
        self.log_path = folder / "broker.log"
        self._folder = folder
        self._fleet_path = fleet_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the process, or None while there is none."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start it and return when it takes connections. Raises BrokerAbsent."""
        program = _program()
        if is_listening(self.port, self._address):
            raise BrokerAbsent(
                f"port {self.port} of this machine is in use; end what listens there, or make a fleet with another port"
            )
        configuration = self._write_configuration()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  a program found by us, no shell, no outside word
                [program, "-c", str(configuration)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        try:
            self._await_start(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End it in order, so that it saves its state."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def save(self) -> None:
        """Let it write its memory now, as it does every autosave_interval. It does so when it next has work."""
        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)

    def kill(self) -> None:
        """End it as a power cut does: what it had not yet saved is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _write_configuration(self) -> Path:
        state_folder = self._folder / "broker-state"
        durable_files.make_folder(state_folder)
        place = BrokerPlace(
            port=self.port,
            folder=(self._fleet_path / fleet_folder.BROKER_FOLDER).absolute(),
            state_folder=state_folder.absolute(),
            user="root",  # as which nothing changes: not for root, and for others Mosquitto ignores it
            address=self._address,
        )
        path = self._folder / broker_files.CONFIGURATION_NAME
        durable_files.write(path, broker_files.configuration(place).encode())
        return path

    def _await_start(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + START_LIMIT_S
        while not is_listening(self.port, self._address):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise BrokerAbsent(f"the broker mosquitto did not start; look into {self.log_path} for why")
            time.sleep(LOOK_EVERY_S)


def _program() -> str:
    # Debian puts it where only root's search path looks
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise BrokerAbsent("the broker mosquitto is not installed; run `apt install mosquitto`")
    return program
