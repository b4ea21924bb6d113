"""OpenShell's documented reading of its policy document, small enough to be checked by eye.

Hosts: compared without case; ``*`` is one label, ``**`` one or more, in front only. Ports: ``port`` or ``ports``.
Programs: the path as it is, or a pattern in which ``*`` stays within one directory and ``**`` does not. A connection
is allowed when one entry has an endpoint and a program for it. A program that is not known is allowed nothing.
"""

from __future__ import annotations

import re
from typing import Any

import yaml


class OneReading(yaml.SafeLoader):
    """A key that stands twice is refused, as OpenShell does."""


def _mapping(loader: OneReading, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    assert len(keys) == len(set(keys)), "a key stands twice"
    return {loader.construct_object(key): loader.construct_object(value, deep=True) for key, value in node.value}


OneReading.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read(text: str) -> dict[str, Any]:
    """The document in a file."""
    found: dict[str, Any] = yaml.load(text, OneReading)
    return found


def allows(document: dict[str, Any], host: str, port: int, binary: str) -> bool:
    """May ``binary`` open a connection to this host and port?"""
    return any(
        any(_leads_to(endpoint, host, port) for endpoint in entry["endpoints"])
        and any(_is_program(each["path"], binary) for each in entry["binaries"])
        for entry in document["network_policies"].values()
    )


def _leads_to(endpoint: dict[str, Any], host: str, port: int) -> bool:
    assert endpoint["enforcement"] == "enforce"
    return port in endpoint.get("ports", [endpoint.get("port")]) and bool(
        re.fullmatch(_pattern(endpoint["host"].lower(), r"[^.]"), host.lower())
    )


def _is_program(path: str, binary: str) -> bool:
    if "*" not in path:
        return bool(binary) and path == binary
    return bool(binary) and bool(re.fullmatch(_pattern(path, "[^/]"), binary))


def _pattern(text: str, within: str) -> str:
    parts = (".+" if part == "**" else f"{within}+" if part == "*" else re.escape(part) for part in _split(text))
    return "".join(parts)


def _split(text: str) -> list[str]:
    return re.split(r"(\*\*|\*)", text)
