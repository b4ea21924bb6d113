"""Runs: the list with its filters, and one run with timeline, reply and record."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from typing import Any

from django.db.models.functions import Substr
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from agents import halting, permissions
from agents.models import Agent, User
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters
from runs import events, rendering, withheld, words
from runs.budgets import showing
from runs.budgets.limits import Spender
from runs.items import Tool
from runs.models import Conversation, Run, Status
from runs.rendering import RunFigures, RunRef
from runs.timeline import Timeline
from runs.views import parts

OFFERED_AGENTS = 200
RECORD_PAGE_SIZE = 200
# What the record shows of an event's data; 200 rows stay below 60 KB with it.
RECORD_DATA_CHARS = 100


@require_safe
@signed_in
def run_list(request: HttpRequest) -> HttpResponse:
    """Runs one may see, newest first, a page at a time."""
    user = person(request)
    status = Choice("status", "State", words.STATES.items())
    agent = _agent(user, request.GET.get("agent", ""))
    since = Choice("since", "From", (), is_date=True)
    chat = _chat(user, request.GET.get("chat", ""))
    filters = Filters(request.GET, status, agent, since, *chat, hint="Text in the message")
    rows = filters.search(permissions.visible(user, Run.objects.all()), "message__text")
    for name, choice in (("status", status), ("agent", agent), *(("conversation", each) for each in chat)):
        if choice.value:
            rows = rows.filter(**{name: choice.value})
    if since.value:
        day = date.fromisoformat(since.value)
        rows = rows.filter(created_at__gte=timezone.make_aware(datetime.combine(day, time.min)))
    # Ids rise with time, and a cursor keeps its place while new runs arrive.
    rows = rows.select_related("agent", "actor").annotate(preview=Substr("message__text", 1, 160)).defer("stamp")
    page = listing.page(rows, filters)
    for run in page.items:
        run.is_foreign = run.actor_id != user.pk  # type: ignore[attr-defined]
        run.asked_by = parts.name_of(run.actor)  # type: ignore[attr-defined]
    return render(request, "runs/list.html", {"filters": filters, "page": page})


def _agent(user: User, chosen: str) -> Choice:
    """A filter by the agents one may see: the first by name, and the one that the address names."""
    seen = permissions.visible(user, Agent.objects.all()).order_by("name")
    agents = list(seen[:OFFERED_AGENTS])
    if chosen and len(agents) == OFFERED_AGENTS and chosen not in {agent.pk for agent in agents}:
        agents += seen.filter(pk=chosen.replace("\x00", "")[:40])
    return Choice("agent", "Agent", [(each.pk, each.name + " (deleted)" * each.is_deleted) for each in agents])


def _chat(user: User, chosen: str) -> list[Choice]:
    """A filter by one chat they may see, when the address names one, as the chat itself does."""
    if not chosen:
        return []
    chats = Conversation.objects.filter(pk=chosen.replace("\x00", "")[:40])
    return [Choice("chat", "Chat", [(chat.pk, str(chat)) for chat in permissions.visible(user, chats)])]


@require_safe
@signed_in
def run_detail(request: HttpRequest, run_id: str) -> HttpResponse:
    """The timeline of a run, live while it goes on."""
    user = person(request)
    run, reader = seen_run(user, run_id), withheld.Reader(user)
    timeline = parts.timelines_of([run.pk], reader.sight(run.agent_id))[run.pk]
    html = rendering.turn_html(RunRef.of(run), RunFigures.of(run), timeline, "run", get_token(request))
    extra = {"timeline_html": html, "asked_text": run.message.text}
    return render(request, "runs/detail.html", {**frame_of(request, run, "timeline", reader), **extra})


@require_safe
@signed_in
def run_reply(request: HttpRequest, run_id: str) -> HttpResponse:
    """What the agent answered, alone."""
    run = seen_run(person(request), run_id)
    reply = run.reply.text if run.reply else ""
    return render(request, "runs/reply.html", {**frame_of(request, run, "reply"), "reply": reply})


@require_safe
@signed_in
def run_record(request: HttpRequest, run_id: str) -> HttpResponse:
    """The events as stored, with the proof that nothing was changed."""
    user = person(request)
    run, reader = seen_run(user, run_id), withheld.Reader(user)
    sight = reader.sight(run.agent_id)
    given = request.GET.get("after", "0")
    after = min(int(given), 2**31) if given.isascii() and given.isdigit() else 0
    found = list(run.events.filter(seq__gt=after).order_by("seq")[: RECORD_PAGE_SIZE + 1])
    shown = found[:RECORD_PAGE_SIZE]
    extra = {
        "rows": [_record_row(row, run, sight) for row in shown],
        "problem": events.verify(run),
        "total": run.events.count(),
        "erased": run.events.exclude(erased="").count(),
        "next": shown[-1].seq if len(found) > RECORD_PAGE_SIZE else None,
        "previous": max(0, after - RECORD_PAGE_SIZE) if after else None,
    }
    return render(request, "runs/record.html", {**frame_of(request, run, "record", reader), **extra})


@require_safe
@signed_in
def step_output(request: HttpRequest, run_id: str, seq: int) -> HttpResponse:
    """The whole output of the tool call that event ``seq`` started, as plain text."""
    run = seen_run(person(request), run_id)
    wanted = run.events.filter(kind__startswith="tool.", seq__gte=seq).order_by("seq")
    step = next(iter(Timeline(events.from_rows(wanted)).items), None)
    if not isinstance(step, Tool) or step.seq != seq:
        raise Http404
    return HttpResponse(step.output, content_type="text/plain; charset=utf-8")


def seen_run(user: User, run_id: str) -> Run:
    rows = Run.objects.select_related("agent", "actor", "message", "reply", "conversation")
    return permissions.fetch(user, "run.view", rows, pk=run_id)


def frame_of(request: HttpRequest, run: Run, tab: str, reader: withheld.Reader | None = None) -> dict[str, Any]:
    """What every tab of a run shows around its own part."""
    user, figures = person(request), RunFigures.of(run)
    may_cancel = not run.has_finished and bool(permissions.allows(user, "run.cancel", run))
    return {
        "run": run,
        "figures": figures,
        "title": run.message.text.split("\n", 1)[0][:117],
        "asked_by": parts.name_of(run.actor),
        "tab": tab,
        "held": halting.current().of_work(run.agent_id, run.actor_id) if run.status == Status.QUEUED else None,
        "stamp": parts.stamp_chips((reader or withheld.Reader(user)).stamp(run.stamp)),
        "is_scripted": RunRef.of(run).is_scripted,
        "active_run": run if may_cancel else None,
        "may_approve": may_cancel,
        "budgets": showing.applying(user, Spender(run.pk, run.conversation_id, run.agent_id, run.actor_id)),
        "may_see_files": bool(permissions.allows(user, "workspace.view", run.agent)),
        "may_clone": run.agent.is_in_use and permissions.may(user, "run.clone"),
    }


def _record_row(row: Any, run: Run, sight: withheld.Sight) -> dict[str, Any]:
    try:
        data = json.dumps(sight.told(row.kind, row.data), ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        data = "too deeply nested to be shown"
    return {
        "seq": row.seq,
        "kind": row.kind,
        "offset_ms": (row.at - run.created_at).total_seconds() * 1000,
        "data": data if len(data) <= RECORD_DATA_CHARS else data[:RECORD_DATA_CHARS] + "…",
        "digest": row.digest[:10],
    }
