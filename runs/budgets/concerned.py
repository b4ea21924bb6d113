"""Whom it concerns that much of a budget is used, and the signal by which rooms above hear of it."""

from __future__ import annotations

from django.dispatch import Signal

from agents.models import Agent, User
from runs.budgets import setting
from runs.models import Budget, BudgetWarning, Conversation, Run

# Sent after commit with ``warnings``: the ids of the BudgetWarning rows just written.
threshold_reached = Signal()


def concerns(person: User, warning: BudgetWarning) -> bool:
    """Whose money it is, who owns the agent, and who may set this budget. Of one that holds for each person, chat or run
    by itself only the one it is about: else an operator would hear of every chat."""
    budget = warning.budget
    if person.pk in _whose(warning):
        return True
    return not is_for_each(budget) and setting.may_set(person, budget.scope, budget.agent)


def is_for_each(budget: Budget) -> bool:
    """Whether it holds for each of its scope by itself."""
    named = {"site": True, "person": budget.person_id, "agent": budget.agent_id}.get(budget.scope, budget.subject)
    return not named


def sees(person: User, budget: Budget) -> bool:
    """Whether they can open its page."""
    return setting.seen_by(person).filter(pk=budget.pk).exists()


def _whose(warning: BudgetWarning) -> set[int]:
    """The person it counts, or who asked, and the owner of the agent."""
    column, _, value = warning.bucket.partition(":")
    if column == "person_id":
        return {int(value)} if value.isdecimal() else set()
    found: list[int | None] = []
    if column == "run_id":
        found = list(Run.objects.filter(pk=value).values_list("conversation__owner", flat=True))
        found += Run.objects.filter(pk=value).values_list("agent__owner", flat=True)
    elif column == "conversation_id":
        found = list(Conversation.objects.filter(pk=value).values_list("owner", flat=True))
        found += Conversation.objects.filter(pk=value).values_list("agent__owner", flat=True)
    else:
        agent_id = value if column == "agent_id" else warning.budget.agent_id
        found = list(Agent.objects.filter(pk=agent_id).values_list("owner", flat=True)) if agent_id else []
    return {each for each in found if each is not None}
