"""Templates to make an agent from: files in this folder, each a starter soul, tools and a look under a name to change."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agents import choosing, permissions, souls, starters
from agents.errors import NotFound
from agents.models import Soul, User
from agents.starters import Starter

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Template:
    """One of them. ``toolsets`` None: what the soul suggests."""

    slug: str
    name: str
    title: str
    description: str
    soul: str
    shape: str = ""
    palette: str = ""
    toolsets: tuple[str, ...] | None = None

    @property
    def starter(self) -> Starter:
        return starters.get(self.soul)


@cache
def every() -> tuple[Template, ...]:
    """All of them, by title; the all-round one first."""
    found = [_read(path) for path in FOLDER.glob("*.toml")]
    return tuple(sorted(found, key=lambda each: (each.slug != "all-rounder", each.title)))


def get(slug: str) -> Template:
    """The template of this name; NotFound when there is none."""
    for template in every():
        if template.slug == slug:
            return template
    raise NotFound("Template")


def _read(path: Path) -> Template:
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    toolsets = data.pop("toolsets", None)
    return Template(slug=path.stem, toolsets=None if toolsets is None else tuple(toolsets), **data)


def soul_from(starter: Starter, user: User) -> Soul:
    """The soul ``user`` made from this starter already and may still choose, or a new one of theirs."""
    own = choosing.souls_for(user).filter(owner=user, origin__startswith=f"starter:{starter.slug}@")
    if (found := own.order_by("-pk").first()) is not None:
        return found
    permissions.require(user, "soul.create")
    return souls.from_starter(starter, user)
