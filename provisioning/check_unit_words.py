"""What `check` says of the unit itself: identity, disk, power, modem, time and machine. `check_words` has the rest."""

from typing import Final

from provisioning.check_findings import Finding, Words
from provisioning.checking import PartName, PartState

_PASS, _WARN, _FAIL, _ABSENT = PartState.PASS, PartState.WARN, PartState.FAIL, PartState.ABSENT

# fmt: off
UNIT_WORDS: Final[dict[Finding, Words]] = {

    # What the unit is.
    Finding.IDENTITY_GOOD: Words(
        PartName.IDENTITY,
        _PASS,
        "key and certificate are this unit's; {days_left:.0f} days left; the key lies in {kept}",
    ),
    Finding.IDENTITY_ENDS_SOON: Words(
        PartName.IDENTITY, _WARN, "the certificate runs out in {days_left:.0f} days",
        "A certificate is made for a limited time, and most of this one's is over.",
        "Give the unit a new key with `kestrel-provision unit rotate` before that day.",
    ),
    Finding.IDENTITY_EXPIRED: Words(
        PartName.IDENTITY, _FAIL, "the certificate ran out {days_over:.0f} days ago",
        "The unit lay in stock for too long, or its clock is wrong.",
        "Look at the part `time` first; if the date is right, give the unit a new key with "
        "`kestrel-provision unit rotate`.",
    ),
    Finding.IDENTITY_NOT_YET: Words(
        PartName.IDENTITY, _FAIL, "the certificate is not valid yet by this unit's clock",
        "The unit's clock is behind, or that of the office was ahead when it made the certificate.",
        "Look at the part `time` first; if the date is right, have the office make the certificate again.",
    ),
    Finding.IDENTITY_UNUSABLE: Words(
        PartName.IDENTITY, _FAIL, "the unit's key or certificate cannot be used: {detail}",
        "A file of the unit's folder is missing, damaged or of another unit, or the secure element does not answer.",
        "{hint}",
    ),
    Finding.IDENTITY_UNJUDGED: Words(
        PartName.IDENTITY, _WARN, "key and certificate are this unit's; their dates cannot be judged",
        "The unit's clock is not set.",
        "Put the part `time` right first, then run `kestrel-provision check --only time,identity`.",
    ),
    Finding.IDENTITY_HIDDEN: Words(
        PartName.IDENTITY, _WARN, "key and certificate could not be looked at: {detail}",
        "Only the service and root may look into the unit's folder.",
        "Run it again with `sudo`.",
    ),

    # Where it keeps reads.
    Finding.DISK_GOOD: Words(
        PartName.DISK, _PASS,
        "{free_mb:,.0f} MB free, a durable write takes {write_ms:.0f} ms, the outbox opens ({waiting} waiting); "
        "the system's part is {system}; wear: {wear}",
    ),
    Finding.DISK_SLOW: Words(
        PartName.DISK, _WARN, "a durable write takes {write_ms:.0f} ms, {limit_ms:.0f} at most",
        "The card is slow or worn, or something else writes to it at this moment.",
        "Run the check once more; if it stays slow, take a card of class A1 or better (industrial grade).",
    ),
    Finding.DISK_FULL: Words(
        PartName.DISK, _FAIL, "{detail}",
        "Logs or foreign files fill the card, or it is smaller than it says.",
        "{hint}",
    ),
    Finding.DISK_READ_ONLY: Words(
        PartName.DISK, _FAIL, "the unit's folder cannot be written ({detail})",
        "A worn card turns read-only by itself, and so does a file system that was damaged by a power cut.",
        "Look at `dmesg` for errors of mmcblk0; write a new card, and put the unit's folder on it.",
    ),
    Finding.DISK_NOTED: Words(
        PartName.DISK, _WARN, "{detail}",
        "The unit's folder or the card is not as it was made.",
        "{hint}",
    ),
    Finding.DISK_WORN: Words(
        PartName.DISK, _FAIL, "the card says that {wear} of its life is used",
        "Flash memory bears a limited number of writes.",
        "Write a new card, and put the unit's folder on it.",
    ),
    Finding.OUTBOX_UNUSABLE: Words(
        PartName.DISK, _FAIL, "the outbox cannot be used: {detail}",
        "The service or another tool still has it open, or the file was damaged.",
        "{hint}",
    ),

    # What it lives on.
    Finding.METER_GOOD: Words(PartName.METER, _PASS, "the power meter answers: {values}"),
    Finding.METER_ABSENT: Words(PartName.METER, _ABSENT, "this unit's configuration names no power meter"),
    Finding.METER_FAULT: Words(
        PartName.METER, _FAIL, "the power meter does not answer as it should: {detail}",
        "Its cable to the header is loose, its line is missing in config.txt, or it has no supply.",
        "Check the four wires of the meter and `ls /sys/class/hwmon`; then {hint}.",
    ),
    Finding.BATTERY_GOOD: Words(PartName.BATTERY, _PASS, "{battery_v:.2f} V, {battery_a:+.2f} A ({flow})"),
    Finding.BATTERY_VOLTS_ONLY: Words(PartName.BATTERY, _PASS, "{battery_v:.2f} V; its current is not measured"),
    Finding.BATTERY_ABSENT: Words(PartName.BATTERY, _ABSENT, "nothing measures the battery of this unit"),
    Finding.BATTERY_UNSEEN: Words(
        PartName.BATTERY, _FAIL, "the battery cannot be judged, for the meter does not answer",
        "The power meter is at fault, and maybe nothing else.",
        "Put the part `meter` right first.",
    ),
    Finding.BATTERY_LOW: Words(
        PartName.BATTERY, _WARN, "{battery_v:.2f} V, less than {limit_v:.1f} V: a quarter full at most",
        "The battery was mounted without being charged, or the panel has given little for days.",
        "Charge it from a charger for LiFePO4 before you leave, or see that the panel charges it now.",
    ),
    Finding.BATTERY_EMPTY: Words(
        PartName.BATTERY, _FAIL, "{battery_v:.2f} V, less than {limit_v:.1f} V: empty",
        "The battery is discharged or one of its cells is dead, or its fuse or a wire is broken.",
        "Measure at the battery's own poles: if it is the same there, charge or replace it, else check fuse and wires.",
    ),
    Finding.BATTERY_HIGH: Words(
        PartName.BATTERY, _FAIL, "{battery_v:.2f} V, more than {limit_v:.1f} V: more than its LiFePO4 cells bear",
        "The charge controller is set to lead-acid or to 24 V, or the battery's own protection has opened.",
        "Disconnect the panel, set the controller to LiFePO4 (12.8 V for four cells), connect the battery first and "
        "the panel last.",
    ),
    Finding.BATTERY_REVERSED: Words(
        PartName.BATTERY, _FAIL,
        "{battery_a:+.2f} A flow out of the battery while the panel gives {panel_w:.1f} W, more than the unit takes",
        "The wires at the meter's battery shunt are the wrong way round, or the charge controller does not charge.",
        "Look whether the controller says that it charges: if it does, swap the two wires at the shunt, else check "
        "its fuse.",
    ),
    Finding.PANEL_GOOD: Words(PartName.PANEL, _PASS, "{panel_v:.1f} V, {panel_w:.1f} W"),
    Finding.PANEL_AT_NIGHT: Words(PartName.PANEL, _PASS, "{panel_w:.1f} W: it is too dark for more"),
    Finding.PANEL_ABSENT: Words(PartName.PANEL, _ABSENT, "nothing measures the panel of this unit"),
    Finding.PANEL_UNSEEN: Words(
        PartName.PANEL, _FAIL, "the panel cannot be judged, for the meter does not answer",
        "The power meter is at fault, and maybe nothing else.",
        "Put the part `meter` right first.",
    ),
    Finding.PANEL_DARK: Words(
        PartName.PANEL, _FAIL, "{panel_w:.2f} W by day",
        "The panel's plug is open or reversed, the panel is covered, or its fuse is blown.",
        "Take the cover off, plug the panel in until it clicks, and check its polarity and fuse.",
    ),
    Finding.PANEL_IDLE: Words(
        PartName.PANEL, _WARN,
        "{panel_w:.2f} W by day, and {panel_v:.1f} V: the panel is lit and nothing takes its "
        "power",
        "The battery is full, or the charge controller has switched off.",
        "Look at the controller: `full` is fine; if it shows an error, disconnect the panel, then the battery, connect "
        "the battery first.",
    ),

    # How it talks.
    Finding.MODEM_GOOD: Words(
        PartName.MODEM,
        _PASS,
        "{technology}, registered ({registration}), connected, RSRP {rsrp_dbm:.0f} dBm ({reception})",
    ),
    Finding.MODEM_NO_LEVEL: Words(
        PartName.MODEM, _PASS, "{technology}, registered ({registration}), connected, quality {quality:.0%}"
    ),
    Finding.MODEM_WEAK: Words(
        PartName.MODEM, _WARN,
        "{technology}, connected, RSRP {rsrp_dbm:.0f} dBm, which is weak (below {least_dbm:.0f} "
        "dBm)",
        "The antenna is not screwed on or lies behind metal, or the cell is far away.",
        "Screw the antenna tight and mount it upright outside the box; else take a directional one, or another "
        "carrier.",
    ),
    Finding.MODEM_ABSENT: Words(PartName.MODEM, _ABSENT, "this unit's configuration names no modem"),
    Finding.MODEM_NOT_THERE: Words(
        PartName.MODEM, _FAIL, "no modem is found: {detail}",
        "Its plug or its supply is loose, or it is still starting (half a minute).",
        "Press the modem's plug in, look for its light, wait 30 s and check again.",
    ),
    Finding.MODEM_SILENT: Words(
        PartName.MODEM, _FAIL, "the modem does not answer: {detail}",
        "Its firmware hangs, or ModemManager does not run.",
        "Take the modem's supply away for 10 s; if it stays silent: `sudo systemctl restart ModemManager`.",
    ),
    Finding.MODEM_REFUSED: Words(
        PartName.MODEM, _FAIL, "the modem cannot be asked: {detail}",
        "The card was not installed to the end, or ModemManager is of another release than the system.",
        "Run `sudo kestrel-provision card install`, then check again.",
    ),
    Finding.MODEM_BROKEN: Words(
        PartName.MODEM, _FAIL, "the modem says that it failed",
        "Its firmware did not come up with this SIM card, or it is broken.",
        "Take the SIM card out and the modem's supply away for 10 s, put both back; else replace the modem.",
    ),
    Finding.SIM_MISSING: Words(
        PartName.MODEM, _FAIL, "the modem finds no SIM card",
        "There is none in it, it lies the wrong way round, or its tray is not pushed in.",
        "Take the supply away, push the SIM card in until it clicks (cut corner as drawn), and check again.",
    ),
    Finding.SIM_BAD: Words(
        PartName.MODEM, _FAIL, "the modem cannot read the SIM card",
        "The card's contacts are dirty, or the card is broken.",
        "Wipe the contacts and put it back; else take another SIM card.",
    ),
    Finding.SIM_LOCKED: Words(
        PartName.MODEM, _FAIL, "the SIM card wants a PIN or PUK",
        "It was delivered with its PIN switched on, or a wrong PIN was entered three times.",
        "Switch the PIN off in a telephone, or take another SIM card; three wrong PINs need the carrier's PUK.",
    ),
    Finding.MODEM_DENIED: Words(
        PartName.MODEM, _FAIL, "the network refuses this SIM card",
        "The SIM card is not activated, its contract has ended, or it may not roam here.",
        "Call the carrier with the number printed on the SIM card, or take another one.",
    ),
    Finding.MODEM_SEARCHING: Words(
        PartName.MODEM, _FAIL, "the modem is not registered with any network ({registration})",
        "There is no signal at this place, or the antenna is not connected.",
        "Screw the antenna on; try 2 m higher or 10 m aside, or another carrier's SIM card (`kestrel-provision "
        "survey`).",
    ),
    Finding.MODEM_NO_BEARER: Words(
        PartName.MODEM, _FAIL, "{technology}, registered, RSRP {level}, but no data connection",
        "The access point name (APN) is missing or wrong, or the contract has no data.",
        "Set the carrier's APN: `sudo nmcli connection modify kestrel gsm.apn NAME`, then "
        "`sudo nmcli connection up kestrel`.",
    ),

    # What it goes by.
    Finding.TIME_GOOD: Words(PartName.TIME, _PASS, "{utc} UTC, set by {source}{beside}"),
    Finding.TIME_UNSET: Words(
        PartName.TIME, _WARN, "{utc} UTC, but nobody has set it since the start",
        "Neither a time server nor the cellular network has said the time yet.",
        "Put the part `modem` right and wait a minute; `timedatectl timesync-status` says what it waits for.",
    ),
    Finding.TIME_1970: Words(
        PartName.TIME, _FAIL, "the clock says {year}: nothing can be signed or checked with it",
        "The unit has no battery for its clock and has not heard the time since it was switched on.",
        "Put the part `modem` right and wait a minute; without a network set it by hand: "
        "`sudo timedatectl set-time 'YYYY-MM-DD HH:MM:SS'` (in UTC).",
    ),
    Finding.TIME_DISPUTED: Words(
        PartName.TIME, _FAIL, "the time is not believed: {detail}",
        "A time server or the cell says the wrong time, or somebody set the clock by hand.",
        "Compare with your telephone: `timedatectl`; if the unit's is right now, restart it.",
    ),
    Finding.TIME_OFF: Words(
        PartName.TIME, _WARN, "{utc} UTC is {offset_s:+.0f} s off the cellular network's time",
        "The time service has not caught up yet, or the cell is imprecise.",
        "Wait a minute and run `kestrel-provision check --only time`.",
    ),

    # What stands around it.
    Finding.MACHINE_GOOD: Words(PartName.SYSTEM, _PASS, "{detail}"),
    Finding.MACHINE_WARN: Words(
        PartName.SYSTEM, _WARN, "{detail}",
        "It is not at its best, or it could not be looked at from here.",
        "{hint}",
    ),
    Finding.FIREWALL_OPEN: Words(
        PartName.FIREWALL, _FAIL, "{detail}",
        "The unit's rules are not loaded, or somebody has added others.",
        "{hint}",
    ),
    Finding.SOCKETS_OPEN: Words(
        PartName.SOCKETS, _FAIL, "something listens to the network: {detail}",
        "A program was installed that a unit does not need.",
        "{hint}",
    ),
    Finding.SYSTEM_OLD: Words(
        PartName.SYSTEM, _FAIL, "{detail}",
        "The card was written with a system that gets no fixes any more.",
        "{hint}",
    ),
    Finding.NETWORKS_REFUSED: Words(
        PartName.NETWORKS, _FAIL, "{detail}",
        "The installation is damaged or not complete.",
        "{hint}",
    ),
}
# fmt: on
