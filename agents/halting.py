"""Stop everything, one agent, one person or one server, and let it go on step by step: what every door calls.

A halt counts from its commit: whatever begins work asks ``require_running`` first. What already goes on is asked to
stop by the rooms above, which listen to ``halted`` and write down what they asked and what confirmed (``HaltStop``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.dispatch import Signal
from django.utils import timezone

from agents import audit, halt_files, permissions
from agents.errors import Conflict, Invalid, NotFound
from agents.halts import NOTHING, Halted, Halts, Held, stages_after
from agents.models import Agent, Halt, HaltScope, Stage, User
from agents.numbers import whole

logger = logging.getLogger(__name__)

MAX_REASON = 300
# The page about halts; beside it in the count of what waits stands how many are on.
PAGE = "/stop/"

ACTION_OF = {
    HaltScope.EVERYTHING: "halt.everything",
    HaltScope.AGENT: "agent.halt",
    HaltScope.PERSON: "halt.person",
    HaltScope.SERVER: "halt.server",
}

# Sent with ``halt`` inside the transaction of the change: it is on (again), or was taken back by a step.
halted = Signal()
resumed = Signal()

# Called after the commit of any change, from any thread: engines of this process look at once.
wake: list[Callable[[], None]] = []

# Rooms above bring ``HaltStop`` rows of a halt up to date from what they know, when somebody reads them.
CONFIRM: list[Callable[[Halt], None]] = []


# what every door asks ------------------------------------------------------------------------------


def current() -> Halts:
    """What is stopped at this moment: one small query and a look at a directory. Raises what the database raises."""
    rows = Halt.objects.filter(lifted_at=None).order_by("pk")
    held = [
        Held(pk, scope, subject, name, reason, stage, frozenset(chosen))
        for pk, scope, subject, name, reason, stage, chosen in rows.values_list(
            "pk", "scope", "subject", "name", "reason", "stage", "chosen"
        )
    ]
    if filed := halt_files.read():
        known = set(Halt.objects.filter(pk__in=[each.held.id for each in filed]).values_list("pk", flat=True))
        held += [each.held for each in filed if each.held.id not in known]
    return Halts(tuple(held)) if held else NOTHING


def is_halted(*, agent_id: str = "", person_id: int | None = None, server: str = "") -> bool:
    """May nothing begin for this agent, this person, on this server?"""
    return current().of_work(agent_id, person_id, (server,) if server else ()) is not None


def require_running(*, agent_id: str = "", person_id: int | None = None, server: str = "") -> None:
    """Return if work may begin; ``Halted`` (reason "halted") says what is stopped."""
    if held := current().of_work(agent_id, person_id, (server,) if server else ()):
        raise Halted(held)


def require_decisions(*, agent_id: str = "", person_id: int | None = None, server: str = "") -> None:
    """Return if what waits for a person may be decided; ``Halted`` while it is frozen."""
    if held := current().of_decision(agent_id, person_id, (server,) if server else ()):
        raise Halted(held)


# stopping ------------------------------------------------------------------------------------------


def stop(user: User, scope: str, subject: str = "", reason: str = "", *, halt_id: str = "") -> Halt:
    """Stop it. What is stopped already stays so, and what it asked to stop is asked again; what was resumed in part
    is stopped again. Raises NotFound, Invalid, LogosError(reason="forbidden")."""
    held = aim(user, scope, subject, reason)
    return _begin(held, user, halt_id)


def aim(user: User, scope: str, subject: str, reason: str) -> Held:
    """What ``user`` would stop, checked: that it is there, and that they may."""
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise Invalid(f"A reason has at most {MAX_REASON} visible characters, on one line.", field="reason")
    reason = reason.strip()
    if scope == HaltScope.EVERYTHING:
        permissions.require(user, "halt.everything")
        return Held("", scope, reason=reason)
    if scope == HaltScope.AGENT:
        agent = permissions.fetch(user, "agent.halt", Agent.objects.alive(), pk=subject)
        return Held("", scope, agent.pk, agent.name, reason)
    if scope == HaltScope.PERSON:
        permissions.require(user, "halt.person")
        person = User.objects.filter(Q(username=subject) | Q(pk=whole(subject))).first()
        if person is None or person.erased_at:
            raise NotFound("This person")
        return Held("", scope, str(person.pk), person.username, reason)
    if scope == HaltScope.SERVER:
        permissions.require(user, "halt.server")
        name = subject.strip()
        if not 1 <= len(name) <= 120 or not name.isprintable():
            raise Invalid("Name the server: an MCP server, or the machine sandboxes run on.", field="server")
        return Held("", scope, name, name, reason)
    raise Invalid(f"There is no halt of {scope!r}.", field="scope", action=f"One of {', '.join(HaltScope.values)}.")


def _begin(held: Held, by: User | None, halt_id: str = "") -> Halt:
    """Write the halt down and tell who has to stop something. Two at once are one."""
    with transaction.atomic():
        row, is_new = _row_of(held, by, halt_id)
        if is_new:
            _note("halted", row, by, because=row.reason)
        halted.send(Halt, halt=row)
        transaction.on_commit(announce)
    return row


def _row_of(held: Held, by: User | None, halt_id: str) -> tuple[Halt, bool]:
    """The halt of this, stopped; and whether anything changed by that."""
    facts: dict[str, Any] = {
        "scope": held.scope,
        "subject": held.subject,
        "name": held.name,
        "reason": held.reason,
        "by": by,
        "at": timezone.now(),
        "agent_id": held.subject if held.scope == HaltScope.AGENT else None,
        "person_id": whole(held.subject) if held.scope == HaltScope.PERSON else None,
    }
    try:
        with transaction.atomic():
            return Halt.objects.create(**facts, **({"pk": halt_id} if halt_id else {})), True
    except IntegrityError:
        rows = Halt.objects.select_for_update().filter(scope=held.scope, subject=held.subject, lifted_at=None)
        row = rows.first()
        if row is None:  # this very halt, written by another process and resumed since
            return Halt.objects.get(pk=halt_id), False
    if row.stage == Stage.STOPPED:
        return row, False
    row.stage, row.chosen, row.by, row.at = Stage.STOPPED, [], by, facts["at"]
    row.reason = held.reason or row.reason
    row.save(update_fields=["stage", "chosen", "by", "at", "reason"])
    return row, True


def _note(kind: str, row: Halt, by: User | None, **detail: Any) -> None:
    """A line of the audit: about the agent or person; a server has only its name."""
    kind = kind if row.scope == HaltScope.EVERYTHING else f"{kind}_{row.scope}"
    named = {"name": row.name} if row.scope == HaltScope.SERVER else {}
    audit.note(kind, actor=by, about=row.agent, person=row.person, **named, **detail)


def announce() -> None:
    """Tell engines of this process."""
    for listener in list(wake):
        listener()


def take_up() -> int:
    """Make rows of halts that are only files so far; how many. A file whose halt cannot be is dropped with a word in
    the log: an agent that is gone, or a halt that was resumed already."""
    done = 0
    for filed in halt_files.read():
        known = Halt.objects.filter(pk=filed.held.id).first()
        if known is None and _is_there(filed.held):
            _begin(filed.held, User.objects.filter(username=filed.by).first(), filed.held.id)
            done += 1
        elif known is None:
            logger.warning("The halt %s is of something that is gone", filed.path.name)
        halt_files.remove(filed.path)
    return done


def _is_there(held: Held) -> bool:
    if held.scope == HaltScope.AGENT:
        return Agent.objects.alive().filter(pk=held.subject).exists()
    if held.scope == HaltScope.PERSON:
        return User.objects.filter(pk=whole(held.subject) or 0).exists()
    return True


# resuming ------------------------------------------------------------------------------------------


def resume(user: User, halt_id: str, stage: str, agents: Iterable[str] = ()) -> Halt:
    """Take the halt back to ``stage``; each is a decision, none can be repeated. ``agents`` are those that may work
    with the stage "chosen". Raises NotFound, Invalid, and Conflict when somebody else took it there already."""
    row = find(user, halt_id, to_end=True)
    if row.lifted_at is not None:
        raise Conflict("This was resumed already.", reason="not_halted", action="Nothing has to be done.")
    if stage not in stages_after(row.scope, row.stage):
        left = ", ".join(stages_after(row.scope, row.stage))
        raise Invalid(
            f"It cannot be taken back to {stage!r} from here.", field="stage", action=f"What is left: {left}."
        )
    chosen = _chosen(user, agents) if stage == Stage.CHOSEN else []
    now = timezone.now()
    ends = {"lifted_by": user, "lifted_at": now} if stage == Stage.LIFTED else {}
    with transaction.atomic():
        here = Halt.objects.filter(pk=row.pk, stage=row.stage, at=row.at, lifted_at=None)
        if not here.update(stage=stage, chosen=chosen, **ends):
            raise Conflict("Somebody else has just changed this halt.", reason="stale", action="Look at it again.")
        row.refresh_from_db()
        _note("resumed", row, user, as_far_as=Stage(stage).label.lower(), agents=len(chosen))
        resumed.send(Halt, halt=row)
        transaction.on_commit(announce)
    return row


def _chosen(user: User, agents: Iterable[str]) -> list[str]:
    wanted = list(dict.fromkeys(agents))
    seen = set(permissions.visible(user, Agent.objects.alive().filter(pk__in=wanted)).values_list("pk", flat=True))
    if missing := [each for each in wanted if each not in seen]:
        raise NotFound(f"The agent {missing[0][:40]}")
    if not wanted:
        raise Invalid("Choose the agents that may work again.", field="agents")
    return wanted


# reading -------------------------------------------------------------------------------------------


def find(user: User, halt_id: str, *, to_end: bool = False) -> Halt:
    """One halt ``user`` may see; with ``to_end`` one they may take back. NotFound otherwise."""
    rows = may_lift(user) if to_end else seen_by(user)
    row = rows.filter(pk=halt_id).first()
    if row is None:
        raise NotFound("This halt")
    return row


def may_lift(user: User) -> QuerySet[Halt]:
    """The halts, past ones too, that this person may take back: whoever may stop a thing may let it go on."""
    rows = Halt.objects.select_related("agent", "person", "by", "lifted_by")
    mine = Q(agent__in=permissions.visible(user, Agent.objects.all(), "agent.halt").order_by().values("pk"))
    for action, scope in (
        ("halt.everything", HaltScope.EVERYTHING),
        ("halt.person", HaltScope.PERSON),
        ("halt.server", HaltScope.SERVER),
    ):
        if permissions.may(user, action):
            mine |= Q(scope=scope)
    return rows.filter(mine)


def seen_by(user: User) -> QuerySet[Halt]:
    """The halts that concern this person: of everything and of servers, of agents they see, of themselves; and what
    they may take back."""
    if not permissions.role_of(user):
        return Halt.objects.none()
    ids = may_lift(user).order_by().values("pk")
    agents = permissions.visible(user, Agent.objects.all()).order_by().values("pk")
    concerned = Q(scope__in=(HaltScope.EVERYTHING, HaltScope.SERVER)) | Q(agent__in=agents) | Q(person=user)
    return Halt.objects.select_related("agent", "person", "by", "lifted_by").filter(concerned | Q(pk__in=ids))


def counted(user: User) -> QuerySet[Halt] | None:
    """Whatever is on, of whoever: tells a page's frame whether there is anything to ask about, and is not shown."""
    return Halt.objects.filter(lifted_at=None)


def value(halt: Halt) -> Held:
    """The row as the rules know it."""
    return Held(halt.pk, halt.scope, halt.subject, halt.name, halt.reason, halt.stage, frozenset(halt.chosen))


def confirm(halt: Halt) -> None:
    """Bring what it asked to stop up to date."""
    for each in CONFIRM:
        each(halt)
