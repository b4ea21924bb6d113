"""The rows of calls: begun, judged and counted in one transaction, claimed once, ended. Functions for a thread."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from agents import gate_rules, halting, secrets
from agents.agent_secrets import known_values
from agents.errors import LogosError, NotFound
from agents.gate import Judgement
from agents.gate.own import extended
from agents.models import Agent
from sandboxes.claimants import is_dead, process_name
from sandboxes.models import Sandbox
from sandboxes.tool_server import asking, deciding, gating, results, rules, subjects
from sandboxes.tool_server.asking import Question, Word
from sandboxes.tool_server.catalogue import Rates, Tool
from sandboxes.tool_server.deciding import Thing, Verdict
from sandboxes.tool_server.models import CallState, ToolCall
from sandboxes.tool_server.tiers import Tier

MOST_AT_ONCE = 16
MOST_WAITING = 20
COOL_DOWN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: by which door, for which run, and the person when one calls themselves."""

    door: str
    run_id: str = ""
    person_id: Any = None
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """A call's row, and all that carrying it out needs. ``known`` are the agent's secrets, ``word`` what is known of the
    question that was put just now."""

    row: ToolCall
    verdict: Verdict
    agent_name: str
    sandbox: Sandbox | None
    known: frozenset[str] = field(repr=False)
    word: Word | None = None


def digest_of(given: Any) -> str:
    """Of arguments as they are."""
    return hashlib.sha256(_canonical(given)).hexdigest()


def begin(
    agent_id: str,
    tool: Tool,
    given: dict[str, Any],
    about: list[Thing],
    caller: Caller,
    *,
    judged: Verdict | None = None,
    shape: str = "",
) -> Begun:
    """Judge the call and write it down; the same call that waits already is joined. NotFound for a deleted agent,
    LogosError (reason "halted") while work is stopped.

    ``judged`` is the verdict where the caller has counted and judged by the same rules already; ``shape`` stands for what
    else a decision about this tool is bound to, as the rules are."""
    with transaction.atomic():
        agent, known = _agent(agent_id)
        halting.require_running(agent_id=agent_id, person_id=caller.person_id)
        key = _key(agent_id, tool, given, caller)
        sandbox = Sandbox.objects.filter(agent=agent, files_removed_at=None).first()
        held, own = rules.of(agent_id), gate_rules.of(agent_id)
        version = _version(deciding.version_of(held, gate_rules.version_of(own)), shape)
        if (waiting := _waiting(key)) is not None:
            verdict = Verdict(Tier.ASK, waiting.reason, waiting.rule)
            if waiting.policy_version == version:
                return Begun(waiting, verdict, agent.name, sandbox, known)
            end(waiting.pk, CallState.EXPIRED, "The rules have changed since it was asked for.")
        row = _row(agent, tool, given, key, caller, known)
        said = gating.judged(about, extended(own))
        verdict = _bounded(row, judged) if judged is not None else _judged(row, tool, about, held, said)
        row.tier, row.rule, row.reason = verdict.tier, verdict.rule[:40], verdict.reason[:400]
        row.policy_version = version
        row.state = _STATES[verdict.tier]
        if row.state == CallState.REFUSED:
            row.ended_at, row.is_error, row.error = row.at, True, verdict.reason[:400]
        row.save(force_insert=True)
        word = _put(row, tool, given, verdict, caller, known, said) if row.state == CallState.WAITING else None
        return Begun(row, verdict, agent.name, sandbox, known, word)


def _put(
    row: ToolCall,
    tool: Tool,
    given: dict[str, Any],
    verdict: Verdict,
    caller: Caller,
    known: frozenset[str],
    said: Judgement | None,
) -> Word | None:
    """Put the question in the transaction that writes the call down: whoever makes the same call finds it asked."""
    question = Question(
        call_id=row.pk,
        agent_id=row.agent_id,
        run_id=row.run_id,
        caller_id=caller.person_id,
        tool=tool.name,
        title=results.recorded(subjects.title(tool, given), known, 200),
        subject={"tool": tool.name, "arguments": given},
        reason=verdict.reason,
        findings=gating.findings(said),
        severity=str(said.severity) if said is not None else "",
        policy_version=row.policy_version,
        purpose=caller.purpose,
        is_for_operators=said is not None and said.is_for_operators,
    )
    try:
        with transaction.atomic():
            word = asking.desk().ask(question)
    except LogosError as error:
        row.state, row.is_error, row.ended_at = CallState.REFUSED, True, timezone.now()
        row.error = row.reason = f"{error.message} {error.action}".strip()[:400]
        row.save()
        return None
    row.approval_id = word.id
    row.save(update_fields=["approval_id"])
    return word


_STATES = {
    Tier.ALLOW: CallState.RUNNING,
    Tier.NOTIFY: CallState.RUNNING,
    Tier.ASK: CallState.WAITING,
    Tier.BLOCK: CallState.REFUSED,
}


def refuse(agent_id: str, tool: Tool, given: dict[str, Any], caller: Caller, error: LogosError) -> ToolCall:
    """A call that was refused before any rule was asked."""
    with transaction.atomic():
        agent, known = _agent(agent_id)
        row = _row(agent, tool, given, _key(agent_id, tool, given, caller), caller, known)
        row.tier, row.state, row.ended_at = Tier.BLOCK, CallState.REFUSED, row.at
        row.is_error, row.error = True, results.recorded(error.message, known, 380)
        row.reason = row.error
        row.save(force_insert=True)
        return row


