"""What a person is shown of a request: exactly what is asked, how old it is, why, what happened to the like before.

A card is made of a row and a few queries for all cards of a page together; whoever looks sees nothing in it that they
may not see elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, F, Max, Q, QuerySet
from django.db.models.functions import Substr
from django.utils import timezone

from agents import permissions
from agents.models import Agent, User
from runs import approvals
from runs.approvals import rules
from runs.approvals.kinds import KINDS
from runs.models import (
    Approval,
    ApprovalKind,
    ApprovalRule,
    ApprovalState,
    Choice,
    ReviewerOpinion,
    ReviewOutcome,
    Run,
    Scope,
    Tier,
)
from runs.reviewing import limits

# What a list shows of a request; the rest is one key away, and is looked at before it is allowed.
SHOWN_CHARS = 600
SHOWN_LINES = 12
WARM, HOT = timedelta(minutes=10), timedelta(minutes=30)

ICONS = {
    "command": "terminal",
    "egress": "globe",
    "tool_call": "tool",
    "mcp_access": "plug",
    "registration": "people",
    "policy_proposal": "shield",
    "question": "chat",
}
# The colour and the words of what became of a request.
OUTCOMES = {
    ApprovalState.ALLOWED: ("ok", "allowed"),
    ApprovalState.DENIED: ("blocked", "refused"),
    ApprovalState.EXPIRED: ("unknown", "nobody decided in time"),
    ApprovalState.WITHDRAWN: ("unknown", "the run ended first"),
    ApprovalState.PENDING: ("waiting", "waiting"),
}
# What became of a question, which nobody allows or refuses.
ANSWERED = {
    ApprovalState.ALLOWED: "answered",
    ApprovalState.DENIED: "not answered",
    ApprovalState.EXPIRED: "nobody answered",
    ApprovalState.WITHDRAWN: "the run ended first",
    ApprovalState.PENDING: "waiting",
}
HOW_FAR = {Choice.ONCE: "once", Choice.RUN: "for the run", Choice.RULE: "by a rule"}
# By which door, where that is worth a word.
VIA = {"api": "by the API", "command": "by a command", "console": "in the console", "channel": "in a channel", "gate": "by the command gate",
       "reviewer": "by the reviewer"}  # fmt: skip
# The doors by which decisions come, for who looks for them.
DOORS = (
    ("page", "on a page"), ("api", "by the API"), ("command", "by a command"), ("console", "in the console"),
    ("channel", "in a channel"), ("rule", "by a rule"), ("gate", "by the command gate"), ("reviewer", "by the reviewer"),
)  # fmt: skip
HOURS = (1, 8, 24, 24 * 7, 24 * 30)


@dataclass(frozen=True, slots=True)
class Before:
    """How often the like was decided one way, and when last."""

    state: str
    count: int
    last: datetime | None

    @property
    def times(self) -> str:
        return {1: "once", 2: "twice"}.get(self.count, f"{self.count:,} times")


@dataclass(slots=True)
class Card:
    """One request as a person sees it."""

    row: Approval
    choices: tuple[str, ...] = ()
    before: list[Before] = field(default_factory=list)
    is_whole: bool = False
    may_see_run: bool = False
    is_mine: bool = False  # it is asked for the person who looks
    has_allowed: bool = False  # they have, and others must too
    lifetimes: list[tuple[int, str]] = field(default_factory=list)
    may_rule_agent: bool = False

    @property
    def is_question(self) -> bool:
        """Is it answered in words rather than allowed?"""
        return self.row.kind == ApprovalKind.QUESTION

    @property
    def icon(self) -> str:
        return ICONS.get(self.row.kind, "info")

    @property
    def colour(self) -> str:
        return OUTCOMES[ApprovalState(self.row.state)][0]

    @property
    def outcome(self) -> str:
        """What became of it, in words."""
        if self.is_question:
            is_over = self.row.state == ApprovalState.PENDING and not self.waits
            return ANSWERED[ApprovalState.EXPIRED if is_over else ApprovalState(self.row.state)]
        words = OUTCOMES[ApprovalState(self.row.state)][1]
        if self.row.state == ApprovalState.ALLOWED and self.row.choice:
            return f"{words} {HOW_FAR.get(Choice(self.row.choice), '')}".strip()
        return "expired" if self.row.state == ApprovalState.PENDING and not self.waits else words

    @property
    def via(self) -> str:
        return VIA.get(self.row.decided_via, "")

    @property
    def review(self) -> ReviewerOpinion | None:
        """What the reviewer said, where it belongs to the agent."""
        return getattr(self.row, "opinion", None)

    @property
    def is_reviewed_now(self) -> bool:
        """The reviewer looks at it too, and may be first."""
        row = self.review
        if row is None or row.outcome != ReviewOutcome.ASKING or row.deadline_at is None:
            return False
        return self.waits and row.deadline_at > timezone.now()

    @property
    def review_sentence(self) -> str:
        """Why the reviewer left it to a person."""
        return limits.sentence(self.review.why) if self.review is not None else ""

    @property
    def asked(self) -> str:
        """What is asked. The answers that an agent offers are left to the buttons that choose them, where there are."""
        if self.is_question and self.may_decide and self.row.options:
            return str(self.row.subject["question"])
        return self.row.exact

    @property
    def text(self) -> str:
        return self.asked if self.is_whole else cut(self.asked)

    @property
    def is_cut(self) -> bool:
        return not self.is_whole and self.text != self.asked

    @property
    def warm_at(self) -> datetime:
        """When it begins to be old: after ten minutes, or half of its time."""
        return self.row.created_at + min(WARM, self._life / 2)

    @property
    def hot_at(self) -> datetime:
        return self.row.created_at + min(HOT, self._life * 0.8)

    @property
    def age(self) -> str:
        now = timezone.now()
        return "hot" if now >= self.hot_at else "warm" if now >= self.warm_at else "fresh"

    @property
    def waits(self) -> bool:
        row = self.row
        return row.state == ApprovalState.PENDING and (row.frozen_at is not None or row.expires_at > timezone.now())

    @property
    def may_decide(self) -> bool:
        return bool(self.choices)

    @property
    def may_once(self) -> bool:
        return Choice.ONCE in self.choices

    @property
    def who_decides(self) -> str:
        """Whom it needs, where that is not the person whose run it is."""
        if self.row.team_name:
            of = f" of {self.row.team_name}"
            return (f"somebody{of}" if self.row.needed == 1 else f"{self.row.needed} people{of}") + self._called
        if self.row.tier != Tier.ADMIN:
            return ""
        return "an admin" if KINDS[self.row.kind].permission == "user.manage" else "an operator"

    @property
    def _called(self) -> str:
        """Who may decide it too by now."""
        if not self.row.escalated_at:
            return ""
        return f", or {self.row.escalates_to.name if self.row.escalates_to else 'an operator'}"

    @property
    def caution(self) -> str:
        """What whoever allows it should know."""
        return KINDS[self.row.kind].caution if self.may_once else ""

    @property
    def once_word(self) -> str:
        return "Allow once" if Choice.RULE in self.choices else "Allow"

    @property
    def may_run(self) -> bool:
        return Choice.RUN in self.choices and self.row.run_id is not None

    @property
    def may_rule(self) -> bool:
        return Choice.RULE in self.choices and bool(self.rule_scopes)

    @property
    def rule_scopes(self) -> list[tuple[str, str]]:
        """How far a rule of this person may reach: value and what it would cover, in words."""
        scopes = [Scope.AGENT] if self.may_rule_agent else []
        if self.row.run_id is not None:
            scopes.append(Scope.RUN)
        return [(str(scope), rules.words(self.row, scope)) for scope in scopes] if self.row.agent_id else []

    @property
    def _life(self) -> timedelta:
        return self.row.expires_at - self.row.created_at


def cut(text: str) -> str:
    """The beginning of a long text, by whole characters and lines."""
    lines = text[:SHOWN_CHARS].split("\n")
    return "\n".join(lines[:SHOWN_LINES])


def rows(found: QuerySet[Approval]) -> QuerySet[Approval]:
    """``found`` with what a card needs besides."""
    asked = Substr("run__message__text", 1, 200)
    chat = {"asked_text": asked, "chat_id": F("run__conversation_id"), "chat_title": F("run__conversation__title")}
    return found.select_related("agent", "asked_for", "decided_by", "rule", "opinion", "escalates_to").annotate(**chat)


def made(user: User, found: Iterable[Approval], *, is_whole: bool = False) -> list[Card]:
    """Cards for rows that ``rows`` has read; five queries at most, however many there are."""
    listed = list(found)
    may_decide, before = _decidable(user, listed), _before(user, listed)
    managed, deciders = _managed(user, listed, "approval.rules"), _managed(user, listed, "approval.decide_admin")
    seen = set(
        permissions.visible(user, Run.objects.filter(pk__in=[row.run_id for row in listed])).values_list(
            "pk", flat=True
        )
    )
    cards = []
    for row in listed:
        card = Card(row, is_whole=is_whole, before=before.get(_alike(row), []), is_mine=row.asked_for_id == user.pk)
        card.may_see_run = row.run_id in seen
        if row.pk in may_decide and row.frozen_at is None:
            has_allowed = any(vote["by"] == user.pk for vote in row.votes)
            card.choices = (str(Choice.DENY),) if has_allowed else KINDS[row.kind].choices
            card.has_allowed = has_allowed
            card.may_rule_agent = row.agent_id in managed
            card.lifetimes = lifetimes(_longest_s(row.agent_id in deciders))
        elif (
            row.team_name and row.asked_for_id == user.pk and row.tier == Tier.USER and card.waits and not row.frozen_at
        ):
            card.choices = (str(Choice.DENY),)  # a team allows it; whose run it is may still refuse
        cards.append(card)
    return cards


def one(user: User, approval: Approval, *, is_whole: bool = True) -> Card:
    """The card of one row that ``rows`` has read."""
    return made(user, [approval], is_whole=is_whole)[0]


def lifetimes(longest_s: int) -> list[tuple[int, str]]:
    """The times a rule may live, in hours and in words, none longer than allowed."""
    longest = longest_s // 3600
    hours = [each for each in HOURS if each <= longest]
    return [(each, _hours(each)) for each in (hours if longest in hours else [*hours, longest]) if each]


def rule_cards(user: User, found: Iterable[ApprovalRule]) -> list[dict[str, Any]]:
    """Rules with whether this person may end them; two queries."""
    listed = list(found)
    managed = _managed_agents(user, [rule.agent_id for rule in listed], "approval.rules")
    return [
        {
            "row": rule,
            "icon": ICONS.get(rule.kind, "info"),
            "is_living": rule.revoked_at is None and rule.expires_at > timezone.now(),
            "may_end": rule.made_by_id == user.pk or rule.agent_id in managed,
        }
        for rule in listed
    ]


def _decidable(user: User, found: list[Approval]) -> set[str]:
    keys = [row.pk for row in found if row.state == ApprovalState.PENDING]
    return set(approvals.open_for(user).order_by().filter(pk__in=keys).values_list("pk", flat=True)) if keys else set()


def _alike(row: Approval) -> tuple[Any, ...]:
    return row.agent_id, row.kind, row.key


def _before(user: User, found: list[Approval]) -> dict[tuple[Any, ...], list[Before]]:
    """What was decided about the like before, as far as this person may see it."""
    keys = {row.key for row in found if row.key and row.state == ApprovalState.PENDING}
    if not keys:
        return {}
    agents = {row.agent_id for row in found}
    same = approvals.seen_by(user).filter(Q(agent__in=agents - {None}) | Q(agent=None), key__in=keys)
    decided = same.exclude(state=ApprovalState.PENDING).order_by()
    counted = decided.values("agent_id", "kind", "key", "state").annotate(count=Count("pk"), last=Max("decided_at"))
    grouped: dict[tuple[Any, ...], list[Before]] = defaultdict(list)
    for each in counted.order_by("state"):
        grouped[each["agent_id"], each["kind"], each["key"]].append(Before(each["state"], each["count"], each["last"]))
    return grouped


def _managed(user: User, found: list[Approval], action: str) -> set[Any]:
    return _managed_agents(user, [row.agent_id for row in found if row.state == ApprovalState.PENDING], action)


def _managed_agents(user: User, keys: Iterable[Any], action: str) -> set[Any]:
    """Those of these agents on which ``user`` may do ``action``; no query when there are none."""
    wanted = {key for key in keys if key}
    rows = permissions.visible(user, Agent.objects.filter(pk__in=wanted), action)
    return set(rows.order_by().values_list("pk", flat=True)) if wanted else set()


def _longest_s(is_operator: bool) -> int:
    return int(settings.LOGOS_RULE_ADMIN_DAYS) * 86_400 if is_operator else int(settings.LOGOS_RULE_HOURS) * 3600


def _hours(hours: int) -> str:
    days, rest = divmod(hours, 24)
    if rest or not days:
        return f"{hours} hour{'s' if hours != 1 else ''}"
    return f"{days} day{'s' if days != 1 else ''}"
