"""The operators' rules as people write them: YAML, or JSON. Pure.

- name: no-terraform
  severity: high
  answer: operators
  sentence: Changes what runs in the cloud.
  when: {program: [terraform], first: [apply, destroy]}
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from agents.errors import Invalid

LONGEST = 100_000
FIELDS = ("name", "severity", "answer", "sentence", "when")


def read(text: str) -> list[dict[str, Any]]:
    """A whole list of rules. Invalid for what is none."""
    found = _loaded(text, "rules") if text.strip() else []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Invalid("A draft is a list of rules, each with name, severity, answer, sentence and when.", field="rules")
    for number, each in enumerate(found, 1):
        if unknown := [str(key) for key in each if key not in FIELDS]:
            raise Invalid(f"Rule {number} holds {unknown[0][:40]!r}, which means nothing here.", field="rules")
        if missing := [name for name in ("name", "severity", "when") if name not in each]:
            raise Invalid(f"Rule {number} has no {missing[0]}.", field="rules")
        if not all(isinstance(each.get(name, ""), str) for name in FIELDS[:-1]):
            raise Invalid(f"Rule {number}: name, severity, answer and sentence are texts.", field="rules")
    return found


def read_when(text: str) -> Any:
    """What one rule looks for."""
    return _loaded(text, "when")


def _loaded(text: str, field: str) -> Any:
    if len(text) > LONGEST:
        raise Invalid(f"A text of rules has {LONGEST:,} characters at most.", field=field)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise Invalid("Put patterns that begin with * in quotes.", field=field)
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise Invalid(
            f"This cannot be read{line}.", field=field, action="Write YAML, with patterns that hold : or * in quotes."
        ) from error


def write_when(when: Any) -> str:
    """What one rule looks for, as lines."""
    return _dumped(when)


def write(rows: Iterable[Any]) -> str:
    """Stored rules as a draft."""
    found = [{name: getattr(row, name) for name in FIELDS if getattr(row, name)} for row in rows]
    return _dumped(found) if found else ""


def _dumped(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=None, sort_keys=False, allow_unicode=True, width=110).strip()
