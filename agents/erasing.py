"""Erase a person: their account at once, then everything they wrote, in batches, again and again until it is done.

What stays is the ledger: runs with their state, times, tokens and cost, under a pseudonym; the chain of each run's
events still verifies (``runs.events.verify``). Rooms above add what they hold to ``PARTS`` in ``AppConfig.ready``;
each part may be carried out any number of times. Service accounts the person keeps go with them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from agents import acting, audit, exporting, people
from agents.errors import Conflict, Invalid, NotFound
from agents.guarding import GRANTS
from agents.models import (
    Agent,
    AgentCapability,
    AgentDocument,
    AgentNote,
    AgentSecret,
    ApiToken,
    Kind,
    OneTimeLink,
    Role,
    SecurityEvent,
    Soul,
    SoulRevision,
    User,
)

logger = logging.getLogger(__name__)

ERASED = "[erased]"

# What to erase, in this order; the agents' own rows come last.
PARTS: list[Callable[[User], None]] = []


def pseudonym(person: User) -> str:
    """What an erased person is called."""
    return f"erased-{person.pk}"


def erase(actor: User, person: User, typed_username: str) -> None:
    """Close the account now and erase the rest in the background. Asking again takes up what was left."""
    close(actor, person, typed_username)
    async_task("agents.erasing.carry_out", person.pk, group=f"erase-{person.pk}")


def close(actor: User, person: User, typed_username: str) -> None:
    """Nobody signs in as ``person`` from now on. For oneself, or whoever manages people.

    Invalid unless the user name is typed; LastAdmin for the only one."""
    if actor != person:
        people.require(actor)
    with transaction.atomic():
        now = User.objects.select_for_update().filter(pk=person.pk).first()
        if now is None:
            raise NotFound("This person")
        if typed_username.strip() != now.username:
            raise Invalid(f"Type {now.username} to erase the account.", field="typed")
        if not now.erased_at:
            _close(actor, now)


def carry_out(person_id: int) -> None:
    """Erase what is left of somebody whose account is closed. Raises Conflict while a run of theirs still ends."""
    person = User.objects.get(pk=person_id)
    if not person.erased_at:
        raise Conflict("This account is not closed.", reason="not_erased")
    with acting.through("task", None):
        for program in User.objects.filter(keeper=person, kind=Kind.SERVICE):
            if not program.erased_at:
                _close(None, program)
            _erase_rows(program)
        _erase_rows(person)
    logger.info("user %s is erased", person.pk)


def _erase_rows(person: User) -> None:
    exporting.forget(person)
    for part in PARTS:
        part(person)
    with transaction.atomic():
        _own_rows(person)
        _traces(person)
        # Last: while the old name is known, whatever still names it can be found.
        _account(person)


@transaction.atomic
def _close(actor: User | None, person: User) -> None:
    audit.note("erasure_asked", actor=None if actor == person else actor, person=person)
    person.is_active, person.erased_at, person.applied_at = False, timezone.now(), None
    person.role = Role.VIEWER
    person.set_unusable_password()
    person.save()
    people.end_sessions(person)
    ApiToken.objects.filter(user=person).delete()


def _own_rows(person: User) -> None:
    """Souls and agents: an agent stays as the place of its runs, a soul as what others' agents are made of."""
    for agent in Agent.objects.filter(owner=person):
        agent.name, agent.description = f"erased {agent.pk[-8:]}", ""
        agent.deleted_at = agent.deleted_at or timezone.now()
        agent.save()
        Agent.history.filter(id=agent.pk).update(name=agent.name, description="")
        for model in (AgentDocument, AgentSecret, AgentCapability):
            model.objects.filter(agent=agent).delete()
            model.history.filter(agent_id=agent.pk).delete()
        AgentNote.objects.filter(agent=agent).delete()
    kept = Agent.objects.alive().exclude(owner=person).values("soul")
    for soul in Soul.objects.filter(owner=person).exclude(pk__in=kept):
        soul.name, soul.text, soul.description = f"erased {soul.pk[-8:]}", ERASED, ""
        soul.category, soul.tags = "", ""
        soul.slug = f"erased-{soul.pk[-8:]}".lower()
        soul.save()
        SoulRevision.objects.filter(soul=soul).update(text=ERASED, note="")
        Soul.history.filter(id=soul.pk).update(
            name=soul.name, slug=soul.slug, text=ERASED, description="", category="", tags=""
        )
    for by_person, _ in GRANTS.values():
        by_person._default_manager.filter(user=person).delete()


def _traces(person: User) -> None:
    """Where else the person is named: the audit, the console's log, links, factors, sign-in providers."""
    mine = Q(actor=person) | Q(person=person) | Q(object_kind="person", object_id=str(person.pk))
    told = Q(detail__icontains=person.username) if person.username != pseudonym(person) else Q()
    if person.email:
        told |= Q(detail__icontains=person.email)
    for event in SecurityEvent.objects.filter(mine | told if told else mine).iterator():
        event.detail = {name: value for name, value in event.detail.items() if not isinstance(value, str | list | dict)}
        event.address = ""
        if event.object_kind == "person" and event.object_id == str(person.pk):
            event.object_name = pseudonym(person)
        elif event.object_kind in ("agent", "soul") and event.object_id:
            event.object_name = ""
        event.save(update_fields=["detail", "address", "object_name"])
    of_person = Q(content_type=ContentType.objects.get_for_model(User), object_id=str(person.pk))
    LogEntry.objects.filter(Q(user=person) | of_person).update(object_repr="", change_message="")
    OneTimeLink.objects.filter(Q(person=person) | Q(made_by=person)).delete()
    OneTimeLink.objects.filter(email__iexact=person.email).exclude(email="").delete()
    for model in (Authenticator, EmailAddress):
        model._default_manager.filter(user=person).delete()
    for config in apps.get_app_configs():
        if config.name.startswith("allauth.socialaccount"):
            for model in config.get_models():
                if "user" in {field.name for field in model._meta.fields}:
                    model._default_manager.filter(user=person).delete()


def _account(person: User) -> None:
    person.groups.clear()
    person.username, person.first_name, person.last_name, person.email = pseudonym(person), "", "", ""
    person.application, person.max_agents, person.last_login = "", None, None
    person.save()
    plain = {"username": person.username, "first_name": "", "last_name": "", "email": "", "application": ""}
    User.history.filter(id=person.pk).update(**plain)
