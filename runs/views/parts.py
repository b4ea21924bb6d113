"""What the pages of chats and runs share: turns, STAMP chips, the list of chats, who may do what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from agents import permissions
from agents.composed import HIDDEN_MODEL, hide
from agents.models import Agent, ModelRoute, User
from agents.routes import default_route
from runs import events, rendering, words
from runs.hub import hub
from runs.models import ACTIVE, Conversation, Message, Run, RunEvent
from runs.rendering import RunFigures, RunRef
from runs.reviewing.opening import is_stamped
from runs.timeline import Timeline
from runs.withheld import BLIND, Sight

# A page shows the last turns; of these the newest with all their steps.
SHOWN_TURNS = 30
DETAILED_TURNS = 6
# Long ones make room by drawing those before them short, so that a page stays light.
DETAILED_CHARS = 25_000
SHOWN_CHATS = 40
SHOWN_AGENTS = 24
SHOWN_RUNNING, MOST_ACTIVE = 10, 500


@dataclass(frozen=True, slots=True)
class Turn:
    """A message and what came of it. ``html`` is the agent's turn with its steps; "" for an older, short one."""

    ref: RunRef
    figures: RunFigures
    text: str
    asked_by: str
    html: str = ""
    reply: str = ""
    problem: str = ""
    # What the agent wrote unasked before it.
    unasked: tuple[Message, ...] = ()


def turns_of(runs: list[Run], csrf_token: str) -> list[Turn]:
    """Turns for runs (newest last) that have message, reply, actor and agent loaded; one query for all events."""
    newest_first = runs[::-1]
    detailed = [run for n, run in enumerate(newest_first) if n < DETAILED_TURNS or not run.has_finished]
    timelines, turns, drawn_chars = timelines_of([run.pk for run in detailed]), [], 0
    for run in newest_first:
        is_short = drawn_chars > DETAILED_CHARS and run.has_finished
        turns.append(_turn(run, None if is_short else timelines.get(run.pk), csrf_token))
        drawn_chars += len(turns[-1].html)
    return turns[::-1]


def timelines_of(run_ids: list[str], sight: Sight = BLIND) -> dict[str, Timeline]:
    """The folded events of several runs, in one query; also those shown a moment ago and not committed yet,
    so that a page read anew never shows less than before. Names of models are in them for who has the ``sight``."""
    # Asked first: what is committed after this is found in the rows.
    unstored = {run_id: hub.unstored(run_id) for run_id in run_ids}
    timelines: dict[str, Timeline] = defaultdict(Timeline)
    for run_id in run_ids:
        timelines[run_id] = Timeline()
    rows = RunEvent.objects.filter(run_id__in=run_ids).order_by("run_id", "seq")
    for event in events.from_rows(rows.only("run_id", "seq", "kind", "data", "at").iterator(2000)):
        timelines[event.run_id].apply(sight.event(event))
    for run_id, waiting in unstored.items():
        for event in waiting:
            timelines[run_id].apply(sight.event(event))
    return timelines


def _turn(run: Run, timeline: Timeline | None, csrf_token: str) -> Turn:
    ref, figures, asked_by = RunRef.of(run), RunFigures.of(run), name_of(run.actor)
    if timeline is not None:
        html = rendering.turn_html(ref, figures, timeline, "chat", csrf_token)
        return Turn(ref, figures, run.message.text, asked_by, html=html)
    problem = words.describe(run.error_code, run.error_message)[0] if run.error_code else ""
    reply = run.reply.text if run.reply else ""
    return Turn(ref, figures, run.message.text, asked_by, reply=reply, problem=problem)


def name_of(person: User | None) -> str:
    """A person's name for pages; accounts can be deleted."""
    return person.display_name if person else "Somebody"


