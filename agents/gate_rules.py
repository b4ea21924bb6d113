"""The operators' own rules of the command gate as rows: read for a judgement, made, changed and removed by who may."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from agents import acting, audit, four_eyes, permissions
from agents.editing import editing
from agents.errors import Conflict, Invalid, NotFound
from agents.gate import Judgement, judge, own
from agents.gate.own import ANSWERS, Own
from agents.gate.rules import SEVERITIES, Rules, rank
from agents.models import Agent, GateRule, Policy, User
from agents.models.history import REASON_LENGTH

MOST_RULES = 100
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}\Z")


def of(agent_id: str) -> tuple[Own, ...]:
    """The rules that are about commands of this agent: those for every agent, and those of its policies. One query."""
    return tuple(rule for _, rule in scoped(agent_id))


def scoped(agent_id: str) -> list[tuple[str | None, Own]]:
    """The same, each with the id of its policy, or None. One query."""
    about = Q(policy=None) | Q(policy__in=Policy.objects.filter(agents=agent_id).order_by().values("pk"))
    return [(row.policy_id, as_own(row)) for row in GateRule.objects.filter(about).order_by("name")]


def with_policy(policy: Policy | None) -> tuple[Own, ...]:
    """The rules of a policy, or for every agent."""
    return tuple(as_own(row) for row in GateRule.objects.filter(policy=policy).order_by("name"))


# Rooms above say in a sentence what a change would have done, for its history: (who changes, the policy or None for every
# agent, the rules there would be).
FORESEEN: list[Callable[[User, Policy | None, tuple[Own, ...]], str]] = []


def _foreseen(user: User, row: GateRule, said: Own | None) -> str:
    rules = [as_own(each) for each in GateRule.objects.filter(policy=row.policy).exclude(pk=row.pk)]
    draft = tuple([*rules, said] if said else rules)
    return " ".join(filter(None, (each(user, row.policy, draft) for each in FORESEEN)))[:REASON_LENGTH]


def rules_for(agent_id: str) -> Rules:
    """Every rule of the gate for this agent, the shipped ones too."""
    return own.extended(of(agent_id))


def judge_for(agent_id: str, command: str) -> Judgement:
    """What the gate says when this agent wants to run it."""
    return judge(command, rules_for(agent_id))


def tried(user: User, command: str, agent_id: str = "") -> Judgement:
    """What it says of a command of an agent the person sees, or under the rules for every agent. Nothing is asked."""
    if agent_id:
        agent_id = permissions.fetch(user, "agent.view", Agent.objects.alive(), pk=agent_id).pk
    return judge_for(agent_id, command)


def as_own(row: GateRule) -> Own:
    """The row as what judges."""
    when = json.dumps(row.when, ensure_ascii=False, sort_keys=True)
    return Own(row.name, row.severity, row.answer, row.sentence, when, row.version)  # type: ignore[arg-type]


def version_of(rules: Iterable[Own]) -> str:
    """What stands for these rules in a record; "" for none, another one when any of them has changed."""
    told = sorted((rule.name, rule.severity, rule.answer, rule.when) for rule in rules)
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16] if told else ""


def seen_by(user: User) -> QuerySet[GateRule]:
    """The rules this person may read: those for every agent, and of policies they see."""
    if not permissions.role_of(user):
        return GateRule.objects.none()
    of_policies = permissions.visible(user, GateRule.objects.order_by()).values("pk")
    return GateRule.objects.filter(Q(policy=None) | Q(pk__in=of_policies)).select_related("policy", "made_by")


def may_change(user: User, rules: Iterable[GateRule]) -> set[str]:
    """Which of these the person may change, by id."""
    ids = [rule.pk for rule in rules]
    return set(permissions.visible(user, GateRule.objects.filter(pk__in=ids), "gate.edit").values_list("pk", flat=True))


def create(user: User, policy: Policy | None = None, **fields: Any) -> GateRule:
    """A new rule, for every agent or for those with ``policy``. Raises Invalid with the field, NotFound, Conflict."""
    if policy is None:
        permissions.require(user, "gate.site")
    else:
        permissions.require(user, "gate.edit", policy)
    said = checked(**fields)
    if GateRule.objects.filter(policy=policy).count() >= MOST_RULES:
        raise Invalid(f"There are {MOST_RULES} rules already.", action="Remove one first.")
    return _saved(user, GateRule(policy=policy, made_by=user), said)


def change(user: User, rule_id: str, version: int | None, **fields: Any) -> GateRule:
    """Set these of name, severity, answer, sentence and when. Raises NotFound, Stale, Invalid, Conflict."""
    with editing(user, "gate.edit", GateRule.objects.all(), rule_id, version) as row:
        held = {name: getattr(row, name) for name in ("name", "severity", "answer", "sentence", "when")}
        said = checked(**{**held, **fields})
        _ask_if_weaker(row, said)
        return row if as_own(row) == _numbered(said, row.version) else _saved(user, row, said)


def remove(user: User, rule_id: str, version: int | None = None) -> None:
    """Take a rule away: it stops to hold at once. Raises NotFound, Stale."""
    with editing(user, "gate.edit", GateRule.objects.all(), rule_id, version) as row:
        _ask_if_weaker(row, None)
        with acting.because(acting.reason() or _foreseen(user, row, None)):
            _tell("gate_rule_removed", user, row)
            row.delete()


def _ask_if_weaker(row: GateRule, said: Own | None) -> None:
    """What makes a rule weaker, or takes it away, waits while it takes two."""
    if not four_eyes.waits() or not own.weakens(as_own(row), said):
        return
    subject: dict[str, Any] = {
        "rule": row.name,
        "sentence": row.sentence,
        "before": f"{row.severity}, allowed by {row.get_answer_display().lower()}: {json.dumps(row.when)}",
        "after": f"{said.severity}, allowed by {said.answer}: {said.when}" if said else "gone",
        "gate_rule_id": row.pk,
        "version": row.version,
    }
    if row.policy_id:
        subject["policy_id"] = row.policy_id
    if said:
        fields = {name: getattr(said, name) for name in ("name", "severity", "answer", "sentence")}
        subject["fields"] = {**fields, "when": json.loads(said.when)}
    title = f"Change the gate rule {row.name}" if said else f"Remove the gate rule {row.name}"
    raise four_eyes.SecondPerson(wish=four_eyes.Wish("gate_rule", title, subject))


def _carry(user: User, subject: dict[str, Any]) -> None:
    if fields := subject.get("fields"):
        change(user, subject["gate_rule_id"], int(subject["version"]), **fields)
    else:
        remove(user, subject["gate_rule_id"], int(subject["version"]))


four_eyes.CARRY["gate_rule"] = _carry


def find(user: User, name_or_id: str, action: str = "gate.view") -> GateRule:
    """The rule of this id or name that the person may act on; NotFound otherwise."""
    rows = seen_by(user) if action == "gate.view" else permissions.visible(user, GateRule.objects.all(), action)
    row = rows.filter(Q(pk=name_or_id) | Q(name=name_or_id)).first()
    if row is None:
        acting.remember_refusal(action, GateRule, name_or_id[:40])
        raise NotFound("Rule")
    return row


def checked(
    *, name: str, severity: str, answer: str = "person", sentence: str = "", when: Any = None
) -> Own:  # fmt: skip
    """The rule these words make, without storing it. Invalid with the field."""
    if not _NAME.match(name):
        raise Invalid("A rule's name has up to 60 small letters, digits and dashes, as in no-terraform.", field="name")
    if severity not in SEVERITIES:
        raise Invalid(f"Choose one of {', '.join(SEVERITIES)}.", field="severity")
    if answer not in ANSWERS:
        raise Invalid(f"Choose one of {', '.join(ANSWERS)}.", field="answer")
    sentence = sentence.strip()
    if len(sentence) > 200 or not sentence.isprintable():
        raise Invalid("The sentence is one line of up to 200 characters.", field="sentence")
    rule = Own(name, severity, answer, sentence, own.checked(when))
    if not own.raises(rule):
        if not sentence:
            raise Invalid("Say in a sentence what it is about: whoever decides reads it.", field="sentence")
    elif not any(
        rank(each.severity) < rank(severity) or (answer != "person" and not each.hardline)
        for each in own.raised_by(rule)
    ):
        raise Invalid(
            "This raises nothing: what it is about is that bad already.",
            field="severity",
            action="Choose a higher severity, or who may still allow it.",
        )
    return rule


def _numbered(said: Own, version: int) -> Own:
    return Own(said.name, said.severity, said.answer, said.sentence, said.when, version)


def _saved(user: User, row: GateRule, said: Own) -> GateRule:
    if GateRule.objects.filter(name=said.name).exclude(pk=row.pk).exists():
        raise _taken()
    figures, is_new = _foreseen(user, row, said), row._state.adding
    row.name, row.severity, row.answer, row.sentence = said.name, said.severity, said.answer, said.sentence
    row.when = json.loads(said.when)
    try:
        with transaction.atomic(), acting.because(acting.reason() or figures):
            row.save()
            _tell("gate_rule_made" if is_new else "gate_rule_changed", user, row)
    except IntegrityError as error:
        raise _taken() from error
    return row


def _tell(kind: str, user: User, row: GateRule) -> None:
    whose = row.policy.name if row.policy else "every agent"
    audit.note(kind, actor=user, about=row, severity=row.severity, allowed_by=row.answer, whose=whose)


def _taken() -> Conflict:
    return Conflict("This name is taken.", reason="name_taken", action="Choose another one.")
