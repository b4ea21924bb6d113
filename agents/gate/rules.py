"""The rules of the gate: data in ``rules/*.yaml``, compiled once, asked for one simple command at a time. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Literal, Protocol

import yaml

from agents.gate.acts import Act
from agents.gate.programs import RULES

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
_NOT_RULES = ("programs", "patterns")
# What a condition may say; each must hold. A list means: one of them.
LISTS = frozenset({"program", "flags", "first", "second", "under", "trait"})
TEXTS = frozenset(
    {
        "path", "first_path", "last_path", "last", "word", "operand", "line", "sql", "sql_without",
        "writes", "code", "trait_like", "assigned",
    }
)  # fmt: skip
SWITCHES = frozenset({"unknown", "argument", "fed"})
Switch = Callable[[Act], bool]


class Searching(Protocol):
    """What looks at a text: a regular expression, or patterns of an operator."""

    def search(self, text: str, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Condition:
    """One way to fall under a rule. An empty set asks for nothing."""

    programs: frozenset[str]
    first: frozenset[str]
    second: frozenset[str]
    flags: frozenset[str]
    long_flags: tuple[str, ...]
    under: frozenset[str]
    traits: frozenset[str]
    switches: tuple[Switch, ...]
    expressions: tuple[tuple[str, Searching], ...]

    def holds(self, act: Act) -> bool:
        """Does the command fall under it? Its program has been looked at already."""
        if self.flags and not (self.flags & act.flags or (self.long_flags and self._is_cut_short(act))):
            return False
        if self.first and not (act.operands and act.operands[0].text in self.first):
            return False
        if self.second and (len(act.operands) < 2 or act.operands[1].text not in self.second):
            return False
        if (self.under and not self.under.intersection(act.wrappers)) or (self.traits and not self.traits & act.traits):
            return False
        for switch in self.switches:
            if not switch(act):
                return False
        for name, expression in self.expressions:  # noqa: SIM110 (a generator takes twice as long)
            if not _found(name, expression, act):
                return False
        return True

    def _is_cut_short(self, act: Act) -> bool:
        """Long names may be cut short: --recurs is --recursive."""
        given = tuple(flag for flag in act.flags if len(flag) > 1)
        return any(name.startswith(flag) for flag in given for name in self.long_flags)


@dataclass(frozen=True, slots=True)
class Rule:
    """What to look for, how bad it is, and one sentence that says so to a person."""

    id: str
    severity: Severity
    sentence: str
    conditions: tuple[Condition, ...]
    hardline: bool = False  # nobody may approve it
    group: str = ""
    fires: tuple[str, ...] = ()
    spares: tuple[str, ...] = ()
    operators: bool = False  # only operators and admins may


def rank(severity: str) -> int:
    """How bad it is, for comparing; -1 for nothing."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1


