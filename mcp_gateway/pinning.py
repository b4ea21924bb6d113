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
INSTRUCTIONS, PROMPT = "(instructions)", "(prompt) "
# Written but not seen, or changing the direction of what is: nothing an honest description needs.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)


def definition(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a tool that are pinned and passed on."""
    return {name: tool[name] for name in PARTS if name in tool}


def is_tool(name: str) -> bool:
    """Is this pinned under the name of a tool, and not one of the others?"""
    return name != INSTRUCTIONS and not name.startswith(PROMPT)


def of_instructions(text: str, info: Mapping[str, Any]) -> dict[str, Any]:
    """What a server says of itself and calls itself, as it is pinned: also that it says nothing."""
    return {"name": INSTRUCTIONS, "title": str(info.get("title") or info.get("name") or ""), "description": text}


def of_prompt(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """A prompt, as it is pinned."""
    kept = {name: value for name, value in prompt.items() if name not in ("name", "arguments")}
    return {**kept, "name": f"{PROMPT}{prompt['name']}", "inputSchema": prompt.get("arguments", [])}


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
