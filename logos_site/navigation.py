"""What every page's frame shows: only the links this person may use, in groups, with what waits behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.http import HttpRequest

from agents import badges, permissions
from agents.badges import Badge
from agents.models import User


@dataclass(frozen=True, slots=True)
class Link:
    """A place of the site: ``key`` is the letter that goes there after ``g``; ``action`` the one whose role is needed,
    "" for everyone signed in; ``group`` begins a new one above it; ``within`` begins addresses that belong to it."""

    label: str
    path: str
    icon: str
    key: str
    action: str = ""
    group: str = ""
    staff: bool = False
    within: tuple[str, ...] = ()


LINKS = (
    Link("Home", "/", "home", "h"),
    Link("Chat", "/chat/", "chat", "c", "agent.chat"),
    Link("Runs", "/runs/", "runs", "r", "run.view"),
    Link("Agents", "/agents/", "agent", "a", "agent.view", group="Build"),
    Link("Souls", "/souls/", "book", "s", "soul.view"),
    Link("Models", "/models/", "model", "m", "agent.create", within=("/providers/",)),
    Link("Policies", "/policies/", "shield", "p", "agent.create", within=("/presets/",)),
    Link("People", "/people/", "people", "u", "user.manage", group="Operate", within=("/groups/",)),
    Link("Audit", "/audit/", "clock", "l", "audit.view"),
    Link("Console", "/admin/", "console", "x", staff=True),
)


def links_for(user: User) -> list[Link]:
    """The places of use to this person."""
    return [link for link in LINKS if _is_of_use(link, user)]


def _is_of_use(link: Link, user: User) -> bool:
    if link.staff:
        return user.is_staff
    return not link.action or (link.action in permissions.ACTIONS and permissions.may(user, link.action))


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context for base.html: the links with the current one, and whether the console is open to this person."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return {"navigation": [], "may_console": False}
    return {"navigation": _once(lambda: _drawn(user, request.path)), "may_console": user.is_staff}


def _drawn(user: User, path: str) -> list[dict[str, Any]]:
    links, waiting = links_for(user), badges.of(user)
    return [_shown(link, path, waiting.get(link.path)) for link in links]


def _shown(link: Link, path: str, badge: Badge | None) -> dict[str, Any]:
    is_current = path == link.path if link.path == "/" else path.startswith((link.path, *link.within))
    return {
        "label": link.label,
        "url": link.path,
        "icon": link.icon,
        "key": link.key,
        "group": link.group,
        "current": is_current,
        "badge": badge,
    }


def _once(make: Callable[[], list[dict[str, Any]]]) -> Callable[[], list[dict[str, Any]]]:
    """Made when a template first asks (parts for htmx never do), and only once per request."""
    return cache(make)