class Rules:
    """All rules, found by the program they are about."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.all = tuple(rules)
        # By program, and the first word it must be given ("" for any).
        self._named: dict[tuple[str, str], list[tuple[Rule, Condition]]] = {}
        self._globs: list[tuple[str, Rule, Condition]] = []
        self._any: list[tuple[Rule, Condition]] = []
        for rule in self.all:
            for condition in rule.conditions:
                self._file(rule, condition)
        self._first = frozenset(pattern[0] for pattern, _, _ in self._globs)
        self._is_any = "*" in self._first
        # Of the conditions about any program, those that can hold for a command with these of ``_HAS``.
        self._any_with = {
            have: [each for each in self._any if not _needs(each[1]) & ~have] for have in range(1 << len(_HAS))
        }

    def _file(self, rule: Rule, condition: Condition) -> None:
        for name in condition.programs:
            if "*" in name:
                self._globs.append((name, rule, condition))
            for verb in condition.first or ("",):
                self._named.setdefault((name, verb), []).append((rule, condition))
        if not condition.programs:
            self._any.append((rule, condition))

    def fired_by(self, act: Act) -> Iterator[Rule]:
        """The rules that this command falls under."""
        if act.name:
            for rule, condition in self._named.get((act.name, ""), ()):
                if condition.holds(act):
                    yield rule
            if act.operands:
                for rule, condition in self._named.get((act.name, act.operands[0].text), ()):
                    if condition.holds(act):
                        yield rule
            if self._is_any or act.name[0] in self._first:
                for pattern, rule, condition in self._globs:
                    if fnmatchcase(act.name, pattern) and condition.holds(act):
                        yield rule
        have = bool(act.traits) | bool(act.writes) << 1 | bool(act.assigned) << 2 | bool(act.code) << 3
        if have:
            for rule, condition in self._any_with[have]:
                if condition.holds(act):
                    yield rule


_HAS = ("trait", "writes", "assigned", "code")


def _needs(condition: Condition) -> int:
    """What of ``_HAS`` a command must have for the condition to hold."""
    asked = {name for name, _ in condition.expressions} | ({"trait"} if condition.traits else set())
    asked |= {"trait"} if "trait_like" in asked else set()
    return sum(1 << number for number, name in enumerate(_HAS) if name in asked)


def _found(name: str, expression: Searching, act: Act) -> bool:
    if name == "sql_without":
        return not expression.search(_sql(act))
    search = expression.search
    for text in _TEXTS[name](act):  # noqa: SIM110 (as above)
        if search(text):
            return True
    return False


def _sql(act: Act) -> str:
    return f"{act.line}\n{act.code}"


def _line(act: Act) -> tuple[str, ...]:
    return (act.line,)


_TEXTS: dict[str, Any] = {
    "path": lambda act: (word.path for word in (*act.operands, *(w for w in act.args if w.text[:1] == "/"))),
    "first_path": lambda act: (word.path for word in act.operands[:1]),
    "last_path": lambda act: (word.path for word in act.operands[-1:]),
    "last": lambda act: (word.text for word in act.args[-1:]),
    "word": lambda act: (word.text for word in act.args),
    "operand": lambda act: (word.text for word in act.operands),
    "line": _line,
    "sql": lambda act: (_sql(act),),
    "writes": lambda act: (word.path for word in act.writes),
    "code": lambda act: (act.code,) if act.code else (),
    "trait_like": lambda act: act.traits,
    "assigned": lambda act: (name for name, _ in act.assigned),
}
_SWITCH: dict[str, Switch] = {
    "unknown": lambda act: any(not word.known for word in act.operands),
    "argument": lambda act: bool(act.args),
    "fed": lambda act: bool(act.stdin.sources),
}


@cache
def shipped() -> Rules:
    """The rules that come with Logos."""
    patterns = _read("patterns")
    files = sorted(path for path in RULES.glob("*.yaml") if path.stem not in _NOT_RULES)
    return Rules(compiled(entry, patterns, path.stem) for path in files for entry in _read(path.stem))


def compiled(entry: Mapping[str, Any], patterns: Mapping[str, str], group: str = "") -> Rule:
    """One rule as it is written in a file. Raises ValueError for what no rule may say."""
    if entry["severity"] not in SEVERITIES:
        raise ValueError(f"{entry['id']}: no severity is called {entry['severity']}.")
    when = entry["when"]
    return Rule(
        id=entry["id"],
        severity=entry["severity"],
        sentence=entry["sentence"],
        conditions=tuple(
            condition(entry["id"], each, patterns) for each in ([when] if isinstance(when, dict) else when)
        ),
        hardline=bool(entry.get("hardline", False)),
        group=group,
        fires=tuple(entry.get("fires", ())),
        spares=tuple(entry.get("spares", ())),
    )


def condition(rule: str, entry: Mapping[str, Any], patterns: Mapping[str, str]) -> Condition:
    """One condition as it is written in a file."""
    unknown = entry.keys() - LISTS - TEXTS - SWITCHES
    if unknown:
        raise ValueError(f"{rule}: no condition is called {', '.join(sorted(unknown))}.")
    lists = {key: frozenset(map(str, value)) for key, value in entry.items() if key in LISTS}
    flags = lists.get("flags", frozenset())
    return Condition(
        programs=lists.get("program", frozenset()),
        first=lists.get("first", frozenset()),
        second=lists.get("second", frozenset()),
        flags=flags,
        long_flags=tuple(flag for flag in flags if len(flag) > 2),
        under=lists.get("under", frozenset()),
        traits=lists.get("trait", frozenset()),
        switches=tuple(_SWITCH[key] for key in entry if key in SWITCHES),
        expressions=tuple((key, _expression(key, text, patterns)) for key, text in entry.items() if key in TEXTS),
    )


def _expression(key: str, text: str, patterns: Mapping[str, str]) -> re.Pattern[str]:
    text = re.sub(r"<<(\w+)>>", lambda found: f"(?:{patterns[found[1]]})", text)
    return re.compile(text, re.IGNORECASE if key in ("sql", "sql_without", "line") else 0)


def _read(name: str) -> Any:
    return yaml.safe_load((RULES / f"{name}.yaml").read_text("utf-8"))