def stamp_chips(stamp: dict[str, Any]) -> list[dict[str, str]]:
    """The five dimensions as letter, name and value."""
    soul, runtime, model = stamp.get("soul") or {}, stamp.get("runtime") or {}, stamp.get("model") or {}
    rules = stamp.get("permissions") or {}
    hosts = rules.get("hosts") or []
    reviewed = ", reviewed" if is_stamped(stamp) else ""
    values = (
        ("Soul", f"{soul.get('name', '')}, revision {soul.get('revision', '?')}", ""),
        ("Tools", ", ".join((stamp.get("tools") or {}).get("toolsets") or []) or "none", ""),
        ("Agent runtime", f"{runtime.get('name', '')} {runtime.get('version', '')}".strip(), ""),
        ("Model", str(model.get("model", "")), " of ".join(filter(None, (model.get("model"), model.get("provider"))))),
        ("Permissions", f"{rules.get('driver', '')} sandbox, {', '.join(hosts) or 'no hosts'}{reviewed}", ""),
    )
    return [{"letter": name[0], "name": name, "value": value, "more": more} for name, value, more in values]


def route_for(agent: Agent) -> ModelRoute | None:
    """The route the next message would use, or None; needs ``route__provider`` loaded."""
    return agent.route or default_route()


def usable_agents(user: User) -> dict[str, Any]:
    """Context for ``runs/_agents.html``: the first agents by name that ``user`` may chat with, whether each works
    right now, and whether there are more."""
    rows = Agent.objects.in_use().select_related("soul", "route", "owner").defer("soul__text")
    found: list[Any] = list(permissions.visible(user, rows, "agent.chat").order_by("name")[: SHOWN_AGENTS + 1])
    agents = found[:SHOWN_AGENTS]
    # Not as part of the query above: the database would look for runs of every agent before it sorts them.
    working = set(Run.objects.active().filter(agent__in=agents).values_list("agent_id", flat=True))
    hide(user, agents)
    fallback = default_route() if any(agent.route_id is None for agent in agents) else None
    for agent in agents:
        route = agent.route or fallback
        agent.is_working = agent.pk in working
        agent.model_name = HIDDEN_MODEL if agent.hides_route else route.model if route else "no model yet"
    return {"agents": agents, "has_more_agents": len(found) > SHOWN_AGENTS}


def running_now(user: User) -> list[Run]:
    """The newest runs that go on and ``user`` may see."""
    rows = permissions.visible(user, Run.objects.active()).select_related("agent", "conversation").defer("stamp")
    # Sorted here: asked for the newest first, the database walks through every run there ever was.
    return sorted(rows.order_by()[:MOST_ACTIVE], key=lambda run: run.pk, reverse=True)[:SHOWN_RUNNING]


def own_chats(user: User) -> QuerySet[Conversation]:
    """A person's own conversations, newest first, with the state of the run that goes on in each."""
    active = Run.objects.filter(conversation=OuterRef("pk"), status__in=ACTIVE)
    running = {"active_status": Subquery(active.values("status")[:1]), "active_run": Subquery(active.values("pk")[:1])}
    rows = permissions.visible(user, Conversation.objects.filter(owner=user))
    return rows.select_related("agent").annotate(**running).order_by("-last_at")


def idle_chats(user: User) -> QuerySet[Conversation]:
    """Those of one's chats in which nothing goes on, newest first."""
    return own_chats(user).exclude(runs__status__in=ACTIVE)


def threads(user: User) -> list[dict[str, Any]]:
    """The list of chats in groups: today, this week, earlier."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    week = midnight - timedelta(days=6)
    grouped = _grouped(own_chats(user)[:SHOWN_CHATS], midnight, week)
    return [{"label": label, "conversations": chats} for label, chats in grouped.items() if chats]


def _grouped(chats: Iterable[Conversation], midnight: datetime, week: datetime) -> dict[str, list[Conversation]]:
    groups: dict[str, list[Conversation]] = {"Today": [], "This week": [], "Earlier": []}
    for chat in chats:
        label = "Today" if chat.last_at >= midnight else "This week" if chat.last_at >= week else "Earlier"
        groups[label].append(chat)
    return groups
