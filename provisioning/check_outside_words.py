"""What `check` says of what a unit sees, is woken by and talks to. `check_words` has the rest."""

from typing import Final

from provisioning.check_findings import Finding, Words
from provisioning.part_reports import PartName, PartState

_PASS, _WARN, _FAIL, _ABSENT = PartState.PASS, PartState.WARN, PartState.FAIL, PartState.ABSENT

# fmt: off
OUTSIDE_WORDS: Final[dict[Finding, Words]] = {
    # How it sees.
    Finding.CAMERA_GOOD: Words(
        PartName.CAMERA,
        _PASS,
        "{rate_hz:.1f} pictures a second, {missed} of {shots} missed, brightness {level:.0f} of 255",
    ),
    Finding.CAMERA_NOT_THERE: Words(
        PartName.CAMERA, _FAIL, "the camera cannot be started: {detail}",
        "The ribbon cable is loose or the wrong way round, or another program has the camera.",
        "Switch the unit off, push the ribbon in straight with its contacts to the contacts, close both latches; then "
        "`rpicam-hello --list-cameras`.",
    ),
    Finding.CAMERA_SILENT: Words(
        PartName.CAMERA, _FAIL, "the camera started and delivers no pictures: {detail}",
        "The ribbon cable has a bad contact, or the supply is too weak for the camera.",
        "Switch the unit off, seat the ribbon again at both ends, and check that the supply gives 5 V.",
    ),
    Finding.CAMERA_FROZEN: Words(
        PartName.CAMERA, _FAIL, "the camera delivers the same picture again and again ({same} of {shots})",
        "The sensor or its driver hangs.",
        "Switch the unit off for 10 s; if it is the same again, replace the ribbon cable, then the camera.",
    ),
    Finding.CAMERA_BLACK: Words(
        PartName.CAMERA, _FAIL, "the picture is black (brightness {level:.1f} of 255)",
        "The lens cap is on, the iris is shut, or the window is covered; or it is night and the lamp is dark.",
        "Take the cap off, open the iris, and wipe the window; at night look at the part `lamp` too.",
    ),
    Finding.CAMERA_SLOW: Words(
        PartName.CAMERA, _FAIL, "{rate_hz:.1f} pictures a second in place of {asked_hz:.0f}",
        "Another camera than the IMX296 is connected, or something else uses up the processor.",
        "Check the type printed on the camera, and `top` for what else runs.",
    ),
    Finding.CAMERA_LOSES: Words(
        PartName.CAMERA, _WARN, "{missed} of {shots} pictures were lost",
        "Something else uses up the processor, or the ribbon cable has a bad contact.",
        "End what else runs (`top`) and check again; if it stays, seat the ribbon cable again.",
    ),
    Finding.CAMERA_LOSES_MANY: Words(
        PartName.CAMERA, _FAIL, "{missed} of {shots} pictures were lost",
        "The ribbon cable has a bad contact, or something else uses up the processor.",
        "Seat the ribbon cable again at both ends, end what else runs (`top`), and check again.",
    ),
    Finding.FOCUS_GOOD: Words(PartName.FOCUS, _PASS, "edges are {blur_px:.2f} px soft, {most_px:.1f} at most"),
    Finding.FOCUS_SOFT: Words(
        PartName.FOCUS, _FAIL, "edges are {blur_px:.2f} px soft, {most_px:.1f} at most: plates would blur",
        "The focus ring has moved, or the window is dirty or wet.",
        "Wipe the window; then turn the focus ring slowly with `kestrel-provision aim` until its focus is best, and "
        "tighten its screw.",
    ),
    Finding.FOCUS_UNSEEN: Words(
        PartName.FOCUS, _WARN, "no edge in the picture from which the focus could be told",
        "It is too dark, or there is nothing but bare road in view.",
        "Look again by daylight, or judge it on plates with `kestrel-provision aim`.",
    ),
    Finding.NO_PICTURES: Words(
        PartName.FOCUS, _FAIL, "cannot be judged, for the camera delivers no pictures that change",
        "The camera is at fault, and maybe nothing else.",
        "Put the part `camera` right first.",
    ),
    Finding.EXPOSURE_GOOD: Words(
        PartName.EXPOSURE, _PASS,
        "asked for {short_us:.0f} and {long_us:.0f} us, got both, and the picture is {seen_ratio:.1f} times as bright",
    ),
    Finding.EXPOSURE_NOT_TAKEN: Words(
        PartName.EXPOSURE, _FAIL, "asked for {asked_us:.0f} us, and the sensor says {reported_us:.0f} us",
        "Another program or an automatic control sets the exposure, or the driver is of another release.",
        "End other programs that use the camera; then `sudo apt full-upgrade` so that libcamera and picamera2 match.",
    ),
    Finding.EXPOSURE_NOT_SEEN: Words(
        PartName.EXPOSURE, _FAIL,
        "the sensor says {short_us:.0f} and {long_us:.0f} us, but the picture is {seen_ratio:.1f} times as bright in "
        "place of {wanted_ratio:.1f}",
        "The sensor does not do what it says: its driver is of another release, or it is set to an external shutter.",
        "Run `sudo apt full-upgrade`, restart the unit and check again; if it is the same, replace the camera.",
    ),
    Finding.EXPOSURE_DARK: Words(
        PartName.EXPOSURE, _WARN, "the sensor takes the exposures; too dark to see whether the picture follows",
        "It is night and the lamp does not light the scene, or the window is covered.",
        "Put the part `lamp` right first, or look again by daylight.",
    ),
    Finding.LAMP_GOOD: Words(
        PartName.LAMP, _PASS, "the lit picture is {gain_levels:.1f} levels brighter than the dark one (signal to noise "
        "{signal_ratio:.0f})",
    ),
    Finding.LAMP_ABSENT: Words(PartName.LAMP, _ABSENT, "this unit's configuration names no infrared lamp"),
    Finding.LAMP_NOT_THERE: Words(
        PartName.LAMP, _FAIL, "the lamp cannot be switched: {detail}",
        "Another overlay or program holds its line, or python3-lgpio is not installed.",
        "Check capture.lamp_pin of the configuration and config.txt; then {hint}.",
    ),
    Finding.LAMP_DROWNS: Words(
        PartName.LAMP, _WARN, "no difference between lit and dark picture in this light (signal to noise "
        "{signal_ratio:.1f}, {least_ratio:.0f} at least)",
        "Daylight is many times stronger than the lamp.",
        "Look again after dusk: `kestrel-provision check --only lamp`.",
    ),
    Finding.LAMP_DARK: Words(
        PartName.LAMP, _FAIL, "the picture does not become brighter when the lamp is lit (signal to noise "
        "{signal_ratio:.1f}, {least_ratio:.0f} at least)",
        "The lamp's plug or fuse is open, the strobe wire to the camera is loose, or the lamp looks elsewhere.",
        "Look at the lamp through a telephone's camera, where it glows violet: if it is dark, check plug, fuse and "
        "strobe "
        "wire; if it glows, turn it to where the camera looks.",
    ),

    # What wakes it.
    Finding.LINE_GOOD: Words(PartName.PIR, _PASS, "edges in {seconds:.0f} s: {edges}; the line is not stuck"),
    Finding.LINE_QUIET: Words(
        PartName.PIR, _PASS, "the line is quiet and not stuck ({seconds:.0f} s); `--wave 10` tries whether it answers"
    ),
    Finding.LINE_ABSENT: Words(PartName.PIR, _ABSENT, "this unit's configuration does not name one"),
    Finding.LINE_NOT_THERE: Words(
        PartName.PIR, _FAIL, "its line cannot be opened: {detail}",
        "Another overlay or program holds the line, or python3-lgpio is not installed.",
        "Check the pin in the configuration and config.txt; then {hint}.",
    ),
    Finding.PIR_STUCK: Words(
        PartName.PIR, _FAIL, "the line stays high for {seconds:.0f} s",
        "The sensor looks at something warm that moves, its hold time is turned up, or its wires are swapped.",
        "Cover the sensor with your hand for 10 s: if the line stays high, turn its hold time down and check its "
        "wires.",
    ),
    Finding.BEAM_STUCK: Words(
        PartName.BEAM, _FAIL, "the beam stays broken for {seconds:.0f} s",
        "The sender has no supply, or sender and receiver do not look at each other, or a leaf hangs between them.",
        "Look at the sender's light, wipe both windows, and turn the receiver until its light says that it sees "
        "the beam.",
    ),
    Finding.RADAR_STUCK: Words(
        PartName.RADAR, _FAIL, "the line stays high for {seconds:.0f} s",
        "The radar sees something that moves all the time (a fan, leaves, a flag), or its wires are swapped.",
        "Turn it away from what moves, turn its sensitivity down, and check its wires.",
    ),
    Finding.LINE_DEAD: Words(
        PartName.PIR, _FAIL, "no edge in {seconds:.0f} s while you waved",
        "The sensor has no supply (a PIR needs 30 s to warm up), its signal wire is loose, or it looks elsewhere.",
        "Check 5 V at the sensor and its signal wire to the pin of the configuration, and wave within its reach.",
    ),
    Finding.LINE_CHATTERS: Words(
        PartName.PIR, _WARN, "edges in {seconds:.0f} s: {edges}; the line chatters",
        "Its ground wire is loose, or the line runs beside the modem's antenna or the lamp's wires.",
        "Check the ground wire, lay the line apart from antenna and lamp, and check again.",
    ),
    Finding.LID_GOOD: Words(PartName.LID, _PASS, "the contact says that the lid is shut"),
    Finding.LID_ABSENT: Words(PartName.LID, _ABSENT, "this unit's configuration names no tamper contact"),
    Finding.LID_OPEN: Words(
        PartName.LID, _FAIL, "the contact says that the lid is open: the unit would erase itself at its start",
        "The lid is not shut, the contact is out of place, or guard.tampered_when is the wrong way round.",
        "Shut the lid and check again BEFORE you start the service; else bend the contact until the lid holds it.",
    ),
    Finding.LID_NOT_THERE: Words(
        PartName.LID, _FAIL, "the contact's line cannot be read: {detail}",
        "Another overlay or program holds the line, or python3-lgpio is not installed.",
        "Check guard.tamper_pin of the configuration and config.txt; then {hint}.",
    ),

    # Whom it talks to.
    Finding.BROKER_GOOD: Words(
        PartName.BROKER, _PASS,
        "a sealed test read was acknowledged by the broker after {acknowledged_s:.2f} s and confirmed by the receiver "
        "after {confirmed_s:.2f} s",
    ),
    Finding.BROKER_NO_NAME: Words(
        PartName.BROKER, _FAIL, "the broker's name {host} cannot be looked up",
        "There is no way to the internet (modem), or the name in the configuration is wrong.",
        "Put the part `modem` right first; if it passes, have the office check uplink.host.",
    ),
    Finding.BROKER_NO_WAY: Words(
        PartName.BROKER, _FAIL, "the broker cannot be reached: {detail}",
        "There is no signal, the broker does not run, or a firewall lies between.",
        "Put the parts `modem` and `firewall` right first; if both pass, have the office look whether the broker runs.",
    ),
    Finding.BROKER_TLS: Words(
        PartName.BROKER, _FAIL, "unit and broker do not accept each other's certificates: {detail}",
        "The unit is of another fleet, was revoked, or has a wrong clock, or somebody else answers at this address.",
        "Look at the parts `time` and `identity`; if both pass, have the office check this unit with "
        "`kestrel-provision fleet list`.",
    ),
    Finding.BROKER_FORBIDS: Words(
        PartName.BROKER, _FAIL, "the broker does not let this unit in: {detail}",
        "The broker does not have the newest list of units.",
        "Have the office bring the fleet's broker files up to date and reload the broker, then check again.",
    ),
    Finding.BROKER_REFUSES: Words(
        PartName.BROKER, _FAIL, "the broker did not take the test read: {detail}",
        "The broker is overloaded, set up otherwise than this fleet's files say, or too old.",
        "Have the office look into the broker's log at this minute, then check again.",
    ),
    Finding.RECEIVER_AWAY: Words(
        PartName.BROKER, _FAIL,
        "the broker acknowledged the test read after {acknowledged_s:.1f} s, and no receiver confirmed it in "
        "{waited_s:.0f} s",
        "The receiver in the office does not run, or does not know this unit.",
        "Call the office: `python -m cloud receive` must run with the newest registry. Reads wait on the unit "
        "meanwhile.",
    ),
    Finding.BROKER_BLOCKED: Words(
        PartName.BROKER, _FAIL, "the test read could not be sealed or kept: {detail}",
        "The key or the outbox of the unit cannot be used.",
        "Put the parts `identity` and `disk` right first.",
    ),

    # Whatever else.
    Finding.PART_FAULT: Words(
        PartName.SYSTEM, _FAIL, "the look at it ended with a fault: {detail}",
        "The part or its driver does not answer as it should.",
        "Check its plugs, restart the unit, and check again; if it stays: {hint}.",
    ),
}
# fmt: on
