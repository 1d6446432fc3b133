"""Does the broker let a unit in? Asked of the broker itself, by knocking: not of what its files should say.

A unit that is out is knocked for with its own certificate where its key is at hand. Where it is not, the authority
makes a certificate with the very serial number that was revoked, because a list of revoked certificates (RFC 5280,
section 5.1) names nothing else; its key lives for one call. A closed door proves something only if it opens for
somebody: the office knocks too.
"""

import datetime as dt
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from cloud import fleet_folder
from cloud.broker_files import OPERATOR_USER
from cloud.registry import Registry, State
from firmware.board.mqtt_session import SESSION_EXPIRY_S
from firmware.board.tls import unreachable
from firmware.faults import ConfigRejected, KestrelError
from provisioning.office_tls import tls_as

ANSWER_LIMIT_S: Final = 10.0
ALERT_LIMIT_S: Final = 0.3
SETTLE_S: Final = 5.0  # Mosquitto reads its lists in its own time after SIGHUP
LOOK_EVERY_S: Final = 0.1
CONNACK: Final = 0x20
PACKET_BYTES_MAX: Final = 128
BUSY: Final = {0x88, 0x89, 0x97, 0x9F}
"""Reason codes of a broker that lets nobody in just now (MQTT 5, section 3.2.2.2)."""

DISCONNECT: Final = b"\xe0\x00"
CLOSED: Final = "connection closed"
WORDLESS_AT_MOST: Final = 5

_ALERT: Final = re.compile(r"ALERT_([A-Z_]+)")


class NotProven(KestrelError):
    """The broker lets a unit in that should be out, or out that should be in, or nobody can tell. Says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the broker did with one who knocked; `words` are its own."""

    is_in: bool
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How a unit was refused: with what it was knocked for, and in which words."""

    with_own_key: bool
    serials: int
    words: str


def refused(fleet_path: Path, device_id: str, now: dt.datetime, own: ssl.SSLContext | None = None) -> Refusal:
    """Return how the fleet's broker refuses a unit that is out, by every certificate that it ever had.

    `own` is TLS with its own certificate. Raises NotProven, ConfigRejected and OSError.
    """
    shared = fleet_folder.load(fleet_path)
    unit = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).unit(device_id)
    at = (shared.host, shared.port)
    if unit.state is State.ACTIVE:
        raise ConfigRejected(
            f"{device_id} is active, and the broker lets it in as it should; to shut it out, do `kestrel-provision "
            "fleet revoke`"
        )
    _office_gets_in(fleet_path, at, now)
    knocks: list[Callable[[], Answer]] = [] if own is None else [lambda: knock(*at, own, device_id)]
    for serial in unit.certificate_serials:
        made = tls_as(fleet_path, device_id, now, serial=int(serial, 16))
        knocks.append(lambda made=made: knock(*at, made, device_id))  # type: ignore[misc]
    deadline_s = time.monotonic() + SETTLE_S
    answers = [_until_refused(one, deadline_s) for one in knocks]
    if any(answer.is_in for answer in answers):
        raise NotProven(
            f"the broker at {at[0]} port {at[1]} still lets {device_id} in; bring it the lists of "
            f"{fleet_path / fleet_folder.BROKER_FOLDER}, let it read them with `systemctl reload mosquitto`, and then "
            f"do `kestrel-provision fleet prove {fleet_path} {device_id}`"
        )
    _office_gets_in(fleet_path, at, now)
    return Refusal(
        with_own_key=own is not None,
        serials=len(unit.certificate_serials),
        words=", ".join(sorted({answer.words for answer in answers})),
    )


def admitted(fleet_path: Path, device_id: str, own: ssl.SSLContext) -> None:
    """Return if the fleet's broker lets the unit in with the certificate of `own`. Raises NotProven."""
    shared = fleet_folder.load(fleet_path)
    answer = knock(shared.host, shared.port, own, device_id)
    if not answer.is_in:
        raise NotProven(
            f"the broker at {shared.host} port {shared.port} does not let {device_id} in with its new certificate "
            f"({answer.words}); look at the broker's log, and check its clock and its fleet-ca.crt"
        )


