"""Read a YAML text that can be read in one way only, and remember on which line each part stands (pure).

Of YAML's guesses only true, false, null and plain whole numbers are kept: ``no``, ``1.10`` and dates are texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from agents.errors import Invalid

LONGEST, MOST_NODES, DEEPEST = 200_000, 20_000, 12
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
_SIMPLER = "Write plain YAML: keys, lists and values."

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """What a file says. ``name`` is what it is called in refusals."""

    name: str
    value: Any
    lines: Mapping[Path, int]

    def refuse(self, path: Path, sentence: str, action: str = "", reason: str = "invalid") -> Invalid:
        """``sentence`` with where in the file it is about."""
        line = next((self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines), 1)
        place = spelled(path)
        where = f"{self.name}, line {line}{f', {place}' if place else ''}"
        return Invalid(f"{where}: {sentence}", field=place or "text", reason=reason, action=action)

    def texts(self) -> Iterator[tuple[Path, str]]:
        """Every text in it, keys too."""
        return _texts((), self.value)


def read(text: str, name: str = "The file") -> Source:
    """Raises Invalid for what is no such text."""
    if len(text) > LONGEST:
        raise Invalid(f"{name} has more than {LONGEST:,} characters.", field="text", action="Split it.")
    try:
        node = _Loader(text).get_single_node()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        said = getattr(error, "problem", None) or "it holds a character that no text has"
        raise Invalid(f"{name}{line}: this cannot be read: {said}.", field="text", action=_SIMPLER) from error
    lines: dict[Path, int] = {}
    value = _value(node, (), lines, name) if node is not None else None
    return Source(name, value, lines)


def spelled(path: Path) -> str:
    """``mcp_servers.github.args[2]``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part[:80]}" for part in path).lstrip(".")


class _Loader(yaml.SafeLoader):
    """Composes without aliases, tags and depths that only an attack has."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        self._nodes += 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _refused("anchors (&) and aliases (*) are not taken; put a text that begins so in quotes", event)
        if getattr(event, "tag", None):
            raise _refused("tags (!) are not taken; put a text that begins so in quotes", event)
        if self._depth >= DEEPEST or self._nodes > MOST_NODES:
            raise _refused("it is nested too deeply or has too many parts", event)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _refused(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def _value(node: yaml.Node, path: Path, lines: dict[Path, int], name: str) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise Invalid(f"{name}, line {line}: a key is a text.", field="text", action=_SIMPLER)
            key: str = key_node.value
            if key in found:
                place = spelled((*path, key))
                raise Invalid(f"{name}, line {line}: {place} stands twice.", field="text", action="Keep one of them.")
            lines[(*path, key)] = line
            found[key] = _value(value_node, (*path, key), lines, name)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, (*path, at), lines, name) for at, each in enumerate(node.value)]
    if not isinstance(node, yaml.ScalarNode) or node.style is not None:
        return node.value
    if node.value.lower() in _WORDS:
        return _WORDS[node.value.lower()]
    return int(node.value) if _WHOLE.fullmatch(node.value) else node.value


def _texts(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key), key
            yield from _texts((*path, key), inner)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _texts((*path, at), inner)
