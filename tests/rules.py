"""Rules of policies as they are stored, for tests."""

from __future__ import annotations

from typing import Any

from agents import rule_lines


def rules(*lines: str) -> list[dict[str, Any]]:
    """These lines as a policy stores them."""
    return [rule.as_json() for rule in rule_lines.parse_lines(lines)]
