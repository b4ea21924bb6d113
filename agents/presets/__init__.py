"""The presets that come with Logos: files in this folder, read strictly, each a name, a category and rules.

``agents.preset_library`` makes rows of them. They are YAML, which the project reads already (SOUL.md), because a
list of hosts with names is what YAML is good at; what makes YAML ambiguous is refused: a key written twice, aliases,
values that are neither text nor number, and keys that mean nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agents.errors import Invalid, NotFound
from agents.reach import parse

FOLDER = Path(__file__).parent
_KEYS = frozenset({"name", "category", "description", "rules"})


@dataclass(frozen=True, slots=True)
class Shipped:
    """One of them. ``rules`` are in the one spelling that rows have."""

    slug: str
    name: str
    category: str
    description: str
    rules: tuple[dict[str, Any], ...]

    @property
    def sha256(self) -> str:
        return digest(self.name, self.category, self.description, list(self.rules))


@cache
def every() -> tuple[Shipped, ...]:
    """All of them, by name."""
    return tuple(sorted((read(path) for path in FOLDER.glob("*.yaml")), key=lambda each: each.name.casefold()))


def get(slug: str) -> Shipped:
    """The one of this name; NotFound when there is none."""
    for each in every():
        if each.slug == slug:
            return each
    raise NotFound("A preset of this name that comes with Logos")


def digest(name: str, category: str, description: str, rules: list[dict[str, Any]]) -> str:
    """What tells whether a row still says what was shipped."""
    text = json.dumps([name, category, description, rules], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read(path: Path) -> Shipped:
    """The preset in this file. Raises Invalid."""
    data = loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or set(data) != _KEYS:
        raise Invalid(f"{path.name} does not say exactly: {', '.join(sorted(_KEYS))}.")
    rules = tuple(rule.as_json() for rule in parse(data.pop("rules")))
    return Shipped(path.stem, rules=rules, **data)


def loads(text: str) -> Any:
    """The value of a YAML text that can be read in one way only. Raises Invalid."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a safe loader that refuses more)
    except (yaml.YAMLError, RecursionError) as error:
        raise Invalid(f"This is not the YAML we read: {error}") from error


class _Loader(yaml.SafeLoader):
    """A safe loader without aliases and without a second value for a key."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not taken")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.YAMLError(f"a key that is no text: {key.value!r}")
            if key.value in seen:
                raise yaml.YAMLError(f"the key {key.value!r} is written twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)
