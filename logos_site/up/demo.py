"""``up --demo``: an administrator, the rehearsal model, a soul and the agent atlas, made once and then left alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.db import transaction

from agents import composition, routes, souls
from agents.models import Agent, Role, Soul, User, Visibility

ADMIN_NAME = "admin"
AGENT_NAME = "atlas"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What ``seed`` found or made. ``password`` is "" unless the administrator was made just now."""

    username: str
    password: str
    agent_id: str
    agent_name: str
    agent_is_new: bool


@transaction.atomic
def seed() -> DemoResult:
    """Make what is missing. An administrator who exists already owns the demo agent, whatever the name."""
    admin, password = _administrator()
    route = routes.rehearsal_route(admin)
    agent = Agent.objects.alive().filter(owner=admin, name__iexact=AGENT_NAME).first()
    is_new = agent is None
    if agent is None:
        agent = composition.create(
            admin, AGENT_NAME, _soul(admin), toolsets=["terminal", "file"], route=route, description="The demo agent."
        )
    return DemoResult(admin.username, password, agent.pk, agent.name, is_new)


def _administrator() -> tuple[User, str]:
    named = User.objects.filter(username=ADMIN_NAME).first()
    if named is not None and named.is_admin:
        return named, ""
    if found := User.objects.filter(role=Role.ADMIN, is_active=True).order_by("pk").first():
        return found, ""
    # Somebody without the role may be called admin; a stranger must not be promoted by a demo.
    name = ADMIN_NAME if named is None else f"{ADMIN_NAME}-{secrets.token_hex(3)}"
    password = secrets.token_urlsafe(12)
    return User.objects.create_superuser(name, "", password), password


def _soul(owner: User) -> Soul:
    found = Soul.objects.filter(owner=owner, name=souls.STARTER_NAME).first()
    return found or souls.from_starter(souls.STARTER, owner, visibility=Visibility.SHARED)
