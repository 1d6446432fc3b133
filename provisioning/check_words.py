"""What `check` says: every finding with its part, its state, what was found, the likely cause and the next step.

One table. `found` is a template for the measured values; causes and next steps are whole sentences, as they are read
aloud at the roadside at six in the morning. A finding that is fine has neither cause nor next step.
"""

import enum
from dataclasses import dataclass

from provisioning.checking import Measured, PartName, PartReport, PartState


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of one finding. Templates of `str.format`."""

    part: PartName
    state: PartState
    found: str
    cause: str = ""
    next_step: str = ""


_PASS, _WARN, _FAIL, _ABSENT = PartState.PASS, PartState.WARN, PartState.FAIL, PartState.ABSENT


class Finding(enum.Enum):
    """What can be found. The value is what is said of it."""

    # What the unit is.
    IDENTITY_GOOD = Words(
        PartName.IDENTITY, _PASS, "key and certificate are this unit's; {days_left:.0f} days left; the key lies in {kept}"
    )
    IDENTITY_ENDS_SOON = Words(
        PartName.IDENTITY, _WARN, "the certificate runs out in {days_left:.0f} days",
        "A certificate is made for a limited time, and most of this one's is over.",
        "Give the unit a new key with `kestrel-provision unit rotate` before that day.",
    )  # fmt: skip
    IDENTITY_EXPIRED = Words(
        PartName.IDENTITY, _FAIL, "the certificate ran out {days_over:.0f} days ago",
        "The unit lay in stock for too long, or its clock is wrong.",
        "Look at the part `time` first; if the date is right, give the unit a new key with "
        "`kestrel-provision unit rotate`.",
    )  # fmt: skip
    IDENTITY_NOT_YET = Words(
        PartName.IDENTITY, _FAIL, "the certificate is not valid yet by this unit's clock",
        "The unit's clock is behind, or that of the office was ahead when it made the certificate.",
        "Look at the part `time` first; if the date is right, have the office make the certificate again.",
    )  # fmt: skip
    IDENTITY_UNUSABLE = Words(
        PartName.IDENTITY, _FAIL, "the unit's key or certificate cannot be used: {detail}",
        "A file of the unit's folder is missing, damaged or of another unit, or the secure element does not answer.",
        "{hint}",
    )  # fmt: skip
    IDENTITY_UNJUDGED = Words(
        PartName.IDENTITY, _WARN, "key and certificate are this unit's; their dates cannot be judged",
        "The unit's clock is not set.",
        "Put the part `time` right first, then run `kestrel-provision check --only time,identity`.",
    )  # fmt: skip
    IDENTITY_HIDDEN = Words(
        PartName.IDENTITY, _WARN, "key and certificate could not be looked at: {detail}",
        "Only the service and root may look into the unit's folder.",
        "Run it again with `sudo`.",
    )  # fmt: skip

    # Where it keeps reads.
    DISK_GOOD = Words(
        PartName.DISK, _PASS,
        "{free_mb:,.0f} MB free, a durable write takes {write_ms:.0f} ms, the outbox opens ({waiting} waiting); "
        "the system's part is {root}; wear: {wear}",
    )  # fmt: skip
    DISK_SLOW = Words(
        PartName.DISK, _WARN, "a durable write takes {write_ms:.0f} ms, {limit_ms:.0f} at most",
        "The card is slow or worn, or something else writes to it at this moment.",
        "Run the check once more; if it stays slow, take a card of class A1 or better (industrial grade).",
    )  # fmt: skip
    DISK_FULL = Words(
        PartName.DISK, _FAIL, "{detail}",
        "Logs or foreign files fill the card, or it is smaller than it says.",
        "{hint}",
    )  # fmt: skip
    DISK_READ_ONLY = Words(
        PartName.DISK, _FAIL, "the unit's folder cannot be written ({detail})",
        "A worn card turns read-only by itself, and so does a file system that was damaged by a power cut.",
        "Look at `dmesg` for errors of mmcblk0; write a new card, and put the unit's folder on it.",
    )  # fmt: skip
    DISK_NOTED = Words(
        PartName.DISK, _WARN, "{detail}",
        "The unit's folder or the card is not as it was made.",
        "{hint}",
    )  # fmt: skip
    DISK_WORN = Words(
        PartName.DISK, _FAIL, "the card says that {wear} of its life is used",
        "Flash memory bears a limited number of writes.",
        "Write a new card, and put the unit's folder on it.",
    )  # fmt: skip
    OUTBOX_UNUSABLE = Words(
        PartName.DISK, _FAIL, "the outbox cannot be used: {detail}",
        "The service still runs and holds it, or the file was damaged.",
        "Stop the service with `sudo systemctl stop kestrel`; if that was it, check again, else {hint}.",
    )  # fmt: skip

    # What it lives on.
    METER_GOOD = Words(PartName.METER, _PASS, "the power meter answers: {values}")
    METER_ABSENT = Words(PartName.METER, _ABSENT, "this unit's configuration names no power meter")
    METER_FAULT = Words(
        PartName.METER, _FAIL, "the power meter does not answer as it should: {detail}",
        "Its cable to the header is loose, its line is missing in config.txt, or it has no supply.",
        "Check the four wires of the meter and `ls /sys/class/hwmon`; then {hint}.",
    )  # fmt: skip
    BATTERY_GOOD = Words(PartName.BATTERY, _PASS, "{battery_v:.2f} V, {battery_a:+.2f} A ({flow})")
    BATTERY_VOLTS_ONLY = Words(PartName.BATTERY, _PASS, "{battery_v:.2f} V; its current is not measured")
    BATTERY_ABSENT = Words(PartName.BATTERY, _ABSENT, "nothing measures the battery of this unit")
    BATTERY_UNSEEN = Words(
        PartName.BATTERY, _FAIL, "the battery cannot be judged, for the meter does not answer",
        "The power meter is at fault, and maybe nothing else.",
        "Put the part `meter` right first.",
    )  # fmt: skip
    BATTERY_LOW = Words(
        PartName.BATTERY, _WARN, "{battery_v:.2f} V, less than {least_v:.1f} V: a quarter full at most",
        "The battery was mounted without being charged, or the panel has given little for days.",
        "Charge it from a charger for LiFePO4 before you leave, or see that the panel charges it now.",
    )  # fmt: skip
    BATTERY_EMPTY = Words(
        PartName.BATTERY, _FAIL, "{battery_v:.2f} V, less than {least_v:.1f} V: empty",
        "The battery is discharged or one of its four cells is dead, or its fuse or a wire is broken.",
        "Measure at the battery's own poles: if it is the same there, charge or replace it, else check fuse and wires.",
    )  # fmt: skip
    BATTERY_HIGH = Words(
        PartName.BATTERY, _FAIL, "{battery_v:.2f} V, more than {most_v:.1f} V: more than four LiFePO4 cells bear",
        "The charge controller is set to lead-acid or to 24 V, or the battery's own protection has opened.",
        "Disconnect the panel, set the controller to LiFePO4 4S (12.8 V), connect the battery first and the panel last.",
    )  # fmt: skip
    BATTERY_REVERSED = Words(
        PartName.BATTERY, _FAIL,
        "{battery_a:+.2f} A flow out of the battery while the panel gives {panel_w:.1f} W, more than the unit takes",
        "The wires at the meter's battery shunt are the wrong way round, or the charge controller does not charge.",
        "Look whether the controller says that it charges: if so, swap the two wires at the shunt, else its fuse.",
    )  # fmt: skip
    PANEL_GOOD = Words(PartName.PANEL, _PASS, "{panel_v:.1f} V, {panel_w:.1f} W")
    PANEL_AT_NIGHT = Words(PartName.PANEL, _PASS, "{panel_w:.1f} W: it is too dark for more")
    PANEL_ABSENT = Words(PartName.PANEL, _ABSENT, "nothing measures the panel of this unit")
    PANEL_UNSEEN = Words(
        PartName.PANEL, _FAIL, "the panel cannot be judged, for the meter does not answer",
        "The power meter is at fault, and maybe nothing else.",
        "Put the part `meter` right first.",
    )  # fmt: skip
    PANEL_DARK = Words(
        PartName.PANEL, _FAIL, "{panel_w:.2f} W by day",
        "The panel's plug is open or reversed, the panel is covered, or its fuse is blown.",
        "Take the cover off, plug the panel in until it clicks, and check its polarity and fuse.",
    )  # fmt: skip
    PANEL_IDLE = Words(
        PartName.PANEL, _WARN, "{panel_w:.2f} W by day, and {panel_v:.1f} V: the panel is lit and nothing takes its power",
        "The battery is full, or the charge controller has switched off.",
        "Look at the controller: `full` is fine; if it shows an error, disconnect the panel, then the battery, connect "
        "the battery first.",
    )  # fmt: skip

    # How it talks.
    MODEM_GOOD = Words(
        PartName.MODEM, _PASS, "{technology}, registered ({registration}), connected, RSRP {rsrp_dbm:.0f} dBm ({reception})"
    )
    MODEM_NO_LEVEL = Words(
        PartName.MODEM, _PASS, "{technology}, registered ({registration}), connected, quality {quality:.0%}"
    )
    MODEM_WEAK = Words(
        PartName.MODEM, _WARN, "{technology}, connected, RSRP {rsrp_dbm:.0f} dBm, which is weak (below {least_dbm:.0f} dBm)",
        "The antenna is not screwed on or lies behind metal, or the cell is far away.",
        "Screw the antenna tight and mount it upright outside the box; else take a directional one, or another carrier.",
    )  # fmt: skip
    MODEM_ABSENT = Words(PartName.MODEM, _ABSENT, "this unit's configuration names no modem")
    MODEM_NOT_THERE = Words(
        PartName.MODEM, _FAIL, "no modem is found: {detail}",
        "Its plug or its supply is loose, or it is still starting (half a minute).",
        "Press the modem's plug in, look for its light, wait 30 s and check again.",
    )  # fmt: skip
    MODEM_SILENT = Words(
        PartName.MODEM, _FAIL, "the modem does not answer: {detail}",
        "Its firmware hangs, or ModemManager does not run.",
        "Take the modem's supply away for 10 s; if it stays silent: `sudo systemctl restart ModemManager`.",
    )  # fmt: skip
    MODEM_REFUSED = Words(
        PartName.MODEM, _FAIL, "the modem cannot be asked: {detail}",
        "The card was not installed to the end, or ModemManager is of another release than the system.",
        "Run `sudo kestrel-provision card install`, then check again.",
    )  # fmt: skip
    MODEM_BROKEN = Words(
        PartName.MODEM, _FAIL, "the modem says that it failed",
        "Its firmware did not come up with this SIM card, or it is broken.",
        "Take the SIM card out and the modem's supply away for 10 s, put both back; else replace the modem.",
    )  # fmt: skip
    SIM_MISSING = Words(
        PartName.MODEM, _FAIL, "the modem finds no SIM card",
        "There is none in it, it lies the wrong way round, or its tray is not pushed in.",
        "Take the supply away, push the SIM card in until it clicks (cut corner as drawn), and check again.",
    )  # fmt: skip
    SIM_BAD = Words(
        PartName.MODEM, _FAIL, "the modem cannot read the SIM card",
        "The card's contacts are dirty, or the card is broken.",
        "Wipe the contacts and put it back; else take another SIM card.",
    )  # fmt: skip
    SIM_LOCKED = Words(
        PartName.MODEM, _FAIL, "the SIM card wants a PIN or PUK",
        "It was delivered with its PIN switched on, or a wrong PIN was entered three times.",
        "Switch the PIN off in a telephone, or take another SIM card; three wrong PINs need the carrier's PUK.",
    )  # fmt: skip
    MODEM_DENIED = Words(
        PartName.MODEM, _FAIL, "the network refuses this SIM card",
        "The SIM card is not activated, its contract has ended, or it may not roam here.",
        "Call the carrier with the number printed on the SIM card, or take another one.",
    )  # fmt: skip
    MODEM_SEARCHING = Words(
        PartName.MODEM, _FAIL, "the modem is not registered with any network ({registration})",
        "There is no signal at this place, or the antenna is not connected.",
        "Screw the antenna on; try 2 m higher or 10 m aside, or another carrier's SIM card (`kestrel-provision survey`).",
    )  # fmt: skip
    MODEM_NO_BEARER = Words(
        PartName.MODEM, _FAIL, "{technology}, registered, RSRP {level}, but no data connection",
        "The access point name (APN) is missing or wrong, or the contract has no data.",
        "Set the carrier's APN: `sudo nmcli connection modify kestrel gsm.apn NAME`, then "
        "`sudo nmcli connection up kestrel`.",
    )  # fmt: skip

    # What it goes by.
    TIME_GOOD = Words(PartName.TIME, _PASS, "{utc} UTC, set by {source}{beside}")
    TIME_UNSET = Words(
        PartName.TIME, _WARN, "{utc} UTC, but nobody has set it since the start",
        "Neither a time server nor the cellular network has said the time yet.",
        "Put the part `modem` right and wait a minute; `timedatectl timesync-status` says what it waits for.",
    )  # fmt: skip
    TIME_1970 = Words(
        PartName.TIME, _FAIL, "the clock says {year}: nothing can be signed or checked with it",
        "The unit has no battery for its clock and has not heard the time since it was switched on.",
        "Put the part `modem` right and wait a minute; without a network set it by hand: "
        "`sudo timedatectl set-time 'YYYY-MM-DD HH:MM:SS'` (in UTC).",
    )  # fmt: skip
    TIME_DISPUTED = Words(
        PartName.TIME, _FAIL, "the time is not believed: {detail}",
        "A time server or the cell says the wrong time, or somebody set the clock by hand.",
        "Compare with your telephone: `timedatectl`; if the unit's is right now, restart it.",
    )  # fmt: skip
    TIME_OFF = Words(
        PartName.TIME, _WARN, "{utc} UTC is {offset_s:+.0f} s off the cellular network's time",
        "The time service has not caught up yet, or the cell is imprecise.",
        "Wait a minute and run `kestrel-provision check --only time`.",
    )  # fmt: skip

    # What stands around it.
    MACHINE_GOOD = Words(PartName.SYSTEM, _PASS, "{detail}")
    MACHINE_WARN = Words(
        PartName.SYSTEM, _WARN, "{detail}",
        "It is not at its best, or it could not be looked at from here.",
        "{hint}",
    )  # fmt: skip
    FIREWALL_OPEN = Words(
        PartName.FIREWALL, _FAIL, "{detail}",
        "The unit's rules are not loaded, or somebody has added others.",
        "{hint}",
    )  # fmt: skip
    SOCKETS_OPEN = Words(
        PartName.SOCKETS, _FAIL, "something listens to the network: {detail}",
        "A program was installed that a unit does not need.",
        "{hint}",
    )  # fmt: skip
    SYSTEM_OLD = Words(
        PartName.SYSTEM, _FAIL, "{detail}",
        "The card was written with a system that gets no fixes any more.",
        "{hint}",
    )  # fmt: skip
    NETWORKS_REFUSED = Words(
        PartName.NETWORKS, _FAIL, "{detail}",
        "The installation is damaged or not complete.",
        "{hint}",
    )  # fmt: skip

    # How it sees.
    CAMERA_GOOD = Words(
        PartName.CAMERA, _PASS, "{rate_hz:.1f} pictures a second, {missed} of {shots} missed, brightness {level:.0f} of 255"
    )
    CAMERA_NOT_THERE = Words(
        PartName.CAMERA, _FAIL, "the camera cannot be started: {detail}",
        "The ribbon cable is loose or the wrong way round, or another program has the camera.",
        "Switch the unit off, push the ribbon in straight with its contacts to the contacts, close both latches; then "
        "`rpicam-hello --list-cameras`.",
    )  # fmt: skip
    CAMERA_SILENT = Words(
        PartName.CAMERA, _FAIL, "the camera started and delivers no pictures: {detail}",
        "The ribbon cable has a bad contact, or the supply is too weak for the camera.",
        "Switch the unit off, seat the ribbon again at both ends, and check that the supply gives 5 V.",
    )  # fmt: skip
    CAMERA_FROZEN = Words(
        PartName.CAMERA, _FAIL, "the camera delivers the same picture again and again ({same} of {shots})",
        "The sensor or its driver hangs.",
        "Switch the unit off for 10 s; if it is the same again, replace the ribbon cable, then the camera.",
    )  # fmt: skip
    CAMERA_BLACK = Words(
        PartName.CAMERA, _FAIL, "the picture is black by day (brightness {level:.1f} of 255)",
        "The lens cap is on, the iris is shut, or the window is covered.",
        "Take the cap off, open the iris, and wipe the window.",
    )  # fmt: skip
    CAMERA_SLOW = Words(
        PartName.CAMERA, _FAIL, "{rate_hz:.1f} pictures a second in place of {asked_hz:.0f}",
        "Another camera than the IMX296 is connected, or something else uses up the processor.",
        "Check the type printed on the camera, and `top` for what else runs.",
    )  # fmt: skip
    CAMERA_LOSES = Words(
        PartName.CAMERA, _WARN, "{missed} of {shots} pictures were lost",
        "Something else uses up the processor, or the ribbon cable has a bad contact.",
        "End what else runs (`top`) and check again; if it stays, seat the ribbon cable again.",
    )  # fmt: skip
    CAMERA_LOSES_MANY = Words(
        PartName.CAMERA, _FAIL, "{missed} of {shots} pictures were lost",
        "The ribbon cable has a bad contact, or something else uses up the processor.",
        "Seat the ribbon cable again at both ends, end what else runs (`top`), and check again.",
    )  # fmt: skip
    FOCUS_GOOD = Words(PartName.FOCUS, _PASS, "edges are {blur_px:.2f} px soft, {most_px:.1f} at most")
    FOCUS_SOFT = Words(
        PartName.FOCUS, _FAIL, "edges are {blur_px:.2f} px soft, {most_px:.1f} at most: plates would blur",
        "The focus ring has moved, or the window is dirty or wet.",
        "Wipe the window; then turn the focus ring slowly with `kestrel-provision aim` until its focus is best, and "
        "tighten its screw.",
    )  # fmt: skip
    FOCUS_UNSEEN = Words(
        PartName.FOCUS, _WARN, "no edge in the picture from which the focus could be told",
        "It is too dark, or there is nothing but bare road in view.",
        "Look again by daylight, or judge it on plates with `kestrel-provision aim`.",
    )  # fmt: skip
    NO_PICTURES = Words(
        PartName.FOCUS, _FAIL, "cannot be judged, for the camera delivers no pictures that change",
        "The camera is at fault, and maybe nothing else.",
        "Put the part `camera` right first.",
    )  # fmt: skip
    EXPOSURE_GOOD = Words(
        PartName.EXPOSURE, _PASS,
        "asked for {short_us:.0f} and {long_us:.0f} us, got both, and the picture is {seen_ratio:.1f} times as bright",
    )  # fmt: skip
    EXPOSURE_NOT_TAKEN = Words(
        PartName.EXPOSURE, _FAIL, "asked for {asked_us:.0f} us, and the sensor says {reported_us:.0f} us",
        "Another program or an automatic control sets the exposure, or the driver is of another release.",
        "End other programs that use the camera; then `sudo apt full-upgrade` so that libcamera and picamera2 match.",
    )  # fmt: skip
    EXPOSURE_NOT_SEEN = Words(
        PartName.EXPOSURE, _FAIL,
        "the sensor says {short_us:.0f} and {long_us:.0f} us, but the picture is {seen_ratio:.1f} times as bright in "
        "place of {wanted_ratio:.1f}",
        "The sensor does not do what it says: its driver is of another release, or it is set to an external shutter.",
        "`sudo apt full-upgrade`, restart the unit and check again; if it is the same, replace the camera.",
    )  # fmt: skip
    EXPOSURE_DARK = Words(
        PartName.EXPOSURE, _WARN, "the sensor takes the exposures; too dark to see whether the picture follows",
        "It is night and the lamp does not light the scene, or the window is covered.",
        "Put the part `lamp` right first, or look again by daylight.",
    )  # fmt: skip
    LAMP_GOOD = Words(
        PartName.LAMP, _PASS, "the lit picture is {gain_levels:.1f} levels brighter than the dark one (signal to noise "
        "{signal_ratio:.0f})",
    )  # fmt: skip
    LAMP_ABSENT = Words(PartName.LAMP, _ABSENT, "this unit's configuration names no infrared lamp")
    LAMP_NOT_THERE = Words(
        PartName.LAMP, _FAIL, "the lamp cannot be switched: {detail}",
        "Another overlay or program holds its line, or python3-lgpio is not installed.",
        "Check capture.lamp_pin of the configuration and config.txt; then {hint}.",
    )  # fmt: skip
    LAMP_DROWNS = Words(
        PartName.LAMP, _WARN, "no difference between lit and dark picture in this light (signal to noise "
        "{signal_ratio:.1f}, {least_ratio:.0f} at least)",
        "Daylight is many times stronger than the lamp.",
        "Look again after dusk: `kestrel-provision check --only lamp`.",
    )  # fmt: skip
    LAMP_DARK = Words(
        PartName.LAMP, _FAIL, "the picture does not become brighter when the lamp is lit (signal to noise "
        "{signal_ratio:.1f}, {least_ratio:.0f} at least)",
        "The lamp's plug or fuse is open, the strobe wire to the camera is loose, or the lamp looks elsewhere.",
        "Look at the lamp through a telephone's camera, where it glows violet: if it is dark, check plug, fuse and strobe "
        "wire; if it glows, turn it to where the camera looks.",
    )  # fmt: skip

    # What wakes it.
    LINE_GOOD = Words(PartName.PIR, _PASS, "{edges} edges in {seconds:.0f} s; the line is not stuck")
    LINE_QUIET = Words(
        PartName.PIR, _PASS, "the line is quiet and not stuck ({seconds:.0f} s); `--wave 10` tries whether it answers"
    )
    LINE_ABSENT = Words(PartName.PIR, _ABSENT, "this unit's configuration does not name one")
    LINE_NOT_THERE = Words(
        PartName.PIR, _FAIL, "its line cannot be opened: {detail}",
        "Another overlay or program holds the line, or python3-lgpio is not installed.",
        "Check the pin in the configuration and config.txt; then {hint}.",
    )  # fmt: skip
    PIR_STUCK = Words(
        PartName.PIR, _FAIL, "the line stays high for {seconds:.0f} s",
        "The sensor looks at something warm that moves, its hold time is turned up, or its wires are swapped.",
        "Cover the sensor with your hand for 10 s: if the line stays high, turn its hold time down and check its wires.",
    )  # fmt: skip
    BEAM_STUCK = Words(
        PartName.BEAM, _FAIL, "the beam stays broken for {seconds:.0f} s",
        "The sender has no supply, or sender and receiver do not look at each other, or a leaf hangs between them.",
        "Look at the sender's light, wipe both windows, and turn the receiver until its light says that it sees the beam.",
    )  # fmt: skip
    RADAR_STUCK = Words(
        PartName.RADAR, _FAIL, "the line stays high for {seconds:.0f} s",
        "The radar sees something that moves all the time (a fan, leaves, a flag), or its wires are swapped.",
        "Turn it away from what moves, turn its sensitivity down, and check its wires.",
    )  # fmt: skip
    LINE_DEAD = Words(
        PartName.PIR, _FAIL, "no edge in {seconds:.0f} s while you waved",
        "The sensor has no supply (a PIR needs 30 s to warm up), its signal wire is loose, or it looks elsewhere.",
        "Check 5 V at the sensor and its signal wire to the pin of the configuration, and wave within its reach.",
    )  # fmt: skip
    LINE_CHATTERS = Words(
        PartName.PIR, _WARN, "{edges} edges in {seconds:.0f} s: the line chatters",
        "Its ground wire is loose, or the line runs beside the modem's antenna or the lamp's wires.",
        "Check the ground wire, lay the line apart from antenna and lamp, and check again.",
    )  # fmt: skip
    LID_GOOD = Words(PartName.LID, _PASS, "the contact says that the lid is shut")
    LID_ABSENT = Words(PartName.LID, _ABSENT, "this unit's configuration names no tamper contact")
    LID_OPEN = Words(
        PartName.LID, _FAIL, "the contact says that the lid is open: the unit would erase itself at its start",
        "The lid is not shut, the contact is out of place, or guard.tampered_when is the wrong way round.",
        "Shut the lid and check again BEFORE you start the service; else bend the contact until the lid holds it.",
    )  # fmt: skip
    LID_NOT_THERE = Words(
        PartName.LID, _FAIL, "the contact's line cannot be read: {detail}",
        "Another overlay or program holds the line, or python3-lgpio is not installed.",
        "Check guard.tamper_pin of the configuration and config.txt; then {hint}.",
    )  # fmt: skip

    # Whom it talks to.
    BROKER_GOOD = Words(
        PartName.BROKER, _PASS,
        "a sealed test read was acknowledged by the broker after {acknowledged_s:.1f} s and confirmed by the receiver "
        "after {confirmed_s:.1f} s",
    )  # fmt: skip
    BROKER_NO_NAME = Words(
        PartName.BROKER, _FAIL, "the broker's name {host} cannot be looked up",
        "There is no way to the internet (modem), or the name in the configuration is wrong.",
        "Put the part `modem` right first; if it passes, have the office check uplink.host.",
    )  # fmt: skip
    BROKER_NO_WAY = Words(
        PartName.BROKER, _FAIL, "the broker cannot be reached: {detail}",
        "There is no signal, the broker does not run, or a firewall lies between.",
        "Put the parts `modem` and `firewall` right first; if both pass, call the office: is the broker up?",
    )  # fmt: skip
    BROKER_TLS = Words(
        PartName.BROKER, _FAIL, "unit and broker do not accept each other's certificates: {detail}",
        "The unit is of another fleet, was revoked, or has a wrong clock, or somebody else answers at this address.",
        "Look at the parts `time` and `identity`; if both pass, have the office check this unit with "
        "`kestrel-provision fleet list`.",
    )  # fmt: skip
    BROKER_FORBIDS = Words(
        PartName.BROKER, _FAIL, "the broker does not let this unit in: {detail}",
        "The broker does not have the newest list of units.",
        "Have the office bring the fleet's broker files up to date and reload the broker, then check again.",
    )  # fmt: skip
    BROKER_REFUSES = Words(
        PartName.BROKER, _FAIL, "the broker did not take the test read: {detail}",
        "The broker is overloaded, set up otherwise than this fleet's files say, or too old.",
        "Have the office look into the broker's log at this minute, then check again.",
    )  # fmt: skip
    RECEIVER_AWAY = Words(
        PartName.BROKER, _FAIL,
        "the broker acknowledged the test read after {acknowledged_s:.1f} s, and no receiver confirmed it in "
        "{waited_s:.0f} s",
        "The receiver in the office does not run, or does not know this unit.",
        "Call the office: `python -m cloud receive` must run with the newest registry. Reads wait on the unit meanwhile.",
    )  # fmt: skip
    BROKER_BLOCKED = Words(
        PartName.BROKER, _FAIL, "the test read could not be sealed or kept: {detail}",
        "The key or the outbox of the unit cannot be used.",
        "Put the parts `identity` and `disk` right first.",
    )  # fmt: skip

    # Whatever else.
    PART_FAULT = Words(
        PartName.SYSTEM, _FAIL, "the look at it ended with a fault: {detail}",
        "The part or its driver does not answer as it should.",
        "Check its plugs, restart the unit, and check again; if it stays: {hint}.",
    )  # fmt: skip


_TEXTS_ONLY = {"detail", "hint", "values"}
"""Sentences, which are in what is said and no measured values."""


def said(finding: Finding, part: PartName | None = None, **values: Measured) -> PartReport:
    """Return the report of a finding with its values, of `part` if several parts have it in common.

    Raises KeyError for a value that the words need and nobody gave.
    """
    words = finding.value
    return PartReport(
        part=part or words.part,
        state=words.state,
        found=words.found.format(**values),
        cause=words.cause,
        next_step=words.next_step.format(**values) if "{" in words.next_step else words.next_step,
        measured={name: value for name, value in values.items() if name not in _TEXTS_ONLY},
    )


def halves(sentence: str) -> dict[str, Measured]:
    """Return what was wrong and what to do of a fault's sentence, whose halves a semicolon parts."""
    detail, _, hint = sentence.partition("; ")
    return {"detail": detail, "hint": hint or "report this sentence to the office"}


def line(one: PartReport) -> str:
    """Return a report for the terminal: a line, and under it cause and next step where there is something to do."""
    lines = [f"{one.state.upper():<6} {one.part:<9} {one.found}"]
    if one.next_step:
        lines += [f"{'':17}Why: {one.cause}", f"{'':17}Do:  {one.next_step}"]
    return "\n".join(lines) + "\n"
