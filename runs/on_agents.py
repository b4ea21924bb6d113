"""What runs do when an agent is archived or deleted, and what the pages of agents are told of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Case, Count, Max, OuterRef, Q, Subquery, Sum, Value, When
from django.db.models.functions import Substr
from django.utils import timezone

from agents import agent_pages, duplicating, permissions, retiring
from agents.models import Agent, User
from runs import dispatch, work
from runs.models import ACTIVE, Conversation, Run, Status
from runs.templatetags.run_format import money, plural
from sandboxes import activity
from sandboxes.activity import Use

# On the overview of an agent.
SHOWN = 6
# Ids in one question: a database takes only so long a list.
BATCH = 500


def connect() -> None:
    """Listen to what becomes of agents."""
    retiring.agent_archived.connect(stop_runs)
    retiring.agent_deleted.connect(stop_runs)
    duplicating.OBSTACLES.append(obstacle)
    activity.WITNESSES.append(uses)
    agent_pages.LOSSES.append(losses)
    agent_pages.SECTIONS.append(agent_pages.Section("runs/_agent_section.html", recent))
    agent_pages.CARDS.append(on_cards)


def stop_runs(agent: Agent, by: User, **rest: Any) -> None:
    """What the agent does right now is asked to stop; the engine ends its sandbox afterwards."""
    for run_id in work.stop_all_of(agent.pk, by):
        dispatch.announce(run_id)


def uses(agent_ids: Sequence[str], since: datetime) -> dict[str, Use]:
    """Which of the agents work right now, and when the others last ended a run."""
    busy = set(Run.objects.filter(agent_id__in=agent_ids).active().order_by().values_list("agent_id", flat=True))
    ended = Run.objects.filter(agent_id__in=agent_ids, finished_at__gte=since).order_by()
    last = dict(ended.values("agent_id").annotate(last=Max("finished_at")).values_list("agent_id", "last"))
    return {agent_id: Use(agent_id in busy, last.get(agent_id)) for agent_id in {*busy, *last}}


def people_of(reader: Any, run_ids: Iterable[str]) -> dict[str, str]:
    """Who asked for these runs, of those ``reader`` may see."""
    ids, found = list(run_ids), dict[str, str | None]()
    for start in range(0, len(ids), BATCH):
        rows = permissions.visible(reader, Run.objects.filter(pk__in=ids[start : start + BATCH])).order_by()
        found.update(rows.values_list("pk", "actor__username"))
    return {pk: name or "somebody whose account is gone" for pk, name in found.items()}


def losses(agent: Agent) -> list[str]:
    """What stays of a deleted agent's runs, and what ends."""
    active = Run.objects.filter(agent=agent).active().count()
    kept = "Its runs and chats stay readable by those who could read them."
    doing = (
        "What it does right now is stopped: one run."
        if active == 1
        else f"What it does right now is stopped: {active} runs."
    )
    return [*([doing] if active else []), kept]


def obstacle(user: User, source: Agent, part: str) -> str:
    """Why this part cannot be copied now; "" when it can."""
    if Run.objects.filter(agent=source).active().exists():
        return "It is working right now; wait until it is done, or stop it."
    if part == "sessions" and Conversation.objects.filter(agent=source).exclude(owner=user).exists():
        return "Others have talked with it, and what they said is not yours to copy."
    return ""


def recent(user: User, agent: Agent) -> dict[str, Any]:
    """The last runs of the agent that ``user`` may see."""
    rows = permissions.visible(user, Run.objects.filter(agent=agent)).select_related("actor").defer("stamp")
    runs = list(rows.annotate(preview=Substr("message__text", 1, 120)).order_by("-created_at")[:SHOWN])
    for run in runs:
        run.asked_by = run.actor.display_name if run.actor else "Somebody"  # type: ignore[attr-defined]
    return {"runs": runs}


def on_cards(user: User, agents: Sequence[Agent]) -> dict[str, dict[str, Any]]:
    """What each agent does, did today and did last, as far as ``user`` may see it, and whether they may chat with
    it: two queries for all of them."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    runs = permissions.visible(user, Run.objects.filter(agent__in=agents)).order_by()
    lately = runs.filter(Q(created_at__gte=midnight) | Q(status__in=ACTIVE)).values("agent")
    counted = lately.annotate(
        today=Count("pk", filter=Q(created_at__gte=midnight)),
        cost=Sum("cost", filter=Q(created_at__gte=midnight)),
        unpriced=Count("pk", filter=Q(cost_is_partial=True, created_at__gte=midnight)),
        waiting=Count("pk", filter=Q(status=Status.WAITING)),
        active=Count("pk", filter=Q(status__in=ACTIVE)),
    )
    facts: dict[str, dict[str, Any]] = {row["agent"]: _facts(row) for row in counted}
    last = permissions.visible(user, Run.objects.filter(agent=OuterRef("pk"))).order_by("-created_at")
    usable = permissions.visible(user, Agent.objects.filter(pk__in=[each.pk for each in agents]), "agent.chat")
    rows = Agent.objects.filter(pk__in=[each.pk for each in agents]).order_by()
    seen = rows.annotate(
        last_at=Subquery(last.values("created_at")[:1]),
        may_chat=Case(When(pk__in=usable.order_by().values("pk"), then=Value(True)), default=Value(False)),
    )
    for pk, last_at, may_chat in seen.values_list("pk", "last_at", "may_chat"):
        facts.setdefault(pk, {}).update(last_at=last_at, may_chat=may_chat)
    return facts


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if row["today"]:
        found["line"] = f"{plural(row['today'], 'run')} today"
        if row["cost"] is not None:
            found["line"] += f" · {money(row['cost'], bool(row['unpriced']))}"
    if row["active"]:
        found["state"] = Status.WAITING if row["waiting"] else Status.RUNNING
    return found
