"""Rules by which the like is allowed unasked: made by a decision, never wider than who made them, ended by time or by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from agents import acting, audit, permissions
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, User
from runs.approvals.kinds import DAY_S, KINDS
from runs.models import Approval, ApprovalRule, ApprovalState, Choice, Run, Scope, Tier

HOUR_S = 3600
WORDS_CHARS = 500
VIA_RULE = "rule"


@dataclass(frozen=True, slots=True)
class RuleWish:
    """The rule a person wants to make: for this run or for the agent, and for how long (None: as long as may be)."""

    scope: str = Scope.AGENT
    lifetime_s: int | None = None


def living(rows: QuerySet[ApprovalRule] | None = None) -> QuerySet[ApprovalRule]:
    """The rules that hold now."""
    rows = ApprovalRule.objects.all() if rows is None else rows
    return rows.filter(revoked_at=None, expires_at__gt=timezone.now())


def rules_seen_by(user: User) -> QuerySet[ApprovalRule]:
    """The rules this person may read: of runs they may see, of agents they manage, and those they made."""
    own = permissions.visible(user, ApprovalRule.objects.order_by(), "run.view").values("pk")
    managed = permissions.visible(user, Agent.objects.order_by(), "approval.rules").values("pk")
    found = Q(pk__in=own) | Q(scope=Scope.AGENT, agent__in=managed)
    return ApprovalRule.objects.filter(found).order_by("-created_at")


def apply(asked: Approval) -> None:
    """If a rule that holds covers ``asked``, which is not stored yet, it is allowed by it."""
    if (rule := covering(asked)) is not None:
        ApprovalRule.objects.filter(pk=rule.pk).update(used=F("used") + 1, used_at=timezone.now())
        asked.state, asked.choice, asked.rule = ApprovalState.ALLOWED, Choice.RULE, rule
        asked.decided_by, asked.decided_at, asked.decided_via = rule.made_by, timezone.now(), VIA_RULE


def covering(asked: Approval) -> ApprovalRule | None:
    """The rule that holds and covers ``asked``, the oldest of them; nothing is noted."""
    if asked.agent_id is None:
        return None
    reach = Q(scope=Scope.AGENT) | Q(scope=Scope.RUN, run=asked.run_id) if asked.run_id else Q(scope=Scope.AGENT)
    same = living().filter(reach, agent=asked.agent_id, kind=asked.kind, key=asked.key)
    if asked.tier == Tier.ADMIN:
        same = same.filter(tier=Tier.ADMIN)
    if asked.needed > 1 or asked.team_name:  # one person's rule is not the leave of several, nor of a team
        same = same.filter(approval__needed__gte=asked.needed, approval__team=asked.team)
    held = same.select_related("made_by", "agent", "approval").order_by("created_at")
    return next((rule for rule in held if _still_may(rule)), None)


def longest_s(user: User, agent: Agent) -> int:
    """How long a rule of this person for this agent may live."""
    if permissions.allows(user, "approval.decide_admin", agent):
        return int(settings.LOGOS_RULE_ADMIN_DAYS) * DAY_S
    return int(settings.LOGOS_RULE_HOURS) * HOUR_S


def checked(actor: User, approval: Approval, wish: RuleWish) -> tuple[Agent, int]:
    """The agent and how long this rule of ``actor`` would live. Invalid for one that is wider than they may make."""
    agent = approval.agent
    if agent is None or (wish.scope == Scope.RUN and approval.run_id is None):
        raise Invalid("A rule needs an agent or a run.", field="scope", action="Allow it once.")
    if wish.scope not in Scope.values:
        raise Invalid("A rule holds for one run or for the agent.", field="scope")
    if wish.scope == Scope.AGENT and not permissions.allows(actor, "approval.rules", agent):
        raise Invalid(
            "A rule for every run of this agent is made by whoever manages it.",
            field="scope",
            action="Allow it for this run.",
        )
    longest = longest_s(actor, agent)
    wanted = longest if wish.lifetime_s is None else wish.lifetime_s
    if not 0 < wanted <= longest:
        raise Invalid(
            f"A rule of yours may live {_hours(longest)} at most.", field="hours", action="Choose a shorter time."
        )
    return agent, wanted


def make(actor: User, approval: Approval, wish: RuleWish) -> ApprovalRule:
    """The rule that ``actor`` makes of a request they allow. Invalid for one that is wider than they may make."""
    agent, wanted = checked(actor, approval, wish)
    rule = ApprovalRule.objects.create(
        kind=approval.kind,
        tier=approval.tier,
        agent=agent,
        scope=wish.scope,
        run_id=approval.run_id if wish.scope == Scope.RUN else None,
        key=approval.key,
        words=words(approval, wish.scope),
        expires_at=timezone.now() + timedelta(seconds=wanted),
        made_by=actor,
        approval=approval,
    )
    audit.note("approval_rule_made", actor=actor, about=agent, rule=rule.pk, scope=rule.scope)
    return rule


def words(approval: Approval, scope: str) -> str:
    """What a rule made of this request would cover, for people to read before they make it."""
    spec = KINDS[approval.kind]
    where = spec.in_run if scope == Scope.RUN else f"in every run of {approval.agent}"
    what = spec.covered(approval.subject)
    return f"{what[: WORDS_CHARS - len(where) - 4]}, {where}"


@transaction.atomic
def revoke(actor: User, rule_id: str) -> ApprovalRule:
    """End a rule now: whoever made it, whose run it is, or who manages the agent. Conflict when it has ended."""
    rule = rules_seen_by(actor).select_related("agent", "run").filter(pk=rule_id).first()
    if rule is None or not _may_end(actor, rule):
        acting.remember_refusal("approval.rules", ApprovalRule, rule_id)
        raise NotFound("Rule")
    ended = living(ApprovalRule.objects.filter(pk=rule.pk)).update(revoked_at=timezone.now(), revoked_by=actor)
    if not ended:
        raise Conflict("This rule has ended already.", reason="already_finished")
    audit.note("approval_rule_ended", actor=actor, about=rule.agent, rule=rule.pk, scope=rule.scope)
    rule.refresh_from_db()
    _tell_ended(rule)
    return rule


def end_with(run: Run) -> None:
    """Rules for this run end with it."""
    for rule in living(ApprovalRule.objects.filter(run=run)):
        ApprovalRule.objects.filter(pk=rule.pk).update(expires_at=timezone.now())
        _tell_ended(rule)


def _tell_ended(rule: ApprovalRule) -> None:
    if then := KINDS[rule.kind].on_rule_ended:
        then(rule)


def _may_end(actor: User, rule: ApprovalRule) -> bool:
    if rule.made_by_id == actor.pk or permissions.allows(actor, "approval.rules", rule.agent):
        return True
    return rule.run is not None and bool(permissions.allows(actor, "run.approve", rule.run))


def _still_may(rule: ApprovalRule) -> bool:
    """Whoever made it could make it today: a grant that is taken back ends what was allowed with it."""
    maker = rule.made_by
    if maker is None or not maker.is_active:
        return False
    asked = rule.approval
    if asked is not None and asked.team_id and rule.scope == Scope.RUN:
        return maker.groups.filter(pk=asked.team_id).exists()
    if rule.tier == Tier.ADMIN:
        return bool(permissions.allows(maker, "approval.decide_admin", rule.agent))
    if rule.scope == Scope.AGENT:
        return bool(permissions.allows(maker, "approval.rules", rule.agent))
    run = Run.objects.filter(pk=rule.run_id).first()
    return run is not None and bool(permissions.allows(maker, "run.approve", run))


def _hours(seconds: int) -> str:
    days, rest = divmod(seconds, DAY_S)
    if days > 1 and not rest:
        return f"{days} days"
    return f"{seconds // HOUR_S} hours"
