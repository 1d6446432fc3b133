"""Each failure text that a technician can meet names its part, the likely cause and the next step, in plain words.

The house's style is one sentence: "what was wrong; what to do". The table is read from the source, so that a new text
is in it by being there (failure_texts).
"""

import argparse
import itertools
import re
import shlex

import failure_texts
import msgspec
import pytest
from failure_texts import PLACE, FailureText

from cloud.handover import Step
from firmware.link_causes import TREATMENTS
from provisioning import __main__ as tool
from provisioning import accept_words, aim_words, sentences, site_words, survey_words
from provisioning.card.findings import Refusal
from provisioning.card.wording import REFUSALS
from provisioning.check_words import WORDS
from provisioning.handover_sources import Flaw, Shortcoming
from provisioning.part_reports import PartName, PartState
from provisioning.signal_log import Reception
from provisioning.tongue import Language, Tongue

LONGEST = 300

STEPS = frozenset({
    "add", "ask", "begin", "bring", "call", "charge", "check", "choose", "close", "come", "compare", "connect",
    "copy", "correct", "cover", "destroy", "disconnect", "do", "end", "find", "fit", "fix", "follow", "free",
    "give", "go", "hang", "have", "install", "keep", "leave", "let", "load", "look", "lower", "make", "mask",
    "measure", "mend", "mount", "move", "name", "press", "print", "put", "raise", "reload", "remove", "rename",
    "repair", "replace", "report", "restart", "run", "save", "say", "scan", "screw", "seat", "send", "set",
    "shorten", "shut", "sign", "start", "stop", "swap", "switch", "take", "tell", "try", "turn", "type",
    "update", "use", "wait", "wipe", "write",
})  # fmt: skip
"""What a next step begins with."""

