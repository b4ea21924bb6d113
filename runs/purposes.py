"""What a tool call is for, in words: one short sentence from the tool's name and arguments (pure)."""

from __future__ import annotations

import shlex
from typing import Any

ICONS = {
    "terminal": "terminal",
    "process": "terminal",
    "execute_code": "code",
    "read_file": "file",
    "write_file": "file",
    "patch": "file",
    "search_files": "search",
    "session_search": "search",
    "memory": "memory",
    "todo": "list",
    "delegate_task": "agent",
    "skill_view": "book",
    "skills_list": "book",
    "skill_manage": "book",
    "vision_analyze": "image",
}

_PROGRAMS = {
    "ls": "List files",
    "cat": "Read a file",
    "head": "Read a file",
    "tail": "Read a file",
    "grep": "Search in files",
    "rg": "Search in files",
    "find": "Look for files",
    "git": "Use git",
    "pip": "Install Python packages",
    "npm": "Run npm",
    "python": "Run Python",
    "python3": "Run Python",
    "curl": "Fetch an address",
    "mkdir": "Make a directory",
    "rm": "Delete files",
    "mv": "Move files",
    "cp": "Copy files",
    "sleep": "Wait",
}


def icon(tool: str) -> str:
    """The name of the line icon for a tool."""
    return ICONS.get(tool, "plug" if tool.startswith("mcp__") else "tool")


def purpose(tool: str, args: dict[str, Any]) -> str:
    """A few words for the row of a tool call. ``args`` is whatever a model wrote."""
    if tool in {"terminal", "process"}:
        return _command_purpose(str(args.get("command", "")))
    simple = {
        "read_file": "Read {path}",
        "write_file": "Write {path}",
        "patch": "Change {path}",
        "search_files": "Search the files",
        "session_search": "Search earlier sessions",
        "execute_code": "Run a script",
        "memory": "Use its memory",
        "todo": "Plan the steps",
        "delegate_task": "Hand part of it to a sub-agent",
        "vision_analyze": "Look at an image",
    }.get(tool)
    if simple:
        return simple.format(path=_line(args.get("path"), 120) or "a file")
    if tool.startswith("mcp__"):
        _, server, name = [*tool.split("__", 2), "", ""][:3]
        return f"Use {name or 'a tool'} of {server}"
    return f"Use {tool.replace('_', ' ') or 'a tool'}"


def detail(tool: str, args: dict[str, Any]) -> str:
    """The grey text behind the purpose: the command, or the one argument that matters; one line."""
    for key in ("command", "path", "query", "pattern", "goal", "code"):
        if value := args.get(key):
            return _line(value, 300)
    return ""


def _line(value: Any, length: int) -> str:
    return " ".join(str(value or "")[: 4 * length].split())[:length]


def _command_purpose(command: str) -> str:
    command = command[:500]  # the program stands in front, and shlex reads letter by letter
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        words = command.split()
    while words and ("=" in words[0] or words[0] in {"sudo", "env", "nohup", "time"}):
        words = words[1:]
    program = words[0].rsplit("/", 1)[-1] if words else ""
    return _PROGRAMS.get(program, "Run a command")
