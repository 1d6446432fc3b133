"""What the kernel's packet filter lets through, judged from `nft -j list ruleset`. Pure: bytes in, sentences out.

The judge knows a few shapes of harmless rules. Whatever else accepts a packet, and whatever it cannot read, counts as
an opening: a rule that somebody added by hand is found because it is none of ours, not because we thought of it.
libnftables-json(5) is the format.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

import msgspec

from firmware.faults import DocumentRejected

Address = IPv4Address | IPv6Address
Shape = Mapping[str, frozenset[str]]
"""What a rule must ask for to be harmless: each key, with the values that it may have."""

HOOKS: Final = ("input", "forward", "output")
FAMILIES: Final = {"inet": ("IPv4", "IPv6"), "ip": ("IPv4",), "ip6": ("IPv6",)}

DNS, NTP = "53", "123"
QUIET_STATEMENTS: Final = {"match", "counter", "log", "limit", "drop", "reject", "return", "continue"}
"""Statements that let nothing through. A `return` from a chain of the kernel's hooks ends in the chain's policy."""

NEIGHBOURS: Final = frozenset({"nd-router-advert", "nd-neighbor-solicit", "nd-neighbor-advert", "nd-router-solicit"})
ERRORS: Final = frozenset({"destination-unreachable", "time-exceeded", "packet-too-big", "parameter-problem"})

INBOUND: Final[tuple[Shape, ...]] = (
    {"meta iif": frozenset({"lo"})},
    {"meta iifname": frozenset({"lo"})},
    {"ct state": frozenset({"established"}), "ct direction": frozenset({"reply"})},
    {"ct state": frozenset({"related"}), "icmp type": ERRORS},
    {"ct state": frozenset({"related"}), "icmpv6 type": ERRORS},
    {"icmpv6 type": NEIGHBOURS},
)

OUTBOUND: Final[tuple[Shape, ...]] = (
    {"meta oif": frozenset({"lo"})},
    {"meta oifname": frozenset({"lo"})},
    {"udp dport": frozenset({DNS, NTP})},
    {"tcp dport": frozenset({DNS})},
    {"icmpv6 type": NEIGHBOURS | {"mld2-listener-report"}},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Where a unit may call: one TCP port, and the address if the configuration names one and no host."""

    port: int
    address: Address | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found: all that is open (empty: nothing), and how many addresses the unit may call."""

    openings: tuple[str, ...]
    addresses: int


class _Ruleset:
    """The kernel's tables, chains, rules and sets by kind, as nft lists them."""

    def __init__(self, listing: bytes) -> None:
        try:
            entries = msgspec.json.decode(listing, type=dict[str, list[dict[str, Any]]]).get("nftables", [])
        except msgspec.MsgspecError as error:
            raise DocumentRejected("nft lists rules that are no JSON; look at them with `nft list ruleset`") from error
        of_kind: dict[str, list[dict[str, Any]]] = {}
        for entry in entries:
            for kind, content in entry.items():
                of_kind.setdefault(kind, []).append(content)
        asleep = {_table(one, "name") for one in of_kind.get("table", []) if "dormant" in str(one.get("flags", ""))}
        self.chains = [one for one in of_kind.get("chain", []) if _table(one) not in asleep]
        self._rules = of_kind.get("rule", [])
        self._sets = {(*_table(one), one["name"]): one for one in of_kind.get("set", [])}

    def rules_of(self, chain: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for rule in self._rules:
            if _table(rule) == _table(chain) and rule["chain"] == chain["name"]:
                yield rule

    def elements(self, rule: dict[str, Any], name: str) -> list[str]:
        found = self._sets.get((*_table(rule), name), {}).get("elem", [])
        return [_word(element) for element in found]


def judged(listing: bytes, calls: Calls) -> Finding:
    """Return what `listing` (the output of `nft -j list ruleset`) lets through beyond a unit's own `calls`.

    Raises DocumentRejected if it cannot be read.
    """
    rules, elements = _Ruleset(listing), set[str]()
    openings: list[str] = []
    for hook in HOOKS:
        for version in ("IPv4", "IPv6"):
            found = [_openings(rules, chain, calls) for chain in rules.chains if _guards(chain, hook, version)]
            if not found:
                openings.append(f"nothing stops {version} {hook}")
            elif all(found):  # one chain that is tight suffices: what it drops stays dropped
                openings += found[0]
    for chain in rules.chains:
        for rule in rules.rules_of(chain):
            elements |= set(_called(rules, rule, _wishes(rule), calls) or ())
    return Finding(openings=tuple(dict.fromkeys(openings)), addresses=len(elements))


def _guards(chain: dict[str, Any], hook: str, version: str) -> bool:
    """Say whether a chain drops by default what it does not accept, at this hook and for this version of IP."""
    is_filter = chain.get("type") == "filter" and chain.get("hook") == hook and chain.get("policy") == "drop"
    return is_filter and version in FAMILIES.get(chain["family"], ())


def _openings(rules: _Ruleset, chain: dict[str, Any], calls: Calls) -> list[str]:
    shapes = {"input": INBOUND, "output": OUTBOUND}.get(chain["hook"], ())
    return [
        f"{chain['hook']} rule {rule.get('handle', '?')} of table {rule['table']} ({_shown(_wishes(rule))})"
        for rule in rules.rules_of(chain)
        if not _is_quiet(rule)
        and not any(_fits(_wishes(rule), shape) for shape in shapes)
        and not (chain["hook"] == "output" and _called(rules, rule, _wishes(rule), calls) is not None)
    ]


def _is_quiet(rule: dict[str, Any]) -> bool:
    return all(set(statement) <= QUIET_STATEMENTS for statement in rule.get("expr", []))


def _wishes(rule: dict[str, Any]) -> dict[str, frozenset[str]]:
    """Return what a rule asks of a packet. A question that we cannot read is left out, so that the rule seems wider.

    A rule with a statement that is neither a question nor `accept` (a jump, a map) asks nothing that we could trust.
    """
    wishes = {}
    for statement in rule.get("expr", []):
        if not set(statement) <= QUIET_STATEMENTS | {"accept"}:
            return {}
        match = statement.get("match")
        if match and match["op"] in {"==", "in"}:
            right = match["right"]
            values = right.get("set", [right]) if isinstance(right, dict) else right
            wishes[_key(match["left"])] = frozenset(map(_word, values if isinstance(values, list) else [values]))
    return wishes


def _called(rules: _Ruleset, rule: dict[str, Any], wishes: dict[str, frozenset[str]], calls: Calls) -> list[str] | None:
    """Return where an outbound rule lets the unit call, as `address . port`; None if that is not its own calls."""
    for key in ("ip daddr . tcp dport", "ip6 daddr . tcp dport"):
        for value in wishes.get(key, ()):
            found = rules.elements(rule, value[1:]) if value.startswith("@") else [value]
            if all(_is_called(element, calls) for element in found):
                return found
    return None


def _is_called(element: str, calls: Calls) -> bool:
    word, _, port = element.partition(" . ")
    try:
        address = ip_address(word)  # a prefix or a range is no place, but many
    except ValueError:
        return False
    return port == str(calls.port) and calls.address in {None, address}


def _fits(wishes: dict[str, frozenset[str]], shape: Shape) -> bool:
    return all(key in wishes and wishes[key] <= allowed for key, allowed in shape.items())


def _table(entry: dict[str, Any], key: str = "table") -> tuple[str, str]:
    return str(entry["family"]), str(entry[key])


def _key(left: Any) -> str:
    """Return the left side of a match as nft writes it, such as `tcp dport`."""
    match left:
        case {"meta": {"key": key}}:
            return f"meta {key}"
        case {"ct": {"key": key}}:
            return f"ct {key}"
        case {"payload": {"protocol": protocol, "field": field}}:
            return f"{protocol} {field}"
        case {"concat": parts}:
            return " . ".join(map(_key, parts))
    return "?"


def _word(value: Any) -> str:
    """Return one value, or one element of a set, as nft writes it."""
    match value:
        case {"elem": {"val": inner}}:
            return _word(inner)
        case {"concat": parts}:
            return " . ".join(map(_word, parts))
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case {"range": [first, last]}:
            return f"{first}-{last}"
    return str(value)


def _shown(wishes: dict[str, frozenset[str]]) -> str:
    return ", ".join(f"{key} {'/'.join(sorted(values))}" for key, values in wishes.items()) or "anything"
