"""When more than one person must allow a request: who has, and whether they are enough. One denial denies."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from agents.errors import Conflict
from agents.models import User
from runs.approvals import rules
from runs.approvals.lists import addressed, counted, own_alone
from runs.approvals.rules import RuleWish
from runs.models import Approval, Choice, Scope

# From the narrowest: what several people allow is what all of them allowed.
WIDTH = (Choice.ONCE, Choice.RUN, Choice.RULE)


def add(
    actor: User, waits: QuerySet[Approval], choice: str, wish: RuleWish | None, via: str
) -> tuple[str, RuleWish | None, int] | None:
    """Count this person's leave, in the decision's transaction: the choice and the rule all allow, and how many are
    missing yet.

    None when the request does not wait any more. Raises Conflict for the second leave of one person, Invalid for a rule
    that is wider than they may make."""
    row = waits.select_for_update(of=("self",)).first()
    if row is None:
        return None
    if any(vote["by"] == actor.pk for vote in row.votes):
        raise Conflict(
            "You have allowed this already.", reason="already_decided", action=f"It needs {row.needed} people in all."
        )
    given: list[dict[str, Any]] = [
        *(vote for vote in row.votes if _counts(vote["by"], row)),
        {
            "by": actor.pk,
            "choice": choice,
            "at": timezone.now().isoformat(),
            "via": via,
            **_told(actor, row, choice, wish),
        },
    ]
    Approval.objects.filter(pk=row.pk).update(votes=given)
    narrowest = min((Choice(vote["choice"]) for vote in given), key=WIDTH.index)
    return narrowest, _narrowest(given) if narrowest == Choice.RULE else None, max(0, row.needed - len(given))


def _told(actor: User, row: Approval, choice: str, wish: RuleWish | None) -> dict[str, Any]:
    """How far the rule goes that this person allows."""
    if choice != Choice.RULE:
        return {}
    wish = wish or RuleWish()
    return {"scope": str(wish.scope), "lifetime_s": rules.checked(actor, row, wish)[1]}


def _narrowest(given: list[dict[str, Any]]) -> RuleWish:
    """The rule of several people: in one run where one of them said so, and as long as all of them said."""
    told = [vote for vote in given if "scope" in vote]
    scope = Scope.RUN if any(vote["scope"] == Scope.RUN for vote in told) else Scope.AGENT
    return RuleWish(scope, min(vote["lifetime_s"] for vote in told))


def _counts(person_id: int, row: Approval) -> bool:
    """Whoever allowed it earlier could do so now: leave of somebody suspended since, or no longer of the team, is none."""
    person = User.objects.filter(pk=person_id, is_active=True).first()
    if person is None:
        return False
    mine = Approval.objects.filter(addressed(person), pk=row.pk).filter(counted(person))
    return mine.exclude(own_alone(person)).exists()
