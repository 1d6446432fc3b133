"""The two cells for real sockets, the TUN link and the TCP relay: what TCP meets in them, and that nothing is left."""

import array
import fcntl
import os
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware.board.linux import LinuxClock
from hw_sim.cell import Conditions, Coverage
from hw_sim.network_space import TUN
from hw_sim.tcp_relay import HEADER_BYTES, TcpRelay
from hw_sim.tun_cell import TunCell

CLOCK = LinuxClock()
SIOCOUTQ = 0x5411  # tcp(7): what is sent and not acknowledged
SPACE = Path("/proc/thread-self/ns/net")
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not os.access(TUN, os.W_OK), reason="needs root: network namespaces and TUN devices"
)
KINDS = [pytest.param(TunCell, marks=needs_root), TcpRelay]


class Ends:
    """A server beyond a cell, and whoever calls it from this side."""

    def __init__(self, cell):
        self.cell = cell
        with cell.at_broker():
            self.server = socket.create_server((cell.broker_address, 0))
        self.server.settimeout(10)
        self.port = cell.begin(self.server.getsockname()[1])
        self.opened = [self.server]

    def call(self, timeout_s=5.0):
        with self.cell.at_unit():
            made = socket.create_connection((self.cell.broker_address, self.port), timeout=timeout_s)
        self.opened.append(made)
        return made

    def pair(self):
        near = self.call()
        far, _ = self.server.accept()
        far.settimeout(5)
        self.opened.append(far)
        return near, far

    def close(self):
        for one in self.opened:
            one.close()


@contextmanager
def ends(kind):
    with kind(1) as cell:
        made = Ends(cell)
        try:
            yield made
        finally:
            made.close()


def heard(end, count):
    """Read so many bytes and return how many seconds that took."""
    began_s = CLOCK.monotonic_s()
    while count > 0:
        data = end.recv(65536)
        assert data, "the other end has closed"
        count -= len(data)
    return CLOCK.monotonic_s() - began_s


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_bearer_whoever_calls_is_told_at_once(kind):
    with ends(kind) as both:
        began_s = CLOCK.monotonic_s()
        with pytest.raises(OSError, match=r"unreachable|refused"):
            both.call()
        assert CLOCK.monotonic_s() - began_s < 1.0
        both.cell.apply(Conditions())
        both.pair()


@pytest.mark.parametrize("kind", KINDS)
def test_delay_and_rate_are_what_was_asked_and_bytes_are_counted(kind):
    with ends(kind) as both:
        both.cell.apply(Conditions(delay_s=0.1, rate_bit_s=1e6))
        near, far = both.pair()
        near.sendall(b"x")
        assert 0.09 <= heard(far, 1) <= 0.5
        before_up, before_down = both.cell.counted()
        sender = threading.Thread(target=near.sendall, args=(bytes(100_000),))
        sender.start()
        assert 0.8 <= heard(far, 100_000) <= 3.0  # 0.8 s on the line alone
        sender.join()
        up, down = both.cell.counted()
        assert 100_000 < up - before_up < 112_000
        assert 0 < down - before_down < 12_000


@pytest.mark.parametrize("kind", KINDS)
def test_loss_costs_time_and_no_byte(kind):
    with ends(kind) as both:
        both.cell.apply(Conditions(delay_s=0.01, loss_ratio=0.1))
        near, far = both.pair()
        sent = os.urandom(200_000)
        sender = threading.Thread(target=near.sendall, args=(sent,))
        sender.start()
        got = b""
        far.settimeout(20)
        while len(got) < len(sent):
            got += far.recv(65536)
        sender.join()
        assert got == sent


@pytest.mark.parametrize("kind", KINDS)
def test_what_hangs_while_there_is_silence_goes_on_after_it(kind):
    with ends(kind) as both:
        both.cell.apply(Conditions())
        near, far = both.pair()
        both.cell.apply(Conditions(coverage=Coverage.SILENT))
        near.sendall(b"x")
        far.settimeout(0.5)
        with pytest.raises(TimeoutError):
            far.recv(1)
        both.cell.apply(Conditions())
        far.settimeout(10)
        assert far.recv(1) == b"x"


@pytest.mark.parametrize("kind", KINDS)
def test_a_nat_that_forgets_resets_or_is_silent(kind):
    with ends(kind) as both:
        both.cell.apply(Conditions())
        near, far = both.pair()
        both.cell.reset_nat(silent=False)
        near.settimeout(3)
        with pytest.raises(ConnectionResetError):
            answer_to(near)
        near, far = both.pair()  # a new connection is known again
        both.cell.reset_nat(silent=True)
        near.sendall(b"x")
        far.settimeout(0.7)
        with pytest.raises(TimeoutError):
            far.recv(1)
        near.settimeout(0.3)
        with pytest.raises(TimeoutError):
            near.recv(1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_black_hole_takes_connections_and_bytes_acknowledges_them_and_forgets(kind):
    with ends(kind) as both:
        both.cell.apply(Conditions(coverage=Coverage.BLACK_HOLE))
        near = both.call()
        near.sendall(bytes(5000))
        deadline_s = CLOCK.monotonic_s() + 5.0
        while unacknowledged(near) and CLOCK.monotonic_s() < deadline_s:
            threading.Event().wait(0.02)
        assert unacknowledged(near) == 0
        both.server.settimeout(0.3)
        with pytest.raises(TimeoutError):
            both.server.accept()
        both.cell.apply(Conditions())
        near.settimeout(0.5)
        with pytest.raises(OSError, match=r"timed out|reset"):  # what was forgotten does not come back
            near.recv(1)


def unacknowledged(end):
    waiting = array.array("i", [0])
    fcntl.ioctl(end, SIOCOUTQ, waiting)
    return waiting[0]


@pytest.mark.parametrize("silent", [True, False])
def test_the_relay_cuts_after_just_so_many_bytes(silent):
    with ends(TcpRelay) as both:
        both.cell.apply(Conditions())
        both.cell.cut_after(up_bytes=1500, silent=silent)
        near, far = both.pair()
        near.sendall(bytes(4000))
        assert heard(far, 1500) < 5.0
        far.settimeout(0.5)
        with pytest.raises(OSError, match=r"timed out|reset"):
            far.recv(1)
        assert both.cell.cuts == 1
        near, far = both.pair()  # the next one is whole
        near.sendall(bytes(4000))
        heard(far, 4000)


def test_the_relays_estimate_of_headers_is_one_each_way_for_each_segment():
    with ends(TcpRelay) as both:
        both.cell.apply(Conditions())
        near, far = both.pair()
        near.sendall(bytes(100))
        heard(far, 100)
        assert both.cell.counted() == (100 + HEADER_BYTES, HEADER_BYTES)


@needs_root
def test_nothing_is_left_of_a_tun_cell():
    descriptors, space = descriptors_of(os.getpid()), SPACE.readlink()
    with TunCell(1) as cell:
        assert len(forwarders()) == 1
        with cell.at_unit():
            assert SPACE.readlink() != space
    assert SPACE.readlink() == space
    assert descriptors_of(os.getpid()) == descriptors
    assert forwarders() == []


def answer_to(end):
    end.sendall(b"x")
    return end.recv(1)


def descriptors_of(process):
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def forwarders():
    """Which forwarders this process has started that have not ended."""
    own = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
                is_forwarder = b"hw_sim.tun_forwarder" in (path / "cmdline").read_bytes()
            except OSError:  # it has ended meanwhile
                continue
            own += [path.name] if is_forwarder and parent == os.getpid() else []
    return own
