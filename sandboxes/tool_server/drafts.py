"""Tool rules as people write a draft of them: one line a rule. Pure.

    ask git.*
    block filesystem.* path **/secrets
    allow process.run command pytest *

Rates are no part of a draft: nothing recorded can be judged by them again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agents import strict_json
from agents.errors import Invalid
from sandboxes.tool_server.models import Condition, ToolRule
from sandboxes.tool_server.tiers import Tier

SYNTAX = "Write it as: ask git.*, or block filesystem.* path secrets."


def read(text: str) -> list[dict[str, Any]]:
    """The rules in a text of lines, or of JSON when it begins with a bracket. Invalid names the line."""
    if text.lstrip()[:1] in ("[", "{"):
        found = strict_json.loads(text)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise Invalid('A draft of tool rules is a list such as [{"tool": "git.*", "tier": "ask"}].', field="rules")
        return found
    return [_rule(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _rule(number: int, words: list[str]) -> dict[str, Any]:
    if len(words) < 2 or words[0] not in Tier.values or (len(words) > 2 and words[2] not in Condition.values[1:]):
        raise Invalid(f"Line {number} is no rule for tools.", field="rules", action=SYNTAX)
    if len(words) == 3:
        raise Invalid(f"Line {number} does not say which {words[2]} it is about.", field="rules", action=SYNTAX)
    about = {"condition": words[2], "pattern": " ".join(words[3:])} if len(words) > 3 else {}
    return {"tier": words[0], "tool": words[1], **about}


def write(rows: Iterable[ToolRule]) -> str:
    """The lines of stored rules."""
    return "\n".join(" ".join(filter(None, (row.tier, row.tool, row.condition, row.pattern))) for row in rows)
