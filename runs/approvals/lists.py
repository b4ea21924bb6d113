"""Who may decide which requests, and the lists that follow from it. A list is one query, a count too."""

from __future__ import annotations

from django.db.models import Exists, Q, QuerySet
from django.utils import timezone

from agents import acting, permissions
from agents.errors import NotFound
from agents.models import Agent, Role, User
from runs.approvals.kinds import KINDS
from runs.models import Approval, ApprovalState, Tier

SIMILAR = 5


def addressed(user: User) -> Q:
    """The requests, decided or not, that are put to people like ``user``: by tier, by kind, by what they manage."""
    rows = Approval.objects.order_by()
    own = permissions.visible(user, rows.filter(tier=Tier.USER), "run.approve").values("pk")
    special = [spec for spec in KINDS.values() if spec.permission or spec.concerns]
    names = [spec.kind for spec in special]
    found = Q(tier=Tier.USER, pk__in=own)
    if permissions.may(user, "approval.decide_admin"):
        managed = permissions.visible(user, Agent.objects.order_by(), "approval.decide_admin").values("pk")
        found |= Q(tier=Tier.ADMIN, agent__in=managed) & ~Q(kind__in=names)
        found |= Q(tier=Tier.USER, escalated_at__isnull=False, escalates_to=None, agent__in=managed)
    if permissions.may(user, "run.approve"):
        found |= _of_teams(user)
    for spec in special:
        if permissions.may(user, spec.permission or "approval.decide_admin"):
            found |= Q(kind=spec.kind, tier=Tier.ADMIN) & (spec.concerns(user) if spec.concerns else Q())
    return found


def counted(user: User) -> Q:
    """Of the requests put to ``user`` those that their leave counts for: where a team decides, only its members' does, and
    after a while that of whoever was called then. Everybody else they are put to can only refuse."""
    found = Q(team=None, team_name="") | _of_teams(user)
    if permissions.may(user, "approval.decide_admin"):
        managed = permissions.visible(user, Agent.objects.order_by(), "approval.decide_admin").values("pk")
        found |= Q(escalated_at__isnull=False, escalates_to=None, agent__in=managed)
    return found


def _of_teams(user: User) -> Q:
    groups = user.groups.order_by().values("pk")
    return Q(team__in=groups) | Q(escalated_at__isnull=False, escalates_to__in=groups)


def own_alone(user: User) -> Q:
    """Requests that ``user`` may not allow because they come from their own runs: those of the operators' tier, and those
    for which one member of a team is enough. Only an admin who is the only one may."""
    own = Q(tier=Tier.ADMIN, asked_for=user) | (Q(needed=1, asked_for=user) & ~Q(team_name=""))
    if user.role != Role.ADMIN:
        return own
    others = User.objects.filter(role=Role.ADMIN, is_active=True).exclude(pk=user.pk)
    return own & Q(Exists(others))


def undecided(rows: QuerySet[Approval] | None = None) -> QuerySet[Approval]:
    """Those of ``rows`` that wait and whose time is not over; what is frozen waits too."""
    rows = Approval.objects.all() if rows is None else rows
    return rows.filter(Q(expires_at__gt=timezone.now()) | Q(frozen_at__isnull=False), state=ApprovalState.PENDING)


def open_for(user: User) -> QuerySet[Approval]:
    """What this person may decide now, the oldest first."""
    put = undecided().filter(addressed(user)).filter(counted(user))
    return put.exclude(own_alone(user)).order_by("created_at", "pk")


def count_for(user: User) -> int:
    """How many that are."""
    return open_for(user).order_by().count()


def seen_by(user: User) -> QuerySet[Approval]:
    """Every request this person may read: of runs they may see, and those put to them."""
    rows = Approval.objects.order_by()
    seen = permissions.visible(user, rows, "run.view").values("pk")
    return Approval.objects.filter(Q(pk__in=seen) | addressed(user))


def deciders(user: User) -> QuerySet[User]:
    """Who has decided any request that ``user`` may read."""
    decided = seen_by(user).filter(decided_by__isnull=False).order_by().values("decided_by")
    return User.objects.filter(pk__in=decided).order_by("username")


def find(user: User, approval_id: str) -> Approval:
    """One request that ``user`` may read; NotFound otherwise, and the attempt is remembered."""
    rows = seen_by(user).select_related("agent", "run__agent", "decided_by", "rule", "opinion", "escalates_to")
    row = rows.filter(pk=approval_id).first()
    if row is None:
        acting.remember_refusal("run.approve", Approval, approval_id)
        raise NotFound("Approval")
    return row


def similar(approval: Approval, user: User) -> QuerySet[Approval]:
    """What was decided earlier about the like for this agent, the newest first, as far as ``user`` may see it."""
    earlier = seen_by(user).filter(agent=approval.agent_id, kind=approval.kind, key=approval.key)
    decided = earlier.exclude(state=ApprovalState.PENDING).exclude(pk=approval.pk)
    return decided.select_related("decided_by").order_by("-created_at")[:SIMILAR]


def waiting_for(user: User) -> QuerySet[Approval] | None:
    """What this person's own runs wait for; None for who may not decide."""
    if not permissions.may(user, "run.approve"):
        return None
    return undecided().filter(tier=Tier.USER, asked_for=user, run__isnull=False)


def by_id(approval_id: str) -> Approval:
    """One request, whatever became of it, with who decided and by which rule."""
    return Approval.objects.select_related("decided_by", "rule").get(pk=approval_id)


def open_of(run_id: str) -> list[Approval]:
    """What the run's runtime waits for that nobody has decided yet, oldest first."""
    rows = Approval.objects.filter(run_id=run_id, by_runtime=True, state=ApprovalState.PENDING)
    return list(rows.order_by("created_at"))


def is_open(run_id: str) -> bool:
    """Does the run's runtime wait for something that is undecided, or whose decision it has not been told?"""
    return Approval.objects.filter(run_id=run_id, by_runtime=True, answered_at=None).exists()


def other_admin(user: User) -> bool:
    """Is there an active admin besides ``user``?"""
    return User.objects.filter(role=Role.ADMIN, is_active=True).exclude(pk=user.pk).exists()
