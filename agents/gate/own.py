"""Rules of the gate that operators write: checked, and put beside the shipped ones. They add and raise, never weaken. Pure.

What to look for is data, as in ``rules/*.yaml``, but texts are given as patterns in which ``*`` stands for anything:
whatever an operator writes, it is read in one pass and takes the gate no time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from agents.errors import Invalid
from agents.gate.rules import (
    LISTS,
    SEVERITIES,
    SWITCHES,
    TEXTS,
    Condition,
    Rule,
    Rules,
    Severity,
    condition,
    rank,
    shipped,
)
from agents.wildcards import fits

PERSON, OPERATORS, NOBODY = "person", "operators", "nobody"
ANSWERS = (PERSON, OPERATORS, NOBODY)
MOST_CONDITIONS, MOST_WORDS, LONGEST_WORD = 10, 50, 200
_TEXTS = TEXTS - {"sql", "sql_without", "trait_like"}
# A condition without a program is only looked at for commands that have one of these.
_INSTEAD = frozenset({"trait", "writes", "code", "assigned"})
_RAISING = frozenset({"rule", "at_least"})


@dataclass(frozen=True, slots=True)
class Own:
    """One rule of an operator. ``when`` is canonical JSON; ``answer`` says who may allow what falls under it."""

    name: str
    severity: Severity
    answer: str
    sentence: str
    when: str
    version: int = 1

    @property
    def id(self) -> str:
        """How findings and keys call it."""
        return f"own:{self.name}"


class Shape:
    """Patterns with ``*``, asked as a regular expression would be."""

    __slots__ = ("patterns",)

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)

    def search(self, text: str) -> bool:
        """Is the whole text of one of the shapes?"""
        return any(fits(pattern, text) for pattern in self.patterns)


def checked(given: Any) -> str:
    """What to look for, as the JSON that is stored. Invalid for what no rule may say."""
    entries = given if isinstance(given, list) else [given]
    if not 1 <= len(entries) <= MOST_CONDITIONS:
        raise _wrong(f"A rule has 1 to {MOST_CONDITIONS} conditions.")
    plain = [_entry(each) for each in entries]
    if any(_RAISING & each.keys() for each in plain) and len(plain) > 1:
        raise _wrong("A rule that raises shipped rules has one condition.")
    return json.dumps(plain[0] if len(plain) == 1 else plain, ensure_ascii=False, sort_keys=True)


def _entry(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not given:
        raise _wrong("What to look for is a table such as {program: [terraform], first: [apply, destroy]}.")
    made: dict[str, Any] = {}
    for key, value in given.items():
        if key in SWITCHES:
            if value is not True:
                raise _wrong(f"{key} is true, or left out.")
            made[key] = True
        elif key == "at_least":
            if value not in SEVERITIES:
                raise _wrong(f"at_least is one of {', '.join(SEVERITIES)}.")
            made[key] = value
        elif key in LISTS or key in _TEXTS or key == "rule":
            made[key] = _words(key, value)
        else:
            known = sorted({*LISTS, *_TEXTS, *SWITCHES, *_RAISING})
            raise _wrong(f"No condition is called {str(key)[:40]!r}.", f"There are {', '.join(known)}.")
    if raising := _RAISING & made.keys():
        if len(made) > 1:
            raise _wrong(f"{', '.join(sorted(raising))} stands alone: it raises rules that come with Logos.")
        known_ids = {rule.id for rule in shipped().all}
        if unknown := [each for each in made.get("rule", ()) if each not in known_ids]:
            raise _wrong(
                f"No rule that comes with Logos is called {unknown[0][:60]!r}.", "./logos gate rules lists them."
            )
    elif "program" not in made and not _INSTEAD & made.keys():
        raise _wrong(f"Say which program it is about (* for any), or {', '.join(sorted(_INSTEAD))}.")
    return made


def _words(key: str, value: Any) -> list[str]:
    words = value if isinstance(value, list) else [value]
    if not 1 <= len(words) <= MOST_WORDS or not all(isinstance(each, str) and each for each in words):
        raise _wrong(f"{key} is a word, or a list of 1 to {MOST_WORDS} words.")
    if any(len(each) > LONGEST_WORD or not each.isprintable() for each in words):
        raise _wrong(f"A word of {key} has {LONGEST_WORD} visible characters at most.")
    return [each.lstrip("-") or each for each in words] if key == "flags" else list(words)


def _wrong(message: str, action: str = "") -> Invalid:
    return Invalid(message, field="when", action=action or "docs/command-gate.md says what a rule may look for.")


def raises(own: Own) -> bool:
    """Does it change how bad shipped rules are, in place of looking for something itself?"""
    when = json.loads(own.when)
    return isinstance(when, dict) and bool(_RAISING & when.keys())


def raised_by(own: Own) -> Iterator[Rule]:
    """The shipped rules that it is about."""
    when = json.loads(own.when)
    for rule in shipped().all:
        if rule.id in when.get("rule", ()) or rank(rule.severity) >= rank(when.get("at_least", "")) >= 0:
            yield rule


@lru_cache(maxsize=128)
def extended(own: tuple[Own, ...]) -> Rules:
    """The shipped rules with these."""
    if not own:
        return shipped()
    found = {rule.id: rule for rule in shipped().all}
    for each in own:
        if not raises(each):
            found[each.id] = _as_rule(each)
            continue
        for rule in raised_by(each):
            known = found[rule.id]
            found[rule.id] = replace(
                known,
                severity=max(known.severity, each.severity, key=rank),
                sentence=each.sentence or known.sentence,
                hardline=known.hardline or each.answer == NOBODY,
                operators=known.operators or each.answer == OPERATORS,
            )
    return Rules(found.values())


def _as_rule(own: Own) -> Rule:
    when = json.loads(own.when)
    conditions = tuple(_condition(own.id, each) for each in (when if isinstance(when, list) else [when]))
    return Rule(
        own.id, own.severity, own.sentence, conditions, own.answer == NOBODY, "own", operators=own.answer == OPERATORS
    )


def _condition(name: str, entry: Mapping[str, Any]) -> Condition:
    texts = {key: Shape(value) for key, value in entry.items() if key in _TEXTS}
    made = condition(name, {key: value for key, value in entry.items() if key not in _TEXTS}, {})
    return replace(made, expressions=tuple(texts.items()))


def weakens(before: Own, after: Own | None) -> bool:
    """Could anything pass with ``after`` (None: without it) that was asked or stopped before? Said rather too often."""
    if after is None or before.when != after.when:
        return True
    return ANSWERS.index(after.answer) < ANSWERS.index(before.answer) or rank(after.severity) < rank(before.severity)
