"""May this agent reach this? Rules over host, port and binary, and a reason for every verdict. Pure.

Nothing is allowed that no rule allows; a rule that denies wins over every rule that allows. A host is decided by its
name before anybody looks it up, so that a refused name never leaves the machine.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents import hosts
from agents.errors import Invalid

DEFAULT_PORTS = (443,)
MAX_RULES = 1_000
MAX_PER_RULE = 100
# What records say instead of a rule, and the ports, while an agent learns (``agents.learning``).
LEARNING = "learning"
LEARNED_PORTS = (80, 443)
_KEYS = frozenset({"name", "hosts", "ports", "binaries", "effect"})


def place(policy: str, preset: str = "") -> str:
    """Where rules stand: in a policy itself, or in a preset that the policy includes. No id has a plus sign in it."""
    return f"{policy}+{preset}" if preset else policy


def policy_of(stands_in: str) -> str:
    """The policy of a place."""
    return stands_in.partition("+")[0]


def preset_of(stands_in: str) -> str:
    """The preset of a place, "" when it is the policy itself."""
    return stands_in.partition("+")[2]


@dataclass(frozen=True, slots=True)
class Rule:
    """``hosts`` × ``ports`` × ``binaries`` (none: every binary) are allowed or denied. ``policy`` is the place it
    stands in.

    A binary is an absolute path inside the sandbox, or one that ends in ``/*`` for everything below a directory."""

    name: str
    hosts: tuple[str, ...]
    ports: tuple[int, ...] = DEFAULT_PORTS
    binaries: tuple[str, ...] = ()
    allows: bool = True
    policy: str = ""

    @property
    def words(self) -> str:
        """How sentences name the rule; what an agent holds secret is no part of it."""
        preset = preset_of(self.policy)
        return f"{self.name} of the preset {preset}" if preset else self.name

    @property
    def label(self) -> str:
        """How records name the rule: by where it stands, which stays when a policy is renamed, and its name."""
        return f"{self.policy}/{self.name}" if self.policy else self.name

    def as_json(self) -> dict[str, Any]:
        """The rule as a policy holds it, with every part said."""
        return {
            "name": self.name,
            "hosts": list(self.hosts),
            "ports": list(self.ports),
            "binaries": list(self.binaries),
            "effect": "allow" if self.allows else "deny",
        }

    def is_about(self, binary: str) -> bool:
        """Is the rule about this binary? What cannot be told ("") is denied what any program is, allowed nothing."""
        if not binary and not self.allows:
            return True
        return not self.binaries or any(
            binary.startswith(path[:-1]) if path.endswith("/*") else binary == path for path in self.binaries
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Allowed or not, the rule that said so ("" when none did), and the reason as a sentence."""

    allowed: bool
    rule: str
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


class Reach:
    """The rules of one agent, indexed by host: a verdict costs the labels of the name, not the number of rules."""

    def __init__(self, rules: Iterable[Rule], closed: str = "", learns_until: datetime | None = None) -> None:
        """``closed``: nothing is let through, for this reason. ``learns_until``: before that, what no rule covers is."""
        self.rules, self.closed, self.learns_until = tuple(rules), closed, learns_until
        self._by_host: dict[str, list[Rule]] = {}
        for rule in self.rules:
            for host in rule.hosts:
                self._by_host.setdefault(host, []).append(rule)

    def decide(self, host: str, port: int, binary: str = "", at: datetime | None = None) -> Verdict:
        """May ``binary`` (a path; "" when it is not known) open a connection to ``port`` of ``host``? Never raises.

        ``at`` is now, for what may be learned; without it the rules alone decide."""
        if self.closed:
            return Verdict(False, "", self.closed)
        try:
            name = hosts.canonical(host)
        except Invalid as error:
            return Verdict(False, "", error.message)
        about = list(self._about(name))
        fitting = [rule for rule in about if port in rule.ports and rule.is_about(binary)]
        for rule in fitting:
            if not rule.allows:
                return Verdict(False, rule.label, f"The rule {rule.words} denies {name}.")
        if fitting:
            return Verdict(True, fitting[0].label, f"The rule {fitting[0].words} allows it.")
        missed = _nearest_miss(name, port, binary, [rule for rule in about if rule.allows])
        learns = at is not None and self.learns_until is not None and at < self.learns_until
        # A host that is denied on one port or to one program was not meant to be learned on another.
        if learns and all(rule.allows for rule in about) and _is_learned(name, port):
            return Verdict(True, LEARNING, f"{missed} It is let through while the agent learns.")
        return Verdict(False, "", missed)

    def _about(self, name: str) -> Iterator[Rule]:
        """The rules that name this host, those of the exact name first."""
        yield from self._by_host.get(name, ())
        below = name
        while "." in below:
            below = below.partition(".")[2]
            yield from self._by_host.get(f"*.{below}", ())


def _is_learned(name: str, port: int) -> bool:
    """Only what a rule could allow, on the web's own ports; where it leads to must be public, as always."""
    try:
        return port in LEARNED_PORTS and bool(hosts.pattern(name))
    except Invalid:
        return False


def _nearest_miss(name: str, port: int, binary: str, about: list[Rule]) -> str:
    if not about:
        return f"No rule names {name}."
    on_port = [rule for rule in about if port in rule.ports]
    if not on_port:
        ports = ", ".join(str(each) for each in sorted({each for rule in about for each in rule.ports}))
        return f"{name} is allowed on port {ports} only, not on {port}."
    if not binary:
        return f"{name} is allowed for some programs, and which one asked could not be told."
    return f"{name} is allowed for other programs, not for {binary}."


def parse(document: Any, policy: str = "") -> tuple[Rule, ...]:
    """The rules of a policy written as a list of mappings. Invalid with the rule's name for whatever is not exactly
    right: unknown keys, no or repeated names, hosts ``agents.hosts`` refuses, ports out of range, relative paths."""
    if not isinstance(document, list):
        raise Invalid("A policy is a list of rules.", field="rules")
    if len(document) > MAX_RULES:
        raise Invalid(f"A policy may have {MAX_RULES:,} rules; this one has {len(document):,}.", field="rules")
    rules, seen = [], set[str]()
    for number, entry in enumerate(document, 1):
        try:
            rule = one(entry, policy, seen)
        except Invalid as error:
            named = entry.get("name") if isinstance(entry, Mapping) else None
            where = f"Rule {named!r}" if isinstance(named, str) and named else f"Rule {number}"
            raise Invalid(f"{where}: {error.message}", field=error.field, action=error.action) from error
        if rule.name in seen:
            raise Invalid(f"Two rules are called {rule.name!r}.", field="name", action="Give one another name.")
        seen.add(rule.name)
        rules.append(rule)
    return tuple(rules)


def one(entry: Any, policy: str = "", taken: Container[str] = ()) -> Rule:
    """One rule from its mapping; it must not take a name that is ``taken`` when it says none. Invalid as ``parse``."""
    if not isinstance(entry, Mapping):
        raise Invalid("A rule is a mapping with a name and hosts.", field="rules")
    if unknown := sorted(set(map(str, entry)) - _KEYS):
        raise Invalid(
            f"{unknown[0]!r} means nothing here.", field="rules", action=f"There are: {', '.join(sorted(_KEYS))}."
        )
    named = _texts(entry.get("hosts"), "hosts")
    if not named:
        raise Invalid("It names no host.", field="hosts")
    written = _once([hosts.pattern(host) for host in named], "hosts")
    name, effect = entry.get("name", default_name(written[0], taken)), entry.get("effect", "allow")
    if not isinstance(name, str) or not name.strip() or len(name) > 80 or not name.isprintable():
        raise Invalid("A rule needs a name of 1 to 80 visible characters.", field="name")
    if effect not in ("allow", "deny"):
        raise Invalid("The effect is allow or deny.", field="effect")
    return Rule(
        name=name.strip(),
        hosts=written,
        ports=_ports(entry.get("ports", list(DEFAULT_PORTS))),
        binaries=_once([_binary(path) for path in _texts(entry.get("binaries", []), "binaries")], "binaries"),
        allows=effect == "allow",
        policy=policy,
    )


def default_name(host: str, taken: Container[str]) -> str:
    """What a rule is called that nobody named: its first host, with a number when that is taken."""
    name, number = host[:70], 1
    while name in taken:
        number += 1
        name = f"{host[:70]} {number}"
    return name


def summary(rules: Iterable[Rule]) -> tuple[str, ...]:
    """What these let through at most, as host or host:port, sorted."""
    return tuple(
        sorted(
            {
                f"{host}:{port}" if port and port != 443 else host
                for rule in rules
                if rule.allows
                for host in rule.hosts
                for port in rule.ports or (0,)
            }
        )
    )


def _texts(value: Any, field: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise Invalid(f"{field} is a list of texts.", field=field)
    if len(value) > MAX_PER_RULE:
        raise Invalid(f"{field} may have {MAX_PER_RULE} entries.", field=field)
    return value


def _once(values: list[str], field: str) -> tuple[str, ...]:
    if twice := next((value for value in values if values.count(value) > 1), ""):
        raise Invalid(f"{twice} is named twice.", field=field)
    return tuple(values)


def _ports(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or len(value) > MAX_PER_RULE:
        raise Invalid("ports is a list of numbers.", field="ports")
    for port in value:
        # True is an int to Python and no port to anybody.
        if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65_535:
            raise Invalid(f"{port!r} is no port: they go from 1 to 65535.", field="ports")
    if len(set(value)) != len(value):
        raise Invalid("A port is named twice.", field="ports")
    return tuple(value)


def _binary(path: str) -> str:
    stem = path.removesuffix("/*")
    parts = stem.split("/")
    # No blanks and commas: a rule must have one reading as a line, too.
    is_plain = path.isprintable() and not {" ", ","} & set(path)
    if not stem.startswith("/") or not is_plain or {"", ".", ".."} & set(parts[1:]) or "*" in stem:
        raise Invalid(
            f"{path!r} is no absolute path of a program.",
            field="binaries",
            action="Write /usr/bin/git, or /usr/lib/git-core/*.",
        )
    return path
