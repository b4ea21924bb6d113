"""What changes of a server or a rule, in words."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import Model

from agents import secrets
from mcp_gateway import servers
from mcp_gateway.declared.form import NESTED, SPELLED
from mcp_gateway.models import McpServer


def differences(before: dict[str, Any], server: McpServer) -> list[str]:
    """What of a server is another than before, a line for each part."""
    found: list[str] = []
    for name in servers.WRITTEN:
        old, new = before[name], getattr(server, name)
        if old == new or name in ("name", "kind"):
            continue
        word = f"tools.{name}" if name in NESTED else SPELLED.get(name, name)
        if isinstance(old, dict) and isinstance(new, dict):
            keys = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
            found += [line(f"{word}.{key}", old.get(key), new.get(key)) for key in keys]
        else:
            found.append(line(word, old, new))
    return found


def line(word: str, old: Any, new: Any) -> str:
    """``timeout: 60 → 120``."""
    return f"{word}: {f'{_worded(old)} → ' if old not in (None, '', [], {}) else ''}{_worded(new)}"


def _worded(value: Any) -> str:
    if value in (None, "", [], {}):
        return "nothing"
    plain = str(value) if isinstance(value, str | Model) else json.dumps(value, ensure_ascii=False)
    told = secrets.redact(plain.replace("\n", " "))
    return told if len(told) <= 200 else f"{told[:199]}…"
