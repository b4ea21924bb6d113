"""How programs read their words, from ``rules/programs.yaml``: wrappers, interpreters, options with values. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agents.gate.acts import Word

RULES = Path(__file__).parent / "rules"
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_VERSIONED = re.compile(r"(python|pypy|perl|ruby|php|lua|node)[0-9][0-9.]*\Z")
_PLACEHOLDER = re.compile(r"\$(?:\w+|[@*#?$!-])")


@dataclass(frozen=True, slots=True)
class Wrapper:
    """What a program that runs another one does with its words."""

    values: frozenset[str] = frozenset()
    code: frozenset[str] = frozenset()
    skip: int = 0
    shell: bool = False
    assigns: bool = False
    stdin: bool = False
    anywhere: bool = False
    after: str = ""
    verbs: frozenset[str] = frozenset()


@dataclass(slots=True)
class Options:
    """The words of a command, sorted."""

    flags: set[str] = field(default_factory=set)
    values: dict[str, Word] = field(default_factory=dict)
    rest: list[Word] = field(default_factory=list)
    assigned: list[tuple[str, str]] = field(default_factory=list)


@cache
def known() -> dict[str, Any]:
    """The table, read once."""
    table: dict[str, Any] = yaml.safe_load((RULES / "programs.yaml").read_text("utf-8"))
    table["wrappers"] = {name: _wrapper(given) for name, given in table["wrappers"].items()}
    table["interpreters"] = {name: frozenset(options) for name, options in table["interpreters"].items()}
    table["values"] = {name: frozenset(options) for name, options in table["values"].items()}
    table["shells"] = frozenset(table["shells"])
    return table


def _wrapper(given: dict[str, Any]) -> Wrapper:
    values: Any = {key: frozenset(value) if isinstance(value, list) else value for key, value in given.items()}
    return Wrapper(**values)


def program(word: Word) -> str:
    """The name of the program: without its directory and its version, and without what is not known."""
    text = word.text if word.known else _PLACEHOLDER.sub("", word.text)
    name = posixpath.basename(text.rstrip("/")) if "/" in text else text
    found = _VERSIONED.match(name)
    return found[1] if found else name


def sort(
    args: Sequence[Word], values: frozenset[str] = frozenset(), *, stop: bool = False, assigns: bool = False
) -> Options:
    """Options, their values and the rest. ``stop``: at the first word that is none, as a wrapper reads its own."""
    found, at, count = Options(), 0, len(args)
    while at < count:
        word, text = args[at], args[at].text
        at += 1
        if text == "--":
            found.rest.extend(args[at:])
            break
        if len(text) > 1 and text[0] == "-":
            at = _option(text, word, args, at, values, found)
        elif assigns and _ASSIGNMENT.match(text):
            name, _, value = text.partition("=")
            found.assigned.append((name, value))
        else:
            found.rest.append(word)
            if stop:
                found.rest.extend(args[at:])
                break
    return found


def _option(text: str, word: Word, args: Sequence[Word], at: int, values: frozenset[str], found: Options) -> int:
    if text[1] == "-":
        name, equals, value = text[2:].partition("=")
        found.flags.add(name)
        if equals:
            found.values[name] = Word(value, word.known)
        elif name in values and at < len(args):
            found.values[name] = args[at]
            return at + 1
        return at
    letters = text[1:]
    if len(letters) > 1:
        found.flags.add(letters)  # find -delete, openssl -d
    for number, letter in enumerate(letters):
        found.flags.add(letter)
        if letter in values:
            rest = letters[number + 1 :]
            if rest:
                found.values[letter] = Word(rest.removeprefix("="), word.known)
            elif at < len(args):
                found.values[letter] = args[at]
                return at + 1
            break
    return at
