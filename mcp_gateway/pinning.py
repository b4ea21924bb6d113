"""What identifies a tool's definition, and which of its parts a person should look at twice (pure)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

# What a model or a client reads of a tool. Another of these is another tool; what is not here is not passed on.
PARTS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations", "icons", "execution", "_meta")
# What else of a server a model reads is pinned beside its tools, under names that no tool has.
INSTRUCTIONS, PROMPT, RESOURCE, TEMPLATE = "(instructions)", "(prompt) ", "(resource) ", "(template) "
# The longest of these names, and of a tool's.
LONGEST = 128
_VERSION = re.compile(r"[0-9A-Za-z.+_-]{1,40}")
# Written but not seen, or changing the direction of what is: nothing an honest description needs.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)


def definition(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a tool that are pinned and passed on."""
    return {name: tool[name] for name in PARTS if name in tool}


def is_tool(name: str) -> bool:
    """Is this pinned under the name of a tool, and not one of the others?"""
    return name != INSTRUCTIONS and not name.startswith((PROMPT, RESOURCE, TEMPLATE))


def of_instructions(text: str, info: Mapping[str, Any]) -> dict[str, Any]:
    """What a server says of itself and calls itself, as it is pinned: also that it says nothing."""
    return {"name": INSTRUCTIONS, "title": title(info), "description": text}


def title(info: Mapping[str, Any]) -> str:
    """What a server calls itself."""
    return str(info.get("title") or info.get("name") or "")


def version(info: Mapping[str, Any]) -> str:
    """Which version of itself it says it is, if that is one: it may be another tomorrow, and is no sentence."""
    said = info.get("version")
    return said if isinstance(said, str) and _VERSION.fullmatch(said) else ""


def of_prompt(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """A prompt, as it is pinned."""
    kept = {name: value for name, value in prompt.items() if name not in ("name", "arguments")}
    return {**kept, "name": f"{PROMPT}{prompt['name']}", "inputSchema": prompt.get("arguments", [])}


def prompt(offered: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a prompt that are pinned and passed on."""
    parts = ("name", "title", "description", "arguments", "icons", "_meta")
    return {name: offered[name] for name in parts if name in offered}


def name_of_resource(prefix: str, address: str) -> str:
    """The name a resource or a template of resources is pinned under: long addresses end in a part of their digest."""
    name = f"{prefix}{address}"
    mark = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 17]}~{mark}"


def of_resource(prefix: str, shown: Mapping[str, Any]) -> dict[str, Any]:
    """A resource or a template of resources as agents are shown it, as it is pinned; how large it is changes all day."""
    kept = {name: value for name, value in shown.items() if name in ("title", "description", "annotations", "_meta")}
    address = shown["uriTemplate" if prefix == TEMPLATE else "uri"]
    rest = {name: value for name, value in shown.items() if name not in kept and name != "size"}
    return {**kept, "name": name_of_resource(prefix, address), "inputSchema": rest}


def digest(tool: Mapping[str, Any]) -> str:
    """The same for the same definition, however it is spelled."""
    canonical = json.dumps(definition(tool), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def flags(tool: Mapping[str, Any]) -> list[str]:
    """What in a definition no reader sees."""
    hidden = {character for text in _texts(definition(tool)) for character in _HIDDEN.findall(text)}
    found = sorted(f"U+{ord(character):04X}" for character in hidden)
    return [f"It holds characters that cannot be seen: {', '.join(found)}."] if found else []


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from (name, *_texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