def knock(host: str, port: int, tls: ssl.SSLContext, name: str) -> Answer:
    """Connect as the client `name`, and hang up; whoever is there under this name is sent away for a moment.

    With TLS 1.3 a broker judges a certificate after our side of the handshake is done: its refusal comes where CONNACK
    should be (RFC 8446, section 4.4.2.4 and appendix E.1). Raises NotProven if the broker does not answer.
    """
    try:
        with socket.create_connection((host, port), timeout=ANSWER_LIMIT_S) as plain:
            connection = tls.wrap_socket(plain, server_hostname=host)
    except (OSError, UnicodeError) as error:
        raise NotProven(f"the broker could not be asked: {unreachable(host, port, error).reason}") from error
    with connection:
        try:
            if _is_closed(connection):
                return Answer(is_in=False, words=CLOSED)
            connection.sendall(_connect_packet(name))
            answer = connection.recv(PACKET_BYTES_MAX)
            if len(answer) < 4 or answer[0] != CONNACK:
                return Answer(is_in=False, words=CLOSED)
            connection.sendall(DISCONNECT)
        except TimeoutError as error:
            raise NotProven(
                f"the broker at {host} port {port} took the call and said nothing; look at its log"
            ) from error
        except ssl.SSLError as error:
            alert = _ALERT.search(error.reason or "")
            return Answer(is_in=False, words=alert[1].replace("_", " ").lower() if alert else CLOSED)
        except OSError:
            return Answer(is_in=False, words=CLOSED)
    return _judged(host, port, answer[3])


def _is_closed(connection: ssl.SSLSocket) -> bool:
    """Wait a moment for a refusal: one that meets what we send is reset, and its reason is lost. Raises OSError."""
    connection.settimeout(ALERT_LIMIT_S)
    try:
        return not connection.recv(PACKET_BYTES_MAX)
    except TimeoutError:
        return False
    finally:
        connection.settimeout(ANSWER_LIMIT_S)


def _judged(host: str, port: int, code: int) -> Answer:
    if code in BUSY:
        raise NotProven(f"the broker at {host} port {port} lets nobody in just now; do this again in a minute")
    try:
        words = str(ReasonCode(PacketTypes.CONNACK, identifier=code)).lower()
    except KeyError:
        words = f"reason code {code:#04x}"
    return Answer(is_in=code == 0, words=words)


def _connect_packet(name: str) -> bytes:
    """Return CONNECT (MQTT 5, section 3.1) that goes on with the session of `name` and leaves it as a unit would."""
    properties = b"\x11" + SESSION_EXPIRY_S.to_bytes(4, "big")
    identifier = name.encode()
    body = b"\x00\x04MQTT\x05\x00\x00\x3c" + bytes([len(properties)]) + properties
    body += len(identifier).to_bytes(2, "big") + identifier
    return bytes([0x10, len(body)]) + body


def _office_gets_in(fleet_path: Path, at: tuple[str, int], now: dt.datetime) -> None:
    answer = knock(*at, tls_as(fleet_path, OPERATOR_USER, now), OPERATOR_USER)
    if not answer.is_in:
        raise NotProven(
            f"the broker at {at[0]} port {at[1]} does not let the office in either ({answer.words}), which proves "
            "nothing of the unit; check that its fleet-ca.crt and fleet-ca.crl are of this fleet, and its clock"
        )


def _until_refused(knock_once: Callable[[], Answer], deadline_s: float) -> Answer:
    """Knock until the broker refuses and says why; its lists may be on the way, and an alert may be overtaken."""
    answer, wordless = knock_once(), 0
    while (answer.is_in and time.monotonic() < deadline_s) or (answer.words == CLOSED and wordless < WORDLESS_AT_MOST):
        wordless += not answer.is_in
        time.sleep(LOOK_EVERY_S)
        answer = knock_once()
    return answer
