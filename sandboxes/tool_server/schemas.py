"""The JSON schemas of tools' arguments: how they are written here, and how arguments are held against them. Pure.

A small part of JSON Schema, the part every client understands: objects of strings, whole numbers, switches, lists of
strings and tables of strings, with lengths and bounds; nothing that is not named is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.errors import Invalid

Schema = dict[str, Any]

MOST_ITEMS = 200


def text(description: str, most: int = 4_000, **more: Any) -> Schema:
    """A string."""
    return {"type": "string", "description": description, "maxLength": most, **more}


def choice(description: str, *values: str) -> Schema:
    """One of these words."""
    return {"type": "string", "description": description, "enum": list(values), "default": values[0]}


def number(description: str, least: int, most: int, default: int | None = None) -> Schema:
    """A whole number."""
    found: Schema = {"type": "integer", "description": description, "minimum": least, "maximum": most}
    return found if default is None else {**found, "default": default}


def switch(description: str) -> Schema:
    """True or false, false when left out."""
    return {"type": "boolean", "description": description, "default": False}


def texts(description: str, most: int = 4_000) -> Schema:
    """A list of strings."""
    items = {"type": "string", "maxLength": most}
    return {"type": "array", "description": description, "items": items, "minItems": 1, "maxItems": MOST_ITEMS}


def table(description: str, most: int = 8_000) -> Schema:
    """Names with a string each."""
    values = {"type": "string", "maxLength": most}
    return {"type": "object", "description": description, "additionalProperties": values, "maxProperties": MOST_ITEMS}


def arguments(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """The arguments of a tool."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def checked(schema: Schema, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with defaults filled in. Invalid names the one that does not fit."""
    properties: dict[str, Schema] = schema["properties"]
    if unknown := sorted(set(given) - set(properties)):
        raise _wrong(unknown[0][:80], "is not an argument of this tool", f"It takes {_names(properties)}.")
    for name in schema["required"]:
        if name not in given:
            raise _wrong(name, "is missing")
    filled = {name: each["default"] for name, each in properties.items() if "default" in each}
    for name, value in given.items():
        if value is None and name not in schema["required"]:
            continue  # clients send null for what they leave out
        _check(name, properties[name], value)
        filled[name] = value
    return filled


def _check(name: str, schema: Schema, value: Any) -> None:
    _CHECKS[schema["type"]](name, schema, value)


def _string(name: str, schema: Schema, value: Any) -> None:
    if not isinstance(value, str):
        raise _wrong(name, "must be text")
    if len(value) > schema.get("maxLength", 4_000):
        raise _wrong(name, f"may have {schema['maxLength']:,} characters")
    if len(value) < schema.get("minLength", 0):
        raise _wrong(name, "must not be empty")
    if "enum" in schema and value not in schema["enum"]:
        raise _wrong(name, f"must be one of {', '.join(schema['enum'])}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _wrong(name, "is not valid Unicode") from None


def _integer(name: str, schema: Schema, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(name, "must be a whole number")
    if not schema["minimum"] <= value <= schema["maximum"]:
        raise _wrong(name, f"must lie between {schema['minimum']:,} and {schema['maximum']:,}")


def _boolean(name: str, schema: Schema, value: Any) -> None:
    if not isinstance(value, bool):
        raise _wrong(name, "must be true or false")


def _array(name: str, schema: Schema, value: Any) -> None:
    if not isinstance(value, list) or not schema["minItems"] <= len(value) <= schema["maxItems"]:
        raise _wrong(name, f"must be a list of 1 to {schema['maxItems']} texts")
    for each in value:
        _string(name, schema["items"], each)


def _object(name: str, schema: Schema, value: Any) -> None:
    if not isinstance(value, dict) or len(value) > schema["maxProperties"]:
        raise _wrong(name, f"must be a table of up to {schema['maxProperties']} names, with a text each")
    for key, each in value.items():
        _string(name, {"maxLength": 200}, key)
        _string(name, schema["additionalProperties"], each)


_CHECKS = {"string": _string, "integer": _integer, "boolean": _boolean, "array": _array, "object": _object}


def _names(properties: Mapping[str, Schema]) -> str:
    return ", ".join(properties) or "none"


def _wrong(name: str, complaint: str, action: str = "") -> Invalid:
    return Invalid(f"The argument {name} {complaint}.", field=name, reason="invalid_arguments", action=action)
