"""What every page's frame shows: only the links this person may use."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from agents import permissions

# (label, url name, icon, action whose role is needed; "" for everyone signed in)
LINKS = (
    ("Home", "home", "home", ""),
    ("Chat", "runs:chat", "chat", "agent.chat"),
    ("Runs", "runs:run-list", "runs", "run.view"),
    ("Agents", "agents:agent-list", "agent", "agent.view"),
)


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context for base.html: the links, the current one, and whether the console is open to this person."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"navigation": [], "may_console": False}
    links = [
        {"label": label, "url": reverse(name), "icon": icon, "current": _is_current(request.path, reverse(name))}
        for label, name, icon, action in LINKS
        if not action or permissions.may(user, action)
    ]
    return {"navigation": links, "may_console": user.is_staff}


def _is_current(path: str, url: str) -> bool:
    return path == url if url == "/" else path.startswith(url)
