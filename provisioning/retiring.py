"""Retiring a unit: from afar by the fleet's signed command, or by hand with the unit's folder before one.

The office calls the broker as `operator`, with a certificate that lives for one command. A unit that is off line hears
the command when it comes back, if that is within a day.
"""

import contextlib
import datetime as dt
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions

from cloud import fleet_folder
from cloud.broker_files import OPERATOR_USER
from cloud.fleet_folder import Fleet
from cloud.registry import Registry, State
from firmware import config, erasure, identity, key_files
from firmware.board.mqtt_loop import move_bytes, prepare_socket, properties_of
from firmware.board.pkcs11_token import key_store, key_store_in
from firmware.board.tls import tls_context, unreachable
from firmware.faults import ConfigRejected, DocumentRejected, KestrelError
from firmware.retirement import Cause, RetireCommand, RetiredNotice, key_hash, sign_command, verify_notice
from firmware.topics import command_topic, retired_topic
from provisioning import revocation
from provisioning.erase_proof import Erasure, Witness
from provisioning.office_tls import tls_as

CONNECT_LIMIT_S: Final = 15.0
COMMAND_EXPIRY_S: Final = 7 * 86_400
LOOK_EVERY_S: Final = 0.2
PACKET_BYTES_MAX: Final = 4096  # a notice is below 512 bytes, and nothing else comes


