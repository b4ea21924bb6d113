"""SOUL.md: a soul as one file, front matter in YAML and then its text; read and written (pure).

What is read is what was written, to the letter. A file without front matter is all text, as the souls of other
runtimes are; what the front matter holds beyond what we know is left out and said so, never guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import yaml

from agents.errors import Invalid
from agents.toolsets import LISTS, NO_LISTS, TOOLSETS, ToolsetLists

# The longest text in the widest letters, and its front matter.
MAX_BYTES = 100_000
MAX_FRONT = 8_000

_FENCE = "---"
_TEXTS = ("name", "description", "category")


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything of a soul that a person writes. ``notes`` says what a file held that is not in here."""

    name: str = ""
    description: str = ""
    category: str = ""
    tags: tuple[str, ...] = ()
    toolsets: ToolsetLists = NO_LISTS
    text: str = ""
    notes: tuple[str, ...] = ()

    def parts(self) -> dict[str, Any]:
        """As ``agents.souls.create`` and ``change`` take them."""
        names = ("name", "description", "category", "tags", "toolsets", "text")
        return {name: getattr(self, name) for name in names}


def decode(data: bytes) -> str:
    """An uploaded file as text. Raises Invalid when it is too large or not UTF-8."""
    if len(data) > MAX_BYTES:
        raise _invalid(f"A SOUL.md may have {MAX_BYTES // 1000} KB; this one has {len(data) / 1000:,.0f} KB.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid("This file is not UTF-8 text.", "Save it as UTF-8 and try again.") from error


def render(sheet: Sheet) -> str:
    """The file of a soul."""
    front: dict[str, Any] = {name: getattr(sheet, name) for name in _TEXTS if getattr(sheet, name)}
    if sheet.tags:
        front["tags"] = list(sheet.tags)
    if lists := {kind: names for kind, names in sheet.toolsets.as_json().items() if names}:
        front["toolsets"] = lists
    written = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000) if front else ""
    return f"{_FENCE}\n{written}{_FENCE}\n{sheet.text}"


def parse(content: str, file_name: str = "") -> Sheet:
    """What a file says. Without a name in it the soul is called after its first heading, or after the file.
    Raises Invalid for front matter that cannot be read, with the line where it is known."""
    content = content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(content.encode(errors="replace")) > MAX_BYTES:
        raise _invalid(f"A SOUL.md may have {MAX_BYTES // 1000} KB.")
    front, text = _split(content)
    notes: list[str] = []
    values = _mapping(front)
    texts = {name: _text(values.pop(name, None), name) for name in _TEXTS}
    tags = _words(values.pop("tags", None), "tags")
    lists = _lists(values.pop("toolsets", None), notes)
    notes += [f"“{str(name)[:40]}” means nothing here and was left out." for name in values]
    texts["name"] = texts["name"] or _name_from(text, file_name)
    return Sheet(**texts, tags=tags, toolsets=lists, text=text, notes=tuple(notes))


def _split(content: str) -> tuple[str, str]:
    if not content.startswith(f"{_FENCE}\n"):
        return "", content
    rest = content[len(_FENCE) + 1 :]
    found = re.search(r"^---[ \t]*(?:\n|\Z)", rest, re.MULTILINE)
    if found is None:
        raise _invalid("The front matter has no end.", "Put --- on a line of its own before the text.")
    if found.start() > MAX_FRONT:
        raise _invalid(f"The front matter may have {MAX_FRONT:,} characters.", "Put the soul itself below it.")
    return rest[: found.start()], rest[found.end() :]


class _Loader(yaml.BaseLoader):
    """YAML in which every value is a text, so that a soul called "on" or "1e3" keeps its name; and without aliases,
    because a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not taken")
        return super().compose_node(parent, index)


def _mapping(front: str) -> dict[Any, Any]:
    try:
        values = yaml.load(front, _Loader)  # noqa: S506 (makes texts, lists and mappings, nothing else)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 2}" if mark else ""
        raise _invalid(f"The front matter cannot be read{where}.", "It is YAML: one “key: value” a line.") from error
    if values is None or values == "":
        return {}
    if not isinstance(values, dict):
        raise _invalid("The front matter is not a list of names and values.", "It is YAML: one “key: value” a line.")
    return values


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str | None):
        raise _invalid(f"In the front matter, {name} is not a text.")
    return re.sub(r"\s*\n\s*", " ", (value or "").strip())


def _words(value: Any, name: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = re.split(r"[\s,]+", value.strip())
    if not isinstance(value, list | None) or not all(isinstance(word, str) for word in value or ()):
        raise _invalid(f"In the front matter, {name} is not a list of words.")
    return tuple(word for word in value or () if word)


def _lists(value: Any, notes: list[str]) -> ToolsetLists:
    if not value:
        return NO_LISTS
    if not isinstance(value, dict):
        raise _invalid("In the front matter, toolsets is not one list per kind.", f"Kinds are: {', '.join(LISTS)}.")
    found: dict[str, tuple[str, ...]] = {}
    for kind, names in value.items():
        if kind not in LISTS:
            notes.append(f"“{str(kind)[:40]}” is no kind of toolset list and was left out.")
            continue
        words = _words(names, f"toolsets.{kind}")
        notes += [
            f"There is no toolset called {word[:40]} here; it was left out." for word in words if word not in TOOLSETS
        ]
        found[kind] = tuple(word for word in words if word in TOOLSETS)
    return ToolsetLists(**found)


def _name_from(text: str, file_name: str) -> str:
    heading = re.search(r"^#[ \t]+(\S.*)$", text, re.MULTILINE)
    if heading:
        return heading[1].strip(" #\t")[:80]
    stem = PurePath(file_name.replace("\\", "/")).stem
    return "" if stem.lower() == "soul" else re.sub(r"[-_]+", " ", stem).strip()[:80]


def _invalid(message: str, action: str = "") -> Invalid:
    return Invalid(message, field="file", action=action)
