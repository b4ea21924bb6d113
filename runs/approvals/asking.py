"""Write down what is asked for: frozen, without secrets, bound by a hash; allowed at once where a rule says so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from agents import gate_rules
from agents.gate.own import extended
from agents.gate.tirith import NO_OPINION, Opinion
from agents.models import Agent, User
from runs import events
from runs.approvals import panels, rules, signals
from runs.approvals.kinds import KINDS
from runs.gating import gated
from runs.models import Approval, ApprovalKind, ApprovalState, Choice, Run, Tier
from runs.stamp import canonical

# What is asked can be made to look like a secret, or be endless: who decides must know that they do not see it all.
HIDDEN = "Not all of it is shown: a part looks like a secret, or it is too long."
UNTITLED = "The agent asks before it runs this"

TITLE_CHARS = 500
VIA_GATE = "gate"


def ask(
    kind: str,
    *,
    subject: Mapping[str, Any],
    title: str,
    agent: Agent | None = None,
    run_id: str = "",
    asked_for: User | None = None,
    tier: str = Tier.USER,
    purpose: str = "",
    findings: Iterable[Mapping[str, Any]] = (),
    severity: str = "",
    policy_version: str = "",
    lifetime_s: int | None = None,
    needed: int = 1,
    key: str = "",
    by_runtime: bool = False,
    is_canary: bool = False,
    known: events.Known = frozenset(),
    refused: str = "",
    by_rules: bool = True,
) -> Approval:
    """Ask for ``subject``; it waits until decided or expired, or is allowed already by a rule that fits.

    With a run, agent and person are the run's. ``key`` is what rules go by, if the kind's own does not do; ``known``
    are secrets that must not be shown; ``by_runtime`` says that the agent runtime waits for the answer. ``refused`` says why
    nobody may allow it, and denies it at once; without ``by_rules`` no rule allows it."""
    spec = KINDS[str(kind)]
    if run_id:
        run = Run.objects.select_related("agent", "conversation__owner").get(pk=run_id)
        agent, asked_for = agent or run.agent, asked_for or run.conversation.owner
    whole = _unbroken(dict(subject))
    kept = events.redacted(dict(subject), known)
    if canonical(kept) != canonical(whole):
        title = f"{HIDDEN} {title}"
    bound = {
        "kind": spec.kind,
        "agent": agent.pk if agent else "",
        "run": run_id,
        "subject": whole,
        "policy": policy_version,
    }
    asked = Approval(
        kind=spec.kind,
        tier=tier,
        agent=agent,
        run_id=run_id or None,
        asked_for=asked_for,
        title=events.plain(title, known)[:TITLE_CHARS],
        subject=kept,
        subject_hash=_digest(bound),
        key=(key or spec.key_of(whole))[:64],
        policy_version=policy_version[:80],
        purpose=events.plain(purpose, known)[:TITLE_CHARS],
        findings=[_finding(finding, known) for finding in findings],
        severity=severity[:10],
        is_canary=is_canary,
        by_runtime=by_runtime,
        expires_at=timezone.now() + timedelta(seconds=spec.lifetime_s() if lifetime_s is None else lifetime_s),
    )
    terms = panels.Terms(max(1, needed)) if is_canary else panels.terms(spec.kind, tier, agent, asked.severity, needed)
    terms.freeze(asked)
    with transaction.atomic():
        if refused:
            _refuse(asked, events.plain(refused, known))
        elif by_rules and not is_canary:
            rules.apply(asked)
        asked.save(force_insert=True)
        signals.tell(asked)
    return asked


def request(
    run_id: str,
    command: str,
    description: str,
    known: events.Known = frozenset(),
    opinion: Opinion = NO_OPINION,
) -> Approval:
    """Write down the command for which the agent runtime waits; what nobody may approve is denied at once."""
    own = gate_rules.of(Run.objects.values_list("agent_id", flat=True).get(pk=run_id))
    said = gated(command, opinion, extended(own))
    return ask(
        ApprovalKind.COMMAND,
        subject={"command": command},
        title=description or UNTITLED,
        run_id=run_id,
        by_runtime=True,
        known=known,
        findings=[{"rule": each.rule, "severity": each.severity, "sentence": each.sentence} for each in said.findings],
        severity=said.severity,
        key=said.key,
        tier=Tier.ADMIN if said.is_for_operators else Tier.USER,
        policy_version=gate_rules.version_of(own),
        refused=said.refused,
        by_rules=said.by_rules,
    )


def _refuse(asked: Approval, why: str) -> None:
    asked.state, asked.choice, asked.note = ApprovalState.DENIED, Choice.DENY, why[:TITLE_CHARS]
    asked.decided_at, asked.decided_via = timezone.now(), VIA_GATE


def shown(asked: Approval) -> dict[str, Any]:
    """The data of an ``approval.requested`` event."""
    return {
        "id": asked.pk,
        "kind": asked.kind,
        "tier": asked.tier,
        "command": asked.exact,
        "description": asked.title,
        "severity": asked.severity,
        "subject_hash": asked.subject_hash,
        "expires_at": asked.expires_at.isoformat(),
        **({"question": asked.subject.get("question", ""), "options": asked.options} if asked.options else {}),
    }


def outcome(asked: Approval) -> dict[str, Any]:
    """The data of an ``approval.decided`` event: the choice, or "expired" and "withdrawn" when nobody made one."""
    told = {"id": asked.pk, "choice": asked.choice or asked.state, "by": _name(asked.decided_by)}
    more = {"via": asked.decided_via, "note": asked.note, "rule": asked.rule.words if asked.rule else ""}
    more["answer"] = asked.answer
    return {**told, **{name: value for name, value in more.items() if value}}


def _name(user: User | None) -> str:
    return user.username if user else ""


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()


def _finding(finding: Mapping[str, Any], known: events.Known) -> dict[str, str]:
    """A finding as it is kept: which rule, how bad, and a sentence."""
    return {name: events.plain(str(finding.get(name, "")), known)[:300] for name in ("rule", "severity", "sentence")}


def _unbroken(value: Any) -> Any:
    """The same JSON without what no database takes."""
    if isinstance(value, str):
        return events.unbroken(value)
    if isinstance(value, Mapping):
        return {events.unbroken(str(name)): _unbroken(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_unbroken(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else events.unbroken(str(value))
