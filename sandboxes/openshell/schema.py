"""OpenShell's policy schema, version 1, as far as Logos writes it: what is wrong with a document, in sentences. Pure.

Written from "Policy Schema Reference" of OpenShell's documentation (docs.nvidia.com/openshell, how-it-works/policies/
schema, 0.1.x; docs/reference/policy-schema.mdx in the source). OpenShell refuses unknown fields and double keys. Here
what Logos never writes counts as unknown, and ``enforcement`` must be there and say ``enforce``, because the default
only watches. A list of programs must not be empty: the documentation reads that as every program, the engine as none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

MOST_BYTES = 4 << 20
MOST_PATHS = 256
MOST_PATH_CHARS = 4096
MOST_ID = 2**32 - 2
COMPATIBILITY = ("best_effort", "hard_requirement")
# Rules of the providers of a sandbox; nobody else may call a rule so.
RESERVED_KEY = "_provider_"

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


def problems(document: Any) -> list[str]:
    """What OpenShell, or Logos, would not take; empty for a good document."""
    return list(_document(document))


def _document(document: Any) -> Iterator[str]:
    if not isinstance(document, Mapping):
        yield "The document is no mapping."
        return
    yield from _keys(
        document,
        "The document",
        {"version", "filesystem_policy", "landlock", "process", "network_policies"},
        {"version"},
    )
    version = document.get("version")
    if isinstance(version, bool) or version != 1:
        yield "version must be 1."
    if (paths := document.get("filesystem_policy")) is not None:
        yield from _paths(paths)
    if (landlock := document.get("landlock")) is not None and (
        not isinstance(landlock, Mapping)
        or set(landlock) != {"compatibility"}
        or landlock["compatibility"] not in COMPATIBILITY
    ):
        yield f"landlock has a compatibility, {' or '.join(COMPATIBILITY)}."
    if (process := document.get("process")) is not None:
        yield from _process(process)
    policies = document.get("network_policies", {})
    if not isinstance(policies, Mapping):
        yield "network_policies is no mapping."
        return
    for key, entry in policies.items():
        yield from _entry(key, entry)


def _paths(section: Any) -> Iterator[str]:
    if not isinstance(section, Mapping):
        yield "filesystem_policy is no mapping."
        return
    yield from _keys(section, "filesystem_policy", {"include_workdir", "read_only", "read_write"})
    if not isinstance(section.get("include_workdir", False), bool):
        yield "include_workdir is yes or no."
    total = 0
    for name in ("read_only", "read_write"):
        paths = section.get(name, [])
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            yield f"{name} is a list of paths."
            continue
        total += len(paths)
        for path in paths:
            if not path.startswith("/") or ".." in path.split("/") or len(path) > MOST_PATH_CHARS:
                yield f"{name}: {path[:80]!r} is no absolute path without “..”."
            if name == "read_write" and not path.strip("/"):
                yield "read_write: nobody may write everything."
    if total > MOST_PATHS:
        yield f"There are {total} paths; {MOST_PATHS} are allowed."


def _process(section: Any) -> Iterator[str]:
    if not isinstance(section, Mapping):
        yield "process is no mapping."
        return
    yield from _keys(section, "process", {"run_as_user", "run_as_group"})
    for name, value in section.items():
        is_number = isinstance(value, str) and value.isascii() and value.isdigit() and 1 <= int(value) <= MOST_ID
        if value != "sandbox" and not is_number:
            yield f"{name} is “sandbox” or a number from 1, as a text."


def _entry(key: Any, entry: Any) -> Iterator[str]:
    if not isinstance(key, str) or not key or key.startswith(RESERVED_KEY):
        yield f"{key!r} cannot be the key of a rule."
        return
    if not isinstance(entry, Mapping):
        yield f"{key} is no mapping."
        return
    yield from _keys(entry, key, {"name", "endpoints", "binaries"}, {"endpoints", "binaries"})
    if not isinstance(entry.get("name", key), str):
        yield f"{key}: name is a text."
    for part, check in (("endpoints", _endpoint), ("binaries", _binary)):
        values = entry.get(part)
        if not isinstance(values, list) or not values:
            yield f"{key}: {part} is a list with something in it."
            continue
        for value in values:
            yield from (f"{key}: {sentence}" for sentence in check(value))


def _endpoint(endpoint: Any) -> Iterator[str]:
    if not isinstance(endpoint, Mapping):
        yield "an endpoint is no mapping."
        return
    yield from _keys(endpoint, "an endpoint", {"host", "port", "ports", "enforcement"}, {"host", "enforcement"})
    if endpoint.get("enforcement") != "enforce":
        yield "enforcement must be written, and be enforce."
    if ("port" in endpoint) == ("ports" in endpoint):
        yield "an endpoint has either port or ports."
    ports = endpoint["ports"] if "ports" in endpoint else [endpoint.get("port", 0)]
    if not isinstance(ports, list) or not ports or not all(map(_is_port, ports)) or len(set(ports)) != len(ports):
        yield "ports are numbers from 1 to 65535, each once."
    yield from _host(endpoint.get("host"))


def _host(host: Any) -> Iterator[str]:
    if not isinstance(host, str) or len(host) > 255:
        yield "a host is a name."
        return
    first, *rest = host.split(".")
    if first in ("*", "**"):
        if len(rest) < 2:
            yield f"the wildcard {host} needs three labels at least."
        labels = rest
    else:
        labels = [first, *rest]
    if not labels or not all(_LABEL.match(label) for label in labels) or labels[-1].isdigit():
        yield f"{host[:80]!r} is no name of a host."


def _binary(binary: Any) -> Iterator[str]:
    path = binary.get("path") if isinstance(binary, Mapping) and set(binary) == {"path"} else None
    if not isinstance(path, str) or not path.startswith("/") or ".." in path.split("/"):
        yield "a binary has an absolute path, and nothing else."


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65_535


def _keys(value: Mapping[Any, Any], where: str, known: set[str], needed: frozenset[str] | set[str] = frozenset()) -> Iterator[str]:  # fmt: skip
    yield from (f"{where}: {key!r} is not a field Logos writes." for key in value if key not in known)
    yield from (f"{where} has no {key}." for key in sorted(needed) if key not in value)