class BrokerDeaf(KestrelError):
    """The broker cannot be called, or does not take the command. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredByHand:
    """A unit that was erased here: what was found afterwards, and TLS as it had it, to knock at the broker with."""

    device_id: str
    erased: Erasure
    own: ssl.SSLContext | None = field(repr=False)


def command(fleet_path: Path, device_id: str, now: dt.datetime, *, wait_s: float) -> RetiredNotice | None:
    """Tell a unit to erase itself; return its last word, or None if it did not come within `wait_s`.

    Raises BrokerDeaf, and ConfigRejected for files and units that are not what they should be, or are active no more.
    """
    shared = fleet_folder.load(fleet_path)
    entry = Registry(fleet_path / fleet_folder.REGISTRY_FOLDER).unit(device_id)
    if entry.state is not State.ACTIVE:
        raise ConfigRejected(
            f"{device_id}: the unit is {entry.state} already, and the broker tells it nothing more; destroy its card "
            "if you have it"
        )
    unit_keys = [key for key, _ in entry.verifying_keys()]  # it may not have installed its newest yet
    retirement_key, issued_utc_ms = fleet_folder.retirement_key(fleet_path), round(now.timestamp() * 1000)
    documents = [
        sign_command(
            RetireCommand(device_id=device_id, key_hash=key_hash(key), issued_utc_ms=issued_utc_ms), retirement_key
        )
        for key in unit_keys
    ]
    tls = tls_as(fleet_path, OPERATOR_USER, now)
    return _Call(shared, tls, device_id, unit_keys).make(documents, wait_s)


def by_hand(fleet_path: Path, unit_folder: Path, reason: str, now: dt.datetime) -> RetiredByHand:
    """Take the unit in `unit_folder` out of the fleet, erase it, and look that nothing of its key is left.

    The fleet's side comes first: a power cut leaves a unit that nobody listens to, and the same command goes on.
    Raises ConfigRejected if it is no unit of this fleet, Retired if it is one no more, DeviceFault (STORAGE_REFUSED,
    also if something is left; KEY_UNUSABLE), and OSError.
    """
    with erasure.unless_retired(unit_folder, key_store_in):  # its first lines go on with what a power cut left
        settings = config.load(unit_folder / identity.CONFIG_NAME)
        keys = key_store(settings.token, unit_folder)
    if settings.seal.retirement_key != fleet_folder.load(fleet_path).retirement_key:
        raise ConfigRejected(f"{unit_folder}: the unit is of another fleet; name the fleet's own folder")
    own = None
    with contextlib.suppress(ConfigRejected):  # half of a unit is erased all the same
        own = unit_tls(unit_folder)
    revocation.end(fleet_path, settings.device_id, State.RETIRED, reason, now)
    with Witness(unit_folder, settings.token) as witness:
        erasure.erase(unit_folder, Cause.TECHNICIAN, keys)
        erased = witness.look()
    return RetiredByHand(device_id=settings.device_id, erased=erased, own=own)


def unit_tls(unit_folder: Path) -> ssl.SSLContext:
    """Return TLS with the certificate and key of the unit in `unit_folder`.

    It lives in memory: whoever has it can knock as the unit after its files are gone. Raises ConfigRejected if they are
    not whole.
    """
    certificate = identity.load_certificate(unit_folder / identity.CERTIFICATE_NAME)
    key_path = key_files.KeyFiles(unit_folder).path_of(identity.public_key_of(certificate))
    if key_path is None:
        raise ConfigRejected(f"{unit_folder / identity.CERTIFICATE_NAME}: its key is gone; {key_files.MAKE_AGAIN}")
    return tls_context(unit_folder / identity.AUTHORITY_NAME, unit_folder / identity.CERTIFICATE_NAME, key_path)


class _Call:
    """One call of the broker: subscribe to the unit's last word, then send the command."""

    def __init__(
        self, shared: Fleet, tls: ssl.SSLContext, device_id: str, unit_keys: Sequence[Ed25519PublicKey]
    ) -> None:
        self._shared = shared
        self._device_id = device_id
        self._unit_keys = unit_keys
        self._is_hearing = False
        self._taken = 0
        self._refusal = ""
        self._notice: RetiredNotice | None = None
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=OPERATOR_USER,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.tls_set_context(tls)
        self._client.connect_timeout = CONNECT_LIMIT_S
        self._client.on_socket_open = prepare_socket
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message

    def make(self, documents: Sequence[bytes], wait_s: float) -> RetiredNotice | None:
        """Send the commands; return the unit's last word or, after `wait_s`, None. Raises BrokerDeaf."""
        host, port = self._shared.host, self._shared.port
        try:
            self._client.connect(host, port, clean_start=True)
        except (OSError, UnicodeError) as error:
            raise BrokerDeaf(unreachable(host, port, error).reason) from error
        try:
            if not self._serve(lambda: self._is_hearing, CONNECT_LIMIT_S):
                raise BrokerDeaf(f"{host} took the connection and then said nothing; look at the broker's log")
            properties = properties_of(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = COMMAND_EXPIRY_S
            for document in documents:
                self._client.publish(command_topic(self._device_id), document, qos=1, properties=properties)
            if not self._serve(lambda: self._taken == len(documents), CONNECT_LIMIT_S):
                raise BrokerDeaf(f"{host} did not take the command; look at the broker's log")
            self._serve(lambda: self._notice is not None, wait_s)
        finally:
            self._hang_up()
        return self._notice

    def _serve(self, is_done: Any, limit_s: float) -> bool:
        deadline_s = time.monotonic() + limit_s
        while not is_done() and time.monotonic() < deadline_s:
            status = move_bytes(self._client, LOOK_EVERY_S, packet_bytes_max=PACKET_BYTES_MAX)
            if self._refusal or status != MQTTErrorCode.MQTT_ERR_SUCCESS:
                detail = self._refusal or "it closed the connection"
                hint = "check that its access list is of this release and its certificates are of this fleet"
                raise BrokerDeaf(f"{self._shared.host} does not let the operator do that ({detail}); {hint}")
        return bool(is_done())

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._client.disconnect()
        connection = self._client.socket()
        if connection is not None:
            connection.close()

    def _on_connect(self, client: Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refusal = str(reason)
        else:
            client.subscribe([(retired_topic(self._device_id), SubscribeOptions(qos=1))])

    def _on_subscribe(self, _client: Client, _userdata: Any, _mid: int, reasons: list[Any], _properties: Any) -> None:
        self._refusal = next((str(reason) for reason in reasons if reason.is_failure), self._refusal)
        self._is_hearing = True

    def _on_publish(self, _client: Client, _userdata: Any, _mid: int, reason: Any, _properties: Any) -> None:
        self._refusal = str(reason) if reason.is_failure else self._refusal
        self._taken += 1

    def _on_message(self, _client: Client, _userdata: Any, message: Any) -> None:
        with contextlib.suppress(DocumentRejected):  # not the unit's word: go on waiting for it
            self._notice = verify_notice(bytes(message.payload), self._unit_keys, self._device_id)
