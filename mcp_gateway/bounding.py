"""Keep answers of servers within the size people allow them, and say what was left out (pure).

A result of a tool is cut where a model can see it: text at the end, bytes and data as a whole. What has no place for a
sentence (resources, prompts, lists) is refused instead of being passed on as something it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_gateway import jsonrpc
from mcp_gateway.jsonrpc import Message

# An error's words; what else it carries is for programs, and goes first.
MAX_ERROR = 2_000
_BYTES = ("data", "blob")
# Small parts of a result that stay whatever it holds.
_KEPT = ("isError", "resultType")


def within(found: Message, most: int, server: str, method: str, tool: Mapping[str, Any] | None = None) -> Message:
    """An answer that was longer than ``most`` bytes, as it may be passed on."""
    if "error" in found:
        return _error(found)
    result = found.get("result")
    if method == "tools/call" and isinstance(result, dict) and result.get("resultType") != "input_required":
        return {**found, "result": _result(result, most, server, tool or {})}
    size = len(jsonrpc.dumps(result))
    if size <= most:
        return found
    sentence = f"This is {_kb(size)} of {server}, and {_kb(most)} are passed on at most. It was left out whole."
    return jsonrpc.error(found.get("id"), jsonrpc.TOO_LARGE, sentence)


def _error(found: Message) -> Message:
    error = found["error"] if isinstance(found["error"], dict) else {}
    said = str(error.get("message", ""))[:MAX_ERROR]
    return {**found, "error": {"code": error.get("code", jsonrpc.INTERNAL_ERROR), "message": said}}


def _result(result: dict[str, Any], most: int, server: str, tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool's result. Data that a schema promises is never shortened: without it the result is an error."""
    left = most
    kept: dict[str, Any] = {name: result[name] for name in _KEPT if isinstance(result.get(name), bool | str)}
    out: list[str] = []
    blocks: list[Any] = []
    given = result.get("content")
    for block in given if isinstance(given, list) else ():
        block, note = _block(block, left)
        if note:
            out.append(note)
        if block is not None:
            blocks.append(block)
            left -= _size(block)
    for name, value in result.items():
        if name == "content" or name in kept:
            continue
        size = _size(value)
        if size <= left:
            kept[name] = value
            left -= size
        else:
            out.append(f"{_kb(size)} of {name}")
    if not out:
        return result
    promised = "structuredContent" not in kept and "structuredContent" in result and "outputSchema" in tool
    blocks.append({"type": "text", "text": _sentence(out, most, server, promised)})
    if promised:
        kept["isError"] = True
    return {"content": blocks, **kept}


def _block(block: Any, left: int) -> tuple[Any, str]:
    """A block as it fits into ``left`` bytes, or None; and what was left out of it."""
    size = _size(block)
    if size <= left:
        return block, ""
    if not isinstance(block, dict):
        return None, f"{_kb(size)} of a block"
    if isinstance(block.get("text"), str):
        return _cut(block, left)
    inner = block.get("resource")
    if isinstance(inner, dict) and isinstance(inner.get("text"), str):
        part, note = _cut(inner, left)
        return (None if part is None else {**block, "resource": part}), note
    kind = str((inner if isinstance(inner, dict) else block).get("mimeType") or block.get("type") or "a block")[:80]
    return None, f"{_kb(size)} of {kind}"


def _cut(block: dict[str, Any], left: int) -> tuple[dict[str, Any] | None, str]:
    """Its text, cut between two characters."""
    text = block["text"].encode("utf-8", "surrogatepass")
    room = max(0, left - (_size(block) - len(text)))
    while room and text[room] & 0xC0 == 0x80:
        room -= 1
    if not room:
        return None, f"{_kb(len(text))} of text"
    head = text[:room].decode("utf-8", "surrogatepass")
    return {**block, "text": head}, f"{_kb(len(text) - room)} of text after “…{head[-20:]}”"


def _sentence(out: list[str], most: int, server: str, promised: bool) -> str:
    listed = ", ".join(out[:10]) + (f" and {len(out) - 10} more" if len(out) > 10 else "")
    done = "The call was made. " if promised else ""
    return f"[Logos: {done}Results of {server} are cut at {_kb(most)}. Left out: {listed}. Ask for less at a time.]"


def _size(value: Any) -> int:
    """What it takes as UTF-8, cheaply for what is only text."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return sum(_size(name) + _size(each) + 6 for name, each in value.items()) + 2
    if isinstance(value, list):
        return sum(_size(each) + 1 for each in value) + 2
    return len(str(value))


def _kb(size: int) -> str:
    return f"{size:,} bytes" if size < 2048 else f"{round(size / 1024):,} KB"
