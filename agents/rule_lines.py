"""A policy's rules as people write them: one line a rule, or the same as JSON. Pure.

    pypi.org, *.pythonhosted.org : 443 by /usr/bin/pip as packages
    deny tracker.example.org

After the hosts come ports (443 when none are named), the programs that may (any when none are), and a name (the first
host when there is none). What ``write`` gives, ``read`` reads back to the same rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from agents import strict_json
from agents.errors import Invalid
from agents.hosts import pattern
from agents.reach import DEFAULT_PORTS, Rule, default_name, one, parse

SYNTAX = "Write it as: host, host : port by /path/of/program as name."
_LINE = re.compile(
    r"(?:(?P<effect>allow|deny)\s+)?"
    r"(?P<hosts>[^\s:,]+(?:\s*,\s*[^\s:,]+)*)"
    r"(?:\s*:\s*(?P<ports>[0-9]{1,7}(?:\s*,\s*[0-9]{1,7})*))?"
    r"(?:\s+by\s+(?P<binaries>/[^\s,]+(?:\s*,\s*/[^\s,]+)*))?"
    r"(?:\s+as\s+(?P<name>\S.*))?\Z"
)


def read(text: str) -> tuple[Rule, ...]:
    """The rules in a text of lines, or of JSON when it begins with a bracket. Invalid names the line."""
    if text.lstrip()[:1] in ("[", "{"):
        return parse(strict_json.loads(text))
    return parse_lines(text.splitlines())


def parse_lines(lines: Iterable[str], taken: Iterable[str] = ()) -> tuple[Rule, ...]:
    """The rules of these lines; empty ones are none. No rule gets a name that is ``taken`` by not saying one."""
    lines, found = list(lines), list[Rule]()
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    for number in numbers:
        try:
            entry = _entry(lines[number - 1].strip())
            found.append(one(entry, taken=[*taken, *(rule.name for rule in found)]))
        except Invalid as error:
            where = f"Line {number}: " if len(lines) > 1 else ""
            raise Invalid(f"{where}{error.message}", field="rules", action=error.action) from error
    return parse([rule.as_json() for rule in found])


def write(document: Any) -> str:
    """The lines of stored rules; as JSON what is no list of rules, so that nothing stored is hidden."""
    try:
        return "\n".join(_line(entry, document[:number]) for number, entry in enumerate(document))
    except (AttributeError, KeyError, TypeError, IndexError):
        return json.dumps(document, ensure_ascii=False, indent=1)


def hosts_of(document: Any) -> list[str]:
    """The hosts that stored rules name for allowing, each once, in their order; of whatever can be read."""
    entries = [entry for entry in document or () if isinstance(entry, dict)] if isinstance(document, list) else []
    allowed = (entry.get("hosts") or () for entry in entries if entry.get("effect", "allow") == "allow")
    return list(dict.fromkeys(str(host) for hosts in allowed for host in hosts))


def _entry(line: str) -> dict[str, Any]:
    found = _LINE.match(line)
    if found is None:
        shown = line if len(line) <= 80 else f"{line[:80]}…"
        raise Invalid(f"“{shown}” is no rule.", field="rules", action=SYNTAX)
    entry: dict[str, Any] = {
        "hosts": list(dict.fromkeys(map(pattern, _list(found["hosts"])))),
        "effect": found["effect"] or "allow",
    }
    if found["ports"]:
        entry["ports"] = [int(port) for port in _list(found["ports"])]
    if found["binaries"]:
        entry["binaries"] = _list(found["binaries"])
    if found["name"]:
        entry["name"] = found["name"]
    return entry


def _list(text: str) -> list[str]:
    # Somebody who names a host twice in one line means it once.
    return list(dict.fromkeys(part.strip() for part in text.split(",")))


def _line(entry: dict[str, Any], before: list[dict[str, Any]]) -> str:
    parts = ["deny"] if entry["effect"] == "deny" else []
    parts.append(", ".join(entry["hosts"]))
    if tuple(entry["ports"]) != DEFAULT_PORTS:
        parts.append(": " + ", ".join(map(str, entry["ports"])))
    if entry["binaries"]:
        parts.append("by " + ", ".join(entry["binaries"]))
    if entry["name"] != default_name(entry["hosts"][0], {each["name"] for each in before}):
        parts.append(f"as {entry['name']}")
    return " ".join(parts)