def claim(call_id: str) -> bool:
    """It may begin, and nobody else may begin it. An approval is used up by this; while work is stopped it is not
    (LogosError, reason "halted")."""
    waiting = ToolCall.objects.filter(pk=call_id, state=CallState.WAITING)
    for agent_id, person_id in waiting.values_list("agent_id", "caller_id"):
        halting.require_running(agent_id=agent_id, person_id=person_id)
    return bool(waiting.update(state=CallState.RUNNING, claimed_by=process_name()))


def is_halted(row: ToolCall) -> bool:
    """Has work been stopped since the call began?"""
    return halting.is_halted(agent_id=row.agent_id, person_id=row.caller_id)


def judged(agent_id: str, tool: Tool, about: list[Thing]) -> tuple[Verdict, Rates]:
    """What the rules say of a call now, and how often it may be made; nothing is written or counted."""
    held = rules.of(agent_id)
    return gating.decide(tool, about, held, gate_rules.rules_for(agent_id)), deciding.rates_of(tool, held)


def end(call_id: str, state: str, error: str = "") -> bool:
    """It does not run: denied, expired or refused. False when it has gone on meanwhile."""
    waiting = ToolCall.objects.filter(pk=call_id, state=CallState.WAITING)
    return bool(waiting.update(state=state, error=error[:400], is_error=True, ended_at=timezone.now()))


def finish(call_id: str, outcome: results.Outcome, known: frozenset[str], duration_ms: float) -> None:
    """What came of it."""
    error = results.recorded(outcome.text, known, 380) if outcome.is_error else ""
    ToolCall.objects.filter(pk=call_id, state=CallState.RUNNING).update(
        state=CallState.FAILED if outcome.is_error else CallState.DONE,
        is_error=outcome.is_error,
        error=error,
        result_bytes=len(outcome.text.encode()),
        duration_ms=duration_ms,
        ended_at=timezone.now(),
    )


def settle_dead() -> int:
    """Calls whose process has ended while they ran: nobody knows what they did, and they are not done again."""
    running = ToolCall.objects.filter(state=CallState.RUNNING)
    holders = set(running.order_by().values_list("claimed_by", flat=True).distinct())
    dead = [holder for holder in holders if is_dead(holder)]
    return running.filter(claimed_by__in=dead).update(
        state=CallState.UNKNOWN, is_error=True, error="Logos ended while it ran.", ended_at=timezone.now()
    )


def _version(rules_version: str, shape: str) -> str:
    return hashlib.sha256(f"{rules_version} {shape}".encode()).hexdigest()[:16] if shape else rules_version


def _agent(agent_id: str) -> tuple[Agent, frozenset[str]]:
    # Locked: calls of one agent are judged one after the other, so that each counts those before it.
    agent = Agent.objects.alive().select_for_update(of=("self",)).filter(pk=agent_id).first()
    if agent is None:
        raise NotFound("Agent")
    return agent, secrets.forms(known_values(agent))


def _key(agent_id: str, tool: Tool, given: dict[str, Any], caller: Caller) -> str:
    return digest_of([agent_id, caller.run_id, str(caller.person_id or ""), tool.name, digest_of(given)])


def _waiting(key: str) -> ToolCall | None:
    return ToolCall.objects.filter(key=key, state=CallState.WAITING).order_by("pk").first()


def _row(agent: Agent, tool: Tool, given: dict[str, Any], key: str, caller: Caller, known: frozenset[str]) -> ToolCall:
    return ToolCall(
        agent=agent, run_id=caller.run_id[:40], caller_id=caller.person_id, door=caller.door, tool=tool.name,
        arguments=results.recorded(given, known), digest=digest_of(given), key=key, claimed_by=process_name(),
        at=timezone.now(),
    )  # fmt: skip


def _judged(
    row: ToolCall, tool: Tool, about: list[Thing], held: list[deciding.Rule], said: Judgement | None
) -> Verdict:
    verdict = gating.gated(deciding.decide(tool, about, held), said)
    made = ToolCall.objects.filter(agent=row.agent_id, tool=tool.name).order_by()
    counts = made.filter(at__gt=row.at - timedelta(hours=1)).aggregate(
        hour=Count("pk"), minute=Count("pk", filter=Q(at__gt=row.at - timedelta(minutes=1)))
    )
    verdict = deciding.with_rates(
        verdict, deciding.rates_of(tool, held), counts["minute"] + 1, counts["hour"] + 1
    )  # fmt: skip
    return _bounded(row, verdict)


def _bounded(row: ToolCall, verdict: Verdict) -> Verdict:
    """Not too many at once, and nobody is asked again for what was just denied."""
    if verdict.tier == Tier.BLOCK:
        return verdict
    if verdict.tier == Tier.ASK:
        denied = ToolCall.objects.filter(key=row.key, state=CallState.DENIED, ended_at__gt=row.at - COOL_DOWN)
        if (before := denied.order_by("-pk").first()) is not None:
            return verdict.raised(Tier.BLOCK, f"It was denied a moment ago. {before.error}".strip(), "denied")
        waiting = ToolCall.objects.filter(agent=row.agent_id, state=CallState.WAITING).count()
        if waiting >= MOST_WAITING:
            return verdict.raised(Tier.BLOCK, f"{waiting} calls of this agent wait for a person already.", "waiting")
        return verdict
    running = ToolCall.objects.filter(agent=row.agent_id, state=CallState.RUNNING)
    holders = running.order_by().values_list("claimed_by").annotate(count=Count("pk"))
    if sum(count for holder, count in holders if not is_dead(holder)) >= MOST_AT_ONCE:
        return verdict.raised(Tier.BLOCK, f"{MOST_AT_ONCE} calls of this agent run already.", "busy")
    return verdict


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