PARTS = re.compile(
    r"""\b(
    account|agency|aim|aiming|answer|answers|antenna|apt|authority|battery|bearing|broker|bundle|bus|camera|card|cell
    |certificate|certificates|check|clock|code|configuration|connection|contact|disk|document|drive|file|files|firewall
    |fleet|folder|guide|health|key|keys|label|lamp|latitude|lens|library|lid|line|longitude|memory|meter|model|models|modem
    |name|network|nft|nftables|office|outbox|panel|passphrase|passphrases|photo|photos|picamera2|picture|place|plate|power|process
    |program|programs|reads|reason|receiver|record|request|restart|root|sensor|server|service|signal|site|socket|space|stage
    |stages|supply|survey|system|time|token|unit|units|user|vehicles|version
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""What a failure may be about. A file's path, the unit's name and an option name a part too."""

NAMED = re.compile(
    r"\{(path|folder|unit_folder|parent|root|place|device_id|host|name|what|source|key|module|out|fleet|pin_file"
    r"|key_path|waiting_path|holders_path|access_path|revoked_path|configuration|bundle|photo|title|leaver|unit|self"
    r"|signing_path|label|part|pid_file|named)\}|--[a-z]"
)
"""Places whose value names the part."""

JARGON = re.compile(
    r"\b(errno|traceback|exception|stdin|stdout|stderr|CSR|CRL|SIGHUP|SIGTERM|mTLS|X\.?509|PKCS|DER|ASN|PEM|base64|CBOR"
    r"|CONNACK|nonce|daemon|syscall|ECDSA|Ed25519|null|None|regex|schema|HPKE|JSON Pointer|HTTP)\b"
)
"""Words of the trade that nobody needs for what there is to do."""

CAUSES = frozenset({
    "{error}", "{reason}", "{rejected}", "{failed}", "{found}", "{strerror}", "{detail}", "{said}", "{flaw}",
    "{why}", "{what}", "{listed}", "{str}",
})  # fmt: skip
"""Places that hold a whole clause on what was wrong, from a program that says no more."""

HANDED_ON = {
    ("firmware/recovery.py", "{hint}"): "the modem's",
    ("provisioning/signal_log.py", "{hint}"): "the modem's",
    ("firmware/uplink.py", "{reason}"): "the link's",
    ("provisioning/retiring.py", "{reason}"): "the link's",
    ("provisioning/broker_proof.py", "the broker could not be asked: {reason}"): "the link's",
    ("provisioning/guide_place.py", "{str}"): "of a site's place",
    ("firmware/clock_watch.py", "{sentence}"): "the clock's",
    ("firmware/self_check.py", "{sentence}; {hint}"): "of key, certificate or network",
    ("firmware/self_check.py", "{why}; {how}"): "of what could not be seen",
    ("provisioning/site_files.py", "the unit's configuration: {site_words}"): "of a site file",
    ("provisioning/site_files.py", "{name}: {site_words}"): "of a site file",
    ("provisioning/accept_session.py", "the unit is not handed over. {said}"): "of what is amiss, with its command",
}
"""Texts that are another one's in whole or at their end, and whose: that other one is in the table."""

NO_FAILURES = {
    ("provisioning/sentences.py", "{shown} texts, {lacking} without Spanish"): "for who translates",
}
"""What else is written to standard error."""

PROGRESS = " ..."
"""How a sentence ends that says what begins now."""

ADVICE = "{advice}"
"""What `TREATMENTS` has for a cause: judged there."""

SILENT = frozenset({"CallFailed", "Hopeless", "CardRefused", "DocumentRejected"})
"""Exceptions of which nobody reads the text alone: the first two are put into sentences that are here, a card's are
made from their table, and a document that is refused is dropped and counted by its cause."""


PART_IS_BESIDE_IT = frozenset({"DeviceFault", "_check"})
"""Kinds that are shown with the name of their part: a fault's code, a line of the self-check's table."""

PROGRAMS = frozenset({
    "apt", "cat", "chmod", "date", "df", "dmesg", "grep", "hostnamectl", "i2cdetect", "journalctl", "kestrel",
    "kestrel-cloud", "kestrel-provision", "loginctl", "ls", "make", "mkfs.ext4", "mmcli", "nft", "nmcli",
    "passwd", "pip", "python", "rpicam-hello", "ss", "sudo", "systemctl", "timedatectl", "top", "du", "apt-get",
})  # fmt: skip
"""What a text may tell somebody to run."""

SERVICES = frozenset(
    {"kestrel", "kestrel-firewall", "kestrel-addresses", "mosquitto", "ModemManager", "NAME", "{service}"}
)
VERBS_OF_SYSTEMCTL = frozenset({"start", "stop", "restart", "reload", "mask", "status"})

CODE = re.compile(r"`([^`]*)`")
CLAUSE = re.compile(r"; |: (?![0-9])|\. ")
BEFORE_A_STEP = (
    r"(?:(?:and|or|then|so|else|please) )*(?:(?:if|when|where|once|on|without|with|at|in|for|before|after|to) [^,]*, )?"
)
STEP = re.compile(f"{BEFORE_A_STEP}(?:else )?(?:{'|'.join(sorted(STEPS))})\\b", re.IGNORECASE)


def parts_of(text):
    """Return what was wrong and what to do; the second is empty where nothing is said to be done."""
    begins = 0
    for found in CLAUSE.finditer(text):
        rest = text[found.end() :]
        if STEP.match(rest) or rest.startswith(ADVICE):
            return text[: found.start()], rest
        begins = found.end()
    return text[begins:] and text, ""


def flaws(one):
    """Return what is amiss with a text, in words; nothing for a good one."""
    cause, step = parts_of(one.text)
    words = [word for word in cause.split() if any(letter.isalnum() for letter in word)]
    holds_clause = any(place in CAUSES for place in PLACE.findall(cause))
    about = PARTS.search(CODE.sub("", one.text)) or NAMED.search(one.text) or one.kind in PART_IS_BESIDE_IT
    found = [
        (not step, "it does not say what to do"),
        (len(words) < 3 and not holds_clause, "it does not say what was wrong"),
        (STEP.match(cause) is not None, "it begins with what to do, and not with what was wrong"),
        (not about, "it names no part"),
        (len(one.text) > LONGEST, f"it has {len(one.text)} characters, {LONGEST} at most"),
        (JARGON.search(CODE.sub("", one.text)) is not None, "it has a word of the trade"),
    ]
    return [said for is_so, said in found if is_so] + [f"{code}: {why}" for code, why in wrong_commands(one.text)]


def wrong_commands(text):
    """Return the commands and options in a text that are not as the programs take them, each with why."""
    found, plain = [], CODE.sub("", text)
    for code in CODE.findall(text):
        if code.startswith("-"):
            plain += f" {code}"
            continue
        words = [word for word in shlex.split(code.partition("|")[0]) if word != "sudo"] or ["sudo"]
        if words[0] not in PROGRAMS and words[0].replace("-", "").isalnum():
            if words[0] not in COMMAND_NAMES | NAMES_IN_MARKS:
                found.append((code, "neither a program nor a command of the tool"))
            words = ["kestrel-provision", *words] if words[0] in COMMAND_NAMES else words
        if words[0] == "kestrel-provision" and (why := refusal_of(words[1:])):
            found.append((code, why))
        if words[0] == "systemctl" and not (words[1] in VERBS_OF_SYSTEMCTL and {words[-1]} <= SERVICES):
            found.append((code, "no service of a unit or a broker"))
    found += [(one, "no option of the tool") for one in re.findall(r"--[a-z][a-z-]*", plain) if one not in OPTIONS]
    if "kestrel-provision " in plain.removeprefix("kestrel-provision: "):
        found.append(("kestrel-provision", "a command stands in back-ticks"))
    return found


def refusal_of(words):
    """Return why the tool does not take these words as a command, or an empty text; values are not judged."""
    given = list(words)
    at = PARSERS.get(given[0] if given else "", PARSERS["fleet"])
    while given and (subjects := subjects_of(at)):
        if given[0] not in subjects:
            return f"there is no command {given[0]}"
        at = subjects[given.pop(0)]
    if subjects_of(at):
        return "the command is not whole"
    options = [word for word in given if word.startswith("-")]
    return ", ".join(f"there is no option {one}" for one in options if one not in at._option_string_actions)


def subjects_of(one):
    """Return the commands below a parser by name."""
    found = [action.choices for action in one._actions if isinstance(action, argparse._SubParsersAction)]
    return found[0] if found else {}


def parsers(one):
    """Yield a parser and all below it."""
    yield one
    for below in subjects_of(one).values():
        yield from parsers(below)


PARSERS = {subject: tool._parser(Tongue(Language.ENGLISH), subject) for subject in tool.SUBJECTS}
OPTIONS = {option for whole in PARSERS.values() for one in parsers(whole) for option in one._option_string_actions}
COMMAND_NAMES = set(tool.SUBJECTS)
NAMES_IN_MARKS = {"full", "handover", *PartName}
"""What stands in back-ticks and is a part, a folder or a light."""


class Section(msgspec.Struct, forbid_unknown_fields=True):
    """Something like a section of the configuration."""

    number: int = msgspec.field(default=1)
    word: str = ""


class Whole(msgspec.Struct):
    """Something like a configuration."""

    capture: Section


SPOILT = (b'{"number": "x"}', b'{"unknown": 2}', b"[]", b"{", b'{"word": 3}')


def made_up():
    """Yield the texts that are put together while the program runs: tables, and what msgspec says in our words."""
    for refusal in Refusal:
        yield FailureText("provisioning/card/wording.py", "CardRefused", REFUSALS[refusal])
    amiss = [Shortcoming(step=step, flaw=flaw) for step, flaw in accept_words._FLAWS]
    amiss += [Shortcoming(step=step, flaw=Flaw.OLD, hours=90.0) for step in Step]
    amiss += [Shortcoming(step=step, flaw=Flaw.FAILED, parts=("camera",)) for step in Step]
    for one, can_be_accepted in itertools.product(amiss, (False, True)):
        text = accept_words.refused((one,), can_be_accepted=can_be_accepted)
        yield FailureText("provisioning/accept_words.py", "ConfigRejected", text)
    for spoilt in SPOILT:
        with pytest.raises(msgspec.DecodeError) as refused:
            msgspec.json.decode(b'{"capture": %s}' % spoilt, type=Whole)
        text = site_words.sentence(str(refused.value), set())
        yield FailureText("provisioning/site_words.py", "ConfigRejected", f"{{name}}: {text}")


def is_read(one):
    """Say whether somebody reads this text as it is."""
    return one.kind not in SILENT or one.file in {"provisioning/verify_session.py", "provisioning/card/wording.py"}


def table():
    """Return every text once, in an order that stays."""
    sources = (
        failure_texts.raised(),
        failure_texts.links(),
        failure_texts.self_checks(),
        failure_texts.warnings(),
        failure_texts.round_trips(),
        failure_texts.disputes(),
        made_up(),
    )
    found = {(one.file, one.text): one for one in itertools.chain(*sources) if is_read(one)}
    return [found[key] for key in sorted(found)]


TABLE = table()
JUDGED = [
    one for one in TABLE if (one.file, one.text) not in {*HANDED_ON, *NO_FAILURES} and not one.text.endswith(PROGRESS)
]
NOT_GOOD = [one for one in Reception if one not in {Reception.GOOD, Reception.USABLE}]
TO_BE_DONE = [finding for finding, words in WORDS.items() if words.state in {PartState.WARN, PartState.FAIL}]


@pytest.mark.parametrize("one", JUDGED, ids=lambda one: one.name)
def test_a_failure_says_which_part_what_was_wrong_and_what_to_do(one):
    assert flaws(one) == [], one.text


@pytest.mark.parametrize("finding", TO_BE_DONE)
def test_a_finding_of_the_check_says_it_too(finding):
    words = WORDS[finding]
    assert words.found
    assert words.cause.endswith(".")
    assert JARGON.search(CODE.sub("", words.found + words.cause + words.next_step)) is None
    assert len(words.found) + len(words.cause) + len(words.next_step) <= 1.5 * LONGEST
    assert words.next_step == "{hint}" or STEP.match(words.next_step), words.next_step
    assert wrong_commands(words.next_step) == []


@pytest.mark.parametrize("cause", [cause for cause, treatment in TREATMENTS.items() if treatment.advice])
def test_what_is_advised_about_a_broker_is_something_to_do(cause):
    assert any(STEP.match(clause) for clause in CLAUSE.split(TREATMENTS[cause].advice))


SITES = [
    *survey_words._SIGHT.values(),
    *map(survey_words._RECEPTION.get, NOT_GOOD),
    *(sentence for _, sentence in aim_words._FIXED.values()),
]


@pytest.mark.parametrize("text", SITES)
def test_a_site_or_an_aim_that_is_not_good_says_what_to_change(text):
    assert any(STEP.match(clause) for clause in [text, *CLAUSE.split(text)])
    assert JARGON.search(text) is None


def test_commands_in_whatever_is_said_are_as_the_tool_takes_them():
    wrong = {one.template: wrong_commands(one.template) for one in sentences.in_the_source() if one.is_shown}
    assert {text: found for text, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("the unit has no key", "it does not say what to do"),
        ("the unit has no key; nothing can be signed", "it does not say what to do"),
        ("bring the key; it is missing from the unit", "it begins with what to do, and not with what was wrong"),
        ("unit: give its key", "it does not say what was wrong"),
        ("it went badly wrong somewhere; try again", "it names no part"),
        ("the unit's key is no PEM; bring it", "it has a word of the trade"),
        ("the unit has no key; bring it" + " and bring it" * 30, f"it has 419 characters, {LONGEST} at most"),
        ("the unit has no key; make it with `kestrel-provision unit nwe`", "there is no command nwe"),
        ("the unit has no key; make it with `kestrel-provision unit`", "the command is not whole"),
        ("the unit has no site; run `kestrel-provision check --onyl time`", "there is no option --onyl"),
        ("the unit has no site; give --sight FILE", "no option of the tool"),
        ("the unit has no site; make it with kestrel-provision site new", "a command stands in back-ticks"),
        ("the unit is silent; run `systemctl restart kestrle`", "no service of a unit or a broker"),
        ("the unit is silent; run `frobnicate --now`", "neither a program nor a command of the tool"),
    ],
)
def test_a_text_that_is_not_so_is_told(text, flaw):
    assert any(flaw in one for one in flaws(FailureText("x.py", "ConfigRejected", text)))


@pytest.mark.parametrize("place_and_text", sorted({*HANDED_ON, *NO_FAILURES}))
def test_what_is_left_out_is_still_said(place_and_text):
    assert place_and_text in {(one.file, one.text) for one in TABLE}
