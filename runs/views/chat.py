"""Chat: the newest conversation, a new one, one of them, sending a message, stopping, deciding."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db.models import prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from agents import capabilities, permissions
from agents.errors import Conflict, LogosError
from agents.models import Agent, User
from agents.views.access import is_htmx, leave_to, person, signed_in
from runs import composing, dispatch, unasked, withheld
from runs.budgets import showing
from runs.budgets.limits import Spender
from runs.models import ACTIVE, Conversation, Run
from runs.views import parts
from sandboxes.models import Sandbox


@require_safe
@signed_in
def newest(request: HttpRequest) -> HttpResponse:
    """The chat last used, or the choice of agents."""
    user = person(request)
    latest = parts.own_chats(user).first()
    if latest is not None:
        return redirect("runs:chat-conversation", latest.pk)
    return render(request, "runs/chat_empty.html", parts.usable_agents(user))


@require_safe
@signed_in
def new(request: HttpRequest, agent_id: str) -> HttpResponse:
    """An empty chat with one agent; nothing is stored before the first message."""
    agent = _agent(person(request), agent_id)
    return render(request, "runs/chat.html", _page(request, agent, None))


@require_safe
@signed_in
def conversation(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """One conversation: its last turns, live where a run goes on."""
    user = person(request)
    talk = _conversation(user, "conversation.view", conversation_id)
    if not request.GET.get("before"):
        unasked.has_read(user, talk)
    return render(request, "runs/chat.html", _page(request, talk.agent, talk))


@require_safe
@signed_in
def threads(request: HttpRequest) -> HttpResponse:
    """The list of chats alone, asked for again when a run ends."""
    user = person(request)
    current = parts.own_chats(user).filter(pk=request.GET.get("current", "")).first()
    return render(request, "runs/_threads.html", {"threads": parts.threads(user), "conversation": current})


@require_POST
@signed_in
def send(request: HttpRequest, conversation_id: str) -> HttpResponse:
    """A message into a conversation."""
    talk = _conversation(person(request), "conversation.write", conversation_id)
    return _accept(request, talk.agent, talk)


@require_POST
@signed_in
def send_new(request: HttpRequest, agent_id: str) -> HttpResponse:
    """The first message to an agent, which makes the conversation."""
    return _accept(request, _agent(person(request), agent_id), None)


def _accept(request: HttpRequest, agent: Agent, talk: Conversation | None) -> HttpResponse:
    text, key = request.POST.get("text", ""), request.POST.get("key", "")
    try:
        started = dispatch.start(person(request), text, agent=agent, conversation=talk, idempotency_key=key)
    except LogosError as error:
        if is_htmx(request):
            raise
        from_error = {"error": error, "text": text, "key": key or _new_key()}
        context = {**_page(request, agent, talk), **from_error}
        status = 409 if isinstance(error, Conflict) else 413 if error.reason == "too_large" else 400
        return render(request, "runs/chat.html", context, status=status)
    # A repeated key means this tab never saw the first answer: show it everything anew.
    if talk is None or started.repeated or not is_htmx(request):
        return leave_to(request, reverse("runs:chat-conversation", args=[started.run.conversation_id]))
    run = _turns(Run.objects.filter(pk=started.run.pk)).get()
    context = {
        "turn": parts.turns_of([run], get_token(request))[0],
        "key": _new_key(),
        "active_run": run,
        "conversation": talk,
        "threads": parts.threads(person(request)),
    }
    return render(request, "runs/_sent.html", context)


def _lacking(user: User, agent: Agent, may_write: bool) -> dict[str, Any]:
    """The credentials that something which is on still needs, for the set-up cards."""
    missing = capabilities.missing(agent) if may_write and agent.is_in_use else []
    may_set = bool(missing) and bool(permissions.allows(user, "secret.edit", agent))
    return {"missing": missing, "may_set": may_set}


def _agent(user: User, agent_id: str) -> Agent:
    rows = Agent.objects.select_related("soul", "route__provider", "owner")
    return permissions.fetch(user, "agent.chat", rows, pk=agent_id)


def _conversation(user: User, action: str, conversation_id: str) -> Conversation:
    rows = Conversation.objects.select_related("agent__soul", "agent__route__provider", "owner")
    return permissions.fetch(user, action, rows, pk=conversation_id)


def _turns(runs: Any) -> Any:
    return runs.select_related("message", "reply", "actor", "agent")


def _page(request: HttpRequest, agent: Agent, talk: Conversation | None) -> dict[str, Any]:
    """Everything chat.html shows."""
    user = person(request)
    prefetch_related_objects([agent], "capabilities")
    runs, earlier, before = _shown_runs(request, talk)
    active = next((run for run in runs if not run.has_finished), None) or _active_run(talk, before)
    route = parts.route_for(agent)
    may_write = talk is None or bool(permissions.allows(user, "conversation.write", talk))
    target = ["runs:chat-send", talk.pk] if talk else ["runs:chat-new-send", agent.pk]
    stamp = withheld.told(user, _stamp(agent, route is not None))
    *unasked_before, unasked_last = unasked.between(talk, runs, is_latest=not before)
    turns = parts.turns_of(runs, get_token(request))
    return {
        "agent": agent,
        "conversation": talk,
        "turns": [replace(turn, unasked=tuple(said)) for turn, said in zip(turns, unasked_before, strict=True)],
        "unasked": unasked_last,
        "earlier": earlier,
        "later": reverse("runs:chat-conversation", args=[talk.pk]) if talk and before else "",
        "active_run": active if may_write else None,
        "threads": parts.threads(user),
        "sandbox": Sandbox.objects.filter(agent=agent).first(),
        "stamp": parts.stamp_chips(stamp),
        "model": stamp["model"]["model"] if "model" in stamp else "no model yet",
        "is_scripted": route is not None and route.is_rehearsal,
        "run_count": talk.runs.count() if talk else 0,
        "may_write": may_write and agent.is_in_use,
        "why_not": _why_not(agent),
        "budgets": showing.applying(
            user, Spender("", talk.pk if talk else "", agent.pk, talk.owner_id if talk else user.pk)
        ),
        "may_share": not agent.is_deleted and bool(permissions.allows(user, "agent.manage", agent)),
        "send_url": reverse(target[0], args=target[1:]),
        **_lacking(user, agent, may_write),
        "draft_key": f"{user.pk}:{talk.pk if talk else agent.pk}",
        "max_chars": settings.LOGOS_MAX_MESSAGE_CHARS,
        "key": _new_key(),
        "text": "",
        "error": None,
    }


def _shown_runs(request: HttpRequest, talk: Conversation | None) -> tuple[list[Run], str, str]:
    """The turns of this page (newest last), where an earlier page begins, and where this one does."""
    before = request.GET.get("before", "")
    if talk is None:
        return [], "", ""
    rows = talk.runs.filter(pk__lt=before) if before else talk.runs.all()
    found = list(_turns(rows).order_by("-pk")[: parts.SHOWN_TURNS + 1])
    shown = found[: parts.SHOWN_TURNS][::-1]
    return shown, shown[0].pk if len(found) > parts.SHOWN_TURNS else "", before


def _active_run(talk: Conversation | None, before: str) -> Run | None:
    return talk.runs.filter(status__in=ACTIVE).first() if talk and before else None


def _why_not(agent: Agent) -> str:
    """Why the composer is closed, as one sentence, where it is."""
    if agent.is_deleted:
        return f"{agent.name} was deleted. Its chats can be read but not continued."
    if agent.is_archived:
        return f"{agent.name} is archived. Whoever manages it can take it out again; until then its chats can be read."
    return "You can read this chat; only its owner writes in it."


def _stamp(agent: Agent, has_route: bool) -> dict[str, Any]:
    return composing.compose(agent) if has_route else _without_model(agent)


def _without_model(agent: Agent) -> dict[str, Any]:
    return {"agent_id": agent.pk, "soul": {"id": agent.soul_id, "name": agent.soul.name}}


def _new_key() -> str:
    return secrets.token_urlsafe(12)
