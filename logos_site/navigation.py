"""What every page's frame shows: only the links this person may use, in groups, with what waits behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.http import HttpRequest

from agents import badges, halting, permissions
from agents.actions import ACTIONS
from agents.badges import Badge
from agents.models import Halt, User


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


MOST_HALTS = 3
WORDS_OF_STAGES = {
    "stopped": "Nothing new begins; what is here can be read.",
    "deciding": "Requests can be decided; nothing works yet.",
    "chosen": "Only chosen agents work.",
}

LINKS = (
    Link("Home", "/", "home", "h"),
    Link("Chat", "/chat/", "chat", "c", "agent.chat"),
    Link("Approvals", "/approvals/", "inbox", "i", "run.approve"),
    Link("Runs", "/runs/", "runs", "r", "run.view"),
    Link("Agents", "/agents/", "agent", "a", "agent.view", group="Build", within=("/tools/",)),
    Link("Souls", "/souls/", "book", "s", "soul.view"),
    Link("Models", "/models/", "model", "m", "agent.create", within=("/providers/", "/prices/")),
    Link("Policies", "/policies/", "shield", "p", "agent.create", within=("/presets/",)),
    Link("MCP servers", "/mcp-servers/", "plug", "t", "server.view", within=("/mcp-access/", "/mcp-accounts/")),
    Link("Budgets", "/budgets/", "coin", "b", "budget.view", group="Operate", within=("/costs/",)),
    Link("People", "/people/", "people", "u", "user.manage", within=("/groups/",)),
    Link("Audit", "/audit/", "clock", "l", "audit.view"),
    Link("Console", "/admin/", "console", "x", staff=True),
)


def links_for(user: User) -> list[Link]:
    """The places of use to this person."""
    return [link for link in LINKS if _is_of_use(link, user)]


def _is_of_use(link: Link, user: User) -> bool:
    if link.staff:
        return user.is_staff
    return not link.action or (link.action in ACTIONS and permissions.may(user, link.action))


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context for base.html: the links with the current one, and whether the console is open to this person."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return {"navigation": [], "may_console": False}
    waiting = cache(lambda: badges.of(user))
    return {
        "navigation": _once(lambda: _drawn(user, request.path, waiting())),
        # Whether anything is stopped is counted with the badges: usually it costs no query.
        "halted": _once(lambda: _halted(user) if halting.PAGE in waiting() else []),
        "may_stop": permissions.may(user, "halt.everything"),
        "may_console": user.is_staff,
    }


def _drawn(user: User, path: str, waiting: dict[str, Badge]) -> list[dict[str, Any]]:
    return [_shown(link, path, waiting.get(link.path)) for link in links_for(user)]


def _halted(user: User) -> list[dict[str, Any]]:
    """What every page says about the halts that concern this person."""
    return [
        {"id": halt.pk, "sentence": halting.value(halt).sentence, "words": WORDS_OF_STAGES[halt.stage]}
        for halt in halting.seen_by(user).filter(lifted_at=None).order_by("pk")[:MOST_HALTS]
    ]


def halted_in_console(request: HttpRequest) -> Callable[[], list[dict[str, Any]]]:
    """The same for a page of the console, which counts no badges; asked when the page is drawn, by one query."""
    user = request.user
    if not isinstance(user, User) or not user.is_staff:
        return lambda: []
    return _once(lambda: _halted(user) if Halt.objects.filter(lifted_at=None).exists() else [])


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
