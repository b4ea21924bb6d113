"""Tell people that much of a budget is used: which threshold, and no amount, because a push service reads nothing of ours.

Once for each threshold and window: the ledger writes a warning once. Not told twice when the task runs twice.
"""

from __future__ import annotations

from django.core.cache import cache
from django.urls import reverse

from agents.models import User
from channels_app import confirming, mailing, pushing
from channels_app.notices import candidates, wants
from runs.budgets import concerned
from runs.models import BudgetWarning

TTL_S = 24 * 3600
ONCE_S = 24 * 3600
TOPIC = "logos-budget"


def reached(warning_id: int) -> int:
    """Tell whom it concerns; how many were told."""
    warning = BudgetWarning.objects.select_related("budget__agent", "budget__person").filter(pk=warning_id).first()
    if warning is None:
        return 0
    people = [person for person in candidates() if concerned.concerns(person, warning)]
    return sum(_tell(person, warning) for person in people)


def message(warning: BudgetWarning, where: str) -> dict[str, object]:
    """What a push says."""
    title = "A budget is used up" if warning.threshold >= 100 else f"{warning.threshold} % of a budget is used"
    return {"title": title, "body": "Open Logos to see which, and what is left.", "url": where}


def _tell(person: User, warning: BudgetWarning) -> bool:
    if not cache.add(f"budget-told:{warning.pk}:{person.pk}", True, timeout=ONCE_S):
        return False
    wished = wants(person)
    sees = concerned.sees(person, warning.budget)
    where = reverse("runs:budget-detail", args=[warning.budget_id]) if sees else reverse("account-spending")
    pushed = wished.by_push and pushing.push(person, message(warning, where), ttl_s=TTL_S, topic=TOPIC)
    may_mail = wished.by_mail and mailing.is_set_up() and confirming.is_confirmed(person)
    mailed = may_mail and mailing.send_budget(person, warning.threshold, where)
    return bool(pushed or mailed)
