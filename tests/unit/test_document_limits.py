"""Every decoder has a largest size and a deepest nesting, and spends next to nothing on what is beyond them."""

import json
import time
import tracemalloc
from typing import Literal

import cbor2
import msgspec
import pytest

from firmware import config, strict_json, wire
from firmware.config import DeviceConfig
from firmware.exposure import Phase
from firmware.faults import ConfigRejected, DocumentRejected
from tests.fuzz.judging import judge
from tests.fuzz.table import TARGETS

HUGE_BYTES = 100_000_000
TEXT_DECODERS = ("config", "manifest", "registry", "fleet")
CBOR_DECODERS = ("envelope", "cbor", "receipt")
SIGNED_CBOR = ("payload", "receipt-body")  # what a seal or a signature vouches for: no less strict

CPU_LIMIT_S = 1.5  # a third of it is writing the file that the decoder is to read
MEMORY_LIMIT_BYTES = 4_000_000


HUGE = {
    "brackets": (b"", b"["),
    "objects": (b"", b'{"site":'),
    "CBOR arrays": (b"", b"\x81"),
    "a text": (b'{"device_id":"', b"k"),
    "a number": (b'{"version":', b"9"),
    "zeros": (b"", b"\x00"),
}


@pytest.fixture(scope="module", params=HUGE)
def huge(request):
    beginning, repeated = HUGE[request.param]
    return beginning + repeated * (HUGE_BYTES // len(repeated))


@pytest.mark.parametrize("name", [*TEXT_DECODERS, *CBOR_DECODERS, "plates"])
def test_100_mb_cost_nothing(name, huge):
    target = TARGETS[name]
    judge(target, b"")  # what is made on first use must not count
    tracemalloc.start()
    began_s = time.process_time()
    try:
        is_taken = judge(target, huge)
        took_s, (_, peak_bytes) = time.process_time() - began_s, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not is_taken
    assert took_s < CPU_LIMIT_S
    assert peak_bytes < MEMORY_LIMIT_BYTES


def filled(opening, closing, depth):
    return opening * depth + closing * depth


BAD_TEXTS = {
    "seventeen levels": b'{"site":' + filled(b"[", b"]", 16) + b"}",
    "fifty thousand levels": b'{"x":' + b"[" * 50_000,
    "levels within an unknown key of a manifest": b'{"version":"1","files":{},"x":' + filled(b"[", b"]", 30_000) + b"}",
    "a number of 5000 digits": b'{"version":' + b"9" * 5000 + b"}",
    "a number of 5000 digits under an unknown key": b'{"version":"1","files":{},"x":' + b"9" * 5000 + b"}",
    "an exponent": b'{"version":1e999999}',
    "a text of 60000 characters": b'{"version":"' + b"k" * 60_000 + b'"}',
    "NaN": b'{"version":NaN}',
    "Infinity": b'{"version":-Infinity}',
    "a surrogate": b'{"version":"\\ud800"}',
    "a surrogate pair cut off": b'{"version":"\\ud83d\\u0041"}',
    "no UTF-8": b'{"version":"\xff\xfe"}',
    "no UTF-8 in a key": b'{"\xff\xfe":1}',
    "UTF-16": '{"version":1}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a NUL": b'{"version":"a\x00b"}',
    "an escaped NUL": b'{"device_id":"k-test\\u0000"}',
    "a line break in an unknown key": b'{"line\\nbreak ERROR all is well":1}',
    "two documents": b"{}{}",
    "nothing": b"",
}


@pytest.mark.parametrize("name", TEXT_DECODERS)
@pytest.mark.parametrize("what", BAD_TEXTS)
def test_bad_text_is_refused_in_one_line_of_our_own_words(name, what):
    assert not judge(TARGETS[name], BAD_TEXTS[what])


def tagged(number, content):
    return cbor2.dumps(cbor2.CBORTag(number, content))


BAD_CBOR = {
    "nine levels": b"\x81" * 9 + b"\x01",
    "fifty thousand levels": b"\x81" * 50_000,
    "an array of 2^64 items": b"\x9b" + b"\xff" * 8,
    "a byte string of 2^63 bytes": b"\x5b\x7f" + b"\xff" * 7,
    "a map of 2^32 entries": b"\xbb\x00\x00\x00\x01\x00\x00\x00\x00",
    "an indefinite array": b"\x9f\x01\xff",
    "an indefinite byte string": b"\x5f\x41a\xff",
    "an indefinite map": b"\xbf\x01\x02\xff",
    "a key twice": b"\xa2\x01\x01\x01\x02",
    "a big number": b"\xc2\x59\xff\xff" + b"\xff" * 65_000,
    "a decimal fraction": tagged(4, [2**60, 1]),
    "a power of two": tagged(5, [2**60, 1]),
    "a fraction": tagged(30, [1, 3]),
    "a regular expression": tagged(35, "(a+)+$"),
    "an array that holds itself": b"\xd8\x1c\x81\xd8\x1d\x00",
    "a tag that nobody knows": tagged(65_535, 1),
    "no UTF-8": b"\x62\xc3\x28",
    "a surrogate": b"\x63\xed\xa0\x80",
    "a break": b"\xff",
    "nothing": b"",
}


@pytest.mark.parametrize("name", [*CBOR_DECODERS, *SIGNED_CBOR])
@pytest.mark.parametrize("what", BAD_CBOR)
def test_bad_cbor_is_refused_signed_or_not(name, what):
    assert not judge(TARGETS[name], BAD_CBOR[what])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a\x00b", "k-test\n", -1, 2**64 - 1])
@pytest.mark.parametrize("key", range(4))
def test_a_signed_receipt_with_a_value_that_cannot_be_is_refused(key, value):
    body = {0: 1, 1: "k-test0001", 2: [[1, 2]], 3: 5} | {key: value}
    assert not judge(TARGETS["receipt-body"], cbor2.dumps(body, canonical=True))


@pytest.mark.parametrize("site", [["x", float("nan"), 0.0, 0.0], ["x", 0.0, float("inf"), 0.0], ["", 0.0, 0.0, 0.0]])
def test_a_sealed_read_from_nowhere_is_refused(site):
    fields = cbor2.loads(TARGETS["payload"].seeds()[0]) | {10: site}
    assert not judge(TARGETS["payload"], cbor2.dumps(fields, canonical=True))


def test_a_key_that_is_there_twice_is_refused(device_config):
    doubled = config.encode(device_config).replace(b'"version": 1,', b'"version": 1, "version": 2,')
    with pytest.raises(ConfigRejected, match="a key is there twice"):
        config.decode(doubled, "config.json")
    nested = config.encode(device_config).replace(b'"port": 8883', b'"port": 8883, "port": 1')
    with pytest.raises(ConfigRejected, match="a key is there twice"):
        config.decode(nested, "config.json")


def test_a_document_of_exactly_the_limits_is_taken(device_config):
    document = config.encode(device_config)
    assert config.decode(document + b" " * (strict_json.MAX_BYTES - len(document)), "here") == device_config
    with pytest.raises(ConfigRejected, match=f"longer than {strict_json.MAX_BYTES} bytes"):
        config.decode(document + b" " * (strict_json.MAX_BYTES - len(document) + 1), "here")
    assert strict_json.decoded(filled(b"[", b"]", strict_json.MAX_DEPTH), list)
    with pytest.raises(DocumentRejected, match="nested deeper"):
        strict_json.decoded(filled(b"[", b"]", strict_json.MAX_DEPTH + 1), list)
    assert strict_json.decoded(json.dumps({"[[[[[[[[[[[[[[[[[[[[": '\\"]}'}).encode(), dict)
    assert wire.decode(b"\x81" * 8 + b"\x01", "here")


def test_a_misspelt_key_is_named_and_a_stranger_one_is_not(device_config):
    assert "`lattitude_deg`" in refusal({"lattitude_deg": 1})
    for key in ("ABC1234", "a b", "x" * 33, "line\nbreak", "`"):
        assert refusal({key: 1}) == "Object contains unknown field"


def refusal(document):
    with pytest.raises(DocumentRejected) as refused:
        strict_json.decoded(json.dumps(document).encode(), DeviceConfig)
    return str(refused.value)


def test_what_is_no_utf_8_is_said_to_be_none():
    with pytest.raises(DocumentRejected, match=r"^not UTF-8$"):
        strict_json.decoded(b'{"light":"\xff"}', Lamp)


class Lamp(msgspec.Struct):
    light: Literal["on", "off"]
    colour: Phase | None = None


def test_a_value_that_is_none_of_a_set_is_not_repeated():
    for document in ({"light": "ABC1234"}, {"light": "on", "colour": "ABC1234"}):
        with pytest.raises(DocumentRejected, match=r"^Not one of the known values - at `\$\.\w+`$"):
            strict_json.decoded(json.dumps(document).encode(), Lamp)


def test_every_text_and_list_of_the_configuration_has_a_bound():
    unbounded = []

    def look(schema, path):
        kinds = schema.get("anyOf", [schema])
        for kind in kinds:
            if "$ref" in kind:
                look(records[kind["$ref"].split("/")[-1]], path)
            if kind.get("type") == "string" and not {"maxLength", "pattern"} & kind.keys():
                unbounded.append(path)
            if kind.get("type") in {"integer", "number"} and not (
                {"minimum", "exclusiveMinimum"} & kind.keys() and {"maximum", "exclusiveMaximum"} & kind.keys()
            ):
                unbounded.append(path)
            if kind.get("type") == "array" and "maxItems" not in kind:
                unbounded.append(path)
            for name, inner in kind.get("properties", {}).items():
                look(inner, f"{path}.{name}")

    (top,), records = msgspec.json.schema_components([DeviceConfig], ref_template="#/{name}")
    look(top, "$")
    assert unbounded == []
