"""What upper rooms add to the page of a person, as ``agents.agent_pages`` does for agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agents.models import User

Read = Callable[[User, User], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: a template, and what it is drawn with as ``part``, given who looks and at whom (None: leave it
    out)."""

    template: str
    read: Read


SECTIONS: list[Section] = []


def sections(viewer: User, found: User) -> list[dict[str, Any]]:
    """The parts that have something to say."""
    parts = [(each, each.read(viewer, found)) for each in SECTIONS]
    return [{"template": each.template, "part": part} for each, part in parts if part is not None]
