"""The switch that keeps admins and operators out of other people's chats: who turned it, when, and what it means.

While it is on, conversations, messages, runs, their events and questions, and model calls are open to whoever they
belong to and to nobody by role (``actions``: those marked ``content``). What is left for admins is in
``runs/ledger.py``: who, when, with which agent, how it ended, what it cost. Whoever owns the machine owns the data.
"""

from __future__ import annotations

from django.db import transaction

from agents import audit, people
from agents.models import Agent, SiteSettings, User


def is_on() -> bool:
    """Are chats private?"""
    return SiteSettings.objects.filter(private_chats=True).exists()


def switch(actor: User, on: bool) -> bool:
    """Turn it; whether anything changed. Noted, with history, and shown to everybody in their account."""
    people.require(actor)
    with transaction.atomic():
        if is_changed := SiteSettings.turn("private_chats", on):
            audit.note("private_chats_on" if on else "private_chats_off", actor=actor)
    return is_changed


def not_copied(user: User, agent: Agent, part: str) -> str:
    """Why a part of a sandbox is not copied, "" when it may be: what is in it remembers what people said."""
    if agent.owner_id == user.pk or not is_on():
        return ""
    return "Chats are private here, and it remembers them: only its owner copies that."
