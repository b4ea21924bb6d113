"""Read a policy document strictly, as OpenShell does: 4 MiB at most, and a key that stands twice is refused."""

from __future__ import annotations

from typing import Any

import yaml

from agents.errors import Invalid
from sandboxes.openshell.schema import MOST_BYTES


class _OneReading(yaml.SafeLoader):
    """Plain values only; no aliases, which can make little text into very much, and no key twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        found = super().construct_mapping(node, deep)
        if len(found) != len(node.value):
            raise yaml.YAMLError("a key stands twice in one mapping")
        return found


def document(data: bytes) -> Any:
    """The value in the file. Invalid with the reason when it has no one reading."""
    if len(data) > MOST_BYTES:
        raise Invalid("OpenShell takes files of 4 MiB at most.", field="file")
    try:
        return yaml.load(data.decode(), _OneReading)  # noqa: S506 (the safe loader, and less)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise Invalid(f"This is no YAML with one reading: {reason}.", field="file") from error
