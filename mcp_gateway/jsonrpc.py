"""JSON-RPC 2.0 as MCP uses it: reading one message strictly, and the errors there are (pure)."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION = -32020, -32021, -32022
# Ours: -32000 to -32019 are free for implementations.
UNAVAILABLE, TIMED_OUT, TOO_LARGE = -32000, -32001, -32002

Message = dict[str, Any]


class Malformed(Exception):
    """Not a message we pass on; ``code`` and the text say why, ``id`` is whose it was if it could be told."""

    def __init__(self, code: int, sentence: str, id: Any = None) -> None:
        super().__init__(sentence)
        self.code, self.id = code, id


def loads(text: bytes | str) -> Any:
    """The JSON value. Raises ValueError for what JSON does not know (NaN, numbers without end) and for keys that
    stand twice: readers differ in which of the two counts."""
    return _decoder.decode(text if isinstance(text, str) else text.decode())


def dumps(value: Any) -> bytes:
    """One line of JSON."""
    return _encode(value).encode()


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is too large")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


# Made once: json.dumps makes a new one at every call that is not all defaults.
_encode = json.JSONEncoder(separators=(",", ":")).encode
_decoder = json.JSONDecoder(parse_constant=_constant, parse_float=_float, object_pairs_hook=_object)


def read(body: bytes) -> Message:
    """One request, notification or response of a client. Raises Malformed; batches are refused, as every revision
    since 2025-06-18 says."""
    try:
        message = loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed(PARSE_ERROR, "This is not JSON.") from error
    if isinstance(message, list):
        raise Malformed(INVALID_REQUEST, "Batches are not part of the protocol any more; send one message.")
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise Malformed(INVALID_REQUEST, "This is no JSON-RPC 2.0 message.")
    id = message.get("id")
    if "id" in message and (isinstance(id, bool) or not isinstance(id, str | int)):
        raise Malformed(INVALID_REQUEST, "An id is a text or a whole number.")
    if "method" in message:
        if not isinstance(message["method"], str):
            raise Malformed(INVALID_REQUEST, "A method is a text.", id)
        if not isinstance(message.get("params", {}), dict):
            raise Malformed(INVALID_PARAMS, "The params are an object.", id)
    elif "id" not in message or not ({"result", "error"} & set(message)):
        raise Malformed(INVALID_REQUEST, "A message has a method, or it answers one.", id)
    return message


def result(id: Any, value: Any) -> Message:
    """An answer."""
    return {"jsonrpc": "2.0", "id": id, "result": value}


def error(id: Any, code: int, sentence: str, data: Any = None) -> Message:
    """A refusal."""
    told: dict[str, Any] = {"code": code, "message": sentence}
    return {"jsonrpc": "2.0", "id": id, "error": told | ({} if data is None else {"data": data})}


def told_model(sentence: str) -> dict[str, Any]:
    """The result of a tool call that failed in a way the model can act on."""
    return {"content": [{"type": "text", "text": sentence}], "isError": True}


def told(value: dict[str, Any], is_error: bool = False) -> dict[str, Any]:
    """The result of a tool of ours: for models as text, for programs as it is."""
    found = {"content": [{"type": "text", "text": dumps(value).decode()}], "structuredContent": value}
    return found | ({"isError": True} if is_error else {})


def is_storable(value: Any) -> bool:
    """Could a database hold every text in it?"""
    if isinstance(value, dict):
        return all(is_storable(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return all(is_storable(each) for each in value)
    return not isinstance(value, str) or ("\x00" not in value and not any("\ud800" <= c <= "\udfff" for c in value))
