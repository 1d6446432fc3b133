"""What is asked of the cellular modem, and what it says: records as of `firmware.records`, of one part only."""

import enum
from dataclasses import dataclass


class ModemState(enum.StrEnum):
    """How far a modem has got, in the words of ModemManager (MMModemState), from broken to connected."""

    FAILED = "failed"
    UNKNOWN = "unknown"
    INITIALIZING = "initializing"
    LOCKED = "locked"
    DISABLED = "disabled"
    DISABLING = "disabling"
    ENABLING = "enabling"
    ENABLED = "enabled"
    SEARCHING = "searching"
    REGISTERED = "registered"
    DISCONNECTING = "disconnecting"
    CONNECTING = "connecting"
    CONNECTED = "connected"


class Registration(enum.StrEnum):
    """What the network says to a modem (3GPP TS 27.007, +CEREG)."""

    IDLE = "idle"
    HOME = "home"
    SEARCHING = "searching"
    DENIED = "denied"
    UNKNOWN = "unknown"
    ROAMING = "roaming"
    LIMITED = "limited"  # SMS or emergency calls only


class AccessTechnology(enum.StrEnum):
    """By which generation of network a modem is served."""

    NONE = "none"
    GSM = "gsm"
    UMTS = "umts"
    LTE = "lte"
    LTE_M = "lte-m"
    NB_IOT = "nb-iot"
    NR5G = "nr5g"
    OTHER = "other"


class CardState(enum.StrEnum):
    """How the SIM card is, as far as the modem tells."""

    UNKNOWN = "unknown"
    READY = "ready"
    MISSING = "missing"
    BAD = "bad"
    LOCKED = "locked"  # it wants a PIN or PUK


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemStatus:
    """What a modem said of itself at monotonic `at_s`. None: it does not tell.

    There is no field for what names subscriber or device (own number, IMEI, IMSI, ICCID), and there must be none.
    """

    at_s: float
    state: ModemState
    registration: Registration
    technology: AccessTechnology
    operator_code: str  # MCC and MNC, five or six digits; empty while not registered
    quality_ratio: float
    rssi_dbm: float | None
    rsrp_dbm: float | None
    rsrq_db: float | None
    is_connected: bool  # a bearer is
    sent_bytes: int | None  # of the bearer's present connection
    received_bytes: int | None
    network_utc_ms: int | None
    card: CardState = CardState.UNKNOWN


class ModemOrder(enum.StrEnum):
    """What a modem can be asked."""

    LOOK = "look"
    RECONNECT = "reconnect"  # end the bearer's connection and make it anew
    RESET = "reset"


class ModemFlaw(enum.StrEnum):
    """In which way an order came to nothing."""

    ABSENT = "absent"  # there is no modem
    SILENT = "silent"  # no answer in time, or nobody there to ask
    REFUSED = "refused"
    NONSENSE = "nonsense"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemDone:
    """An order was carried out. Whether it has helped is for the broker's acknowledgement to say."""

    order: ModemOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemTrouble:
    """An order came to nothing. The hint tells a technician what to check."""

    order: ModemOrder
    flaw: ModemFlaw
    hint: str


ModemEvent = ModemStatus | ModemDone | ModemTrouble
