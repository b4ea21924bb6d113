"""The inbox: what waits for one's decision, one request whole, what was decided, the rules that came of it; deciding."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from agents import acting, permissions
from agents.errors import Invalid, NotFound
from agents.models import Agent, User
from agents.numbers import whole
from agents.views import listing
from agents.views.access import is_htmx, leave_to, person, signed_in
from agents.views.listing import Choice as Filter
from agents.views.listing import Filters
from runs import approvals, cards, noticed, rendering, untrusted
from runs.items import Question
from runs.models import Approval, ApprovalKind, ApprovalState, Choice, Run
from runs.rendering import RunRef
from runs.reviewing import reversing
from runs.views import parts

# Each may hold a long request; a page stays below 60 KB with them.
WAITING_SIZE = 9
MOST_PEOPLE = 200
DECIDED_STATES = [(state, label) for state, label in ApprovalState.choices if state != ApprovalState.PENDING]
DONE = {
    Choice.ONCE: "Allowed once.",
    Choice.RUN: "Allowed for this run.",
    Choice.RULE: "Allowed, and a rule made.",
    Choice.ANSWER: "Answered.",
    Choice.DENY: "Refused.",
}


@require_safe
@signed_in
def waiting(request: HttpRequest) -> HttpResponse:
    """What one may decide now, the oldest first."""
    return render(request, "approvals/waiting.html", {**_waiting(request), "told": noticed.lately(person(request))})


@require_safe
@signed_in
def cards_part(request: HttpRequest) -> HttpResponse:
    """The cards alone, for a page that follows what comes."""
    return render(request, "approvals/_cards.html", _waiting(request))


@require_safe
@signed_in
def decided(request: HttpRequest) -> HttpResponse:
    """What was decided or expired, the newest first, as far as one may see it."""
    user = person(request)
    people = [(each.pk, each.display_name) for each in approvals.deciders(user)[:MOST_PEOPLE]]
    narrower = Filter("state", "Outcome", DECIDED_STATES), Filter("by", "By", people), Filter("via", "How", cards.DOORS)
    filters = _filters(request, user, *narrower)
    found = _narrowed(approvals.seen_by(user).exclude(state=ApprovalState.PENDING), filters)
    for name, column in (("state", "state"), ("by", "decided_by"), ("via", "decided_via")):
        if value := filters.chosen(name):
            found = found.filter(**{column: value})
    rows = found.select_related("agent", "asked_for", "decided_by", "rule").defer("findings")
    listed = listing.page(rows, filters, order="-created_at")
    shown = [cards.Card(row) for row in listed.items]
    context = {"filters": filters, "page": listed, "cards": shown, **_tabs(user, "decided")}
    return render(request, "approvals/decided.html", context)


@require_safe
@signed_in
def detail(request: HttpRequest, approval_id: str) -> HttpResponse:
    """One request whole, with what was decided about the like before."""
    user = person(request)
    row = _seen(user, approval_id)
    card = cards.one(user, row)
    similar = approvals.similar(row, user) if row.agent_id and row.key else []
    spans = untrusted.marked(row, card.asked) if card.may_see_run else []
    context = {
        "card": card,
        "spans": spans,
        "is_marked": any(span.seq for span in spans),
        "similar": similar,
        "view": "page",
        "may_reverse": card.review is not None and reversing.may_reverse(user, card.review),
        "may_manage": row.agent is not None and bool(permissions.allows(user, "agent.view", row.agent)),
    }
    return render(request, "approvals/detail.html", context)


@require_safe
@signed_in
def card(request: HttpRequest, approval_id: str) -> HttpResponse:
    """One card as it stands now, for a page on which it was decided elsewhere."""
    user = person(request)
    shown = cards.one(user, _seen(user, approval_id), is_whole=False)
    return render(request, "approvals/_card.html", {"card": shown, "view": "inbox"})


@require_safe
@signed_in
def exact(request: HttpRequest, approval_id: str) -> HttpResponse:
    """What is asked as plain text, every character."""
    row = _seen(person(request), approval_id)
    return HttpResponse(row.exact, content_type="text/plain; charset=utf-8")


@require_POST
@signed_in
def decide(request: HttpRequest, approval_id: str) -> HttpResponse:
    """Allow once, for the run or by a rule, or refuse with a reason."""
    user, given = person(request), request.POST
    row = _seen(user, approval_id)
    choice, view = given.get("choice", ""), given.get("view", "")
    wish = _wish(given.get("scope", ""), given.get("hours", "")) if choice == Choice.RULE else None
    row = approvals.decide(
        user,
        row,
        choice,
        subject_hash=given.get("subject", ""),
        note=given.get("note", ""),
        answer=given.get("option", "") or given.get("answer", ""),
        rule=wish,
        via="page",
    )
    if is_htmx(request) and view in rendering.VIEWS and row.run_id:
        return HttpResponse(_item(user, row, view, get_token(request)))
    if is_htmx(request) and view == "inbox":
        shown = cards.one(user, _seen(user, approval_id), is_whole=False)
        return render(request, "approvals/_card.html", {"card": shown, "view": "inbox"})
    messages.success(request, DONE[Choice(row.choice)] if row.choice else "Noted; others must allow it too.")
    return leave_to(request, _back(view, row))


@require_safe
@signed_in
def rules(request: HttpRequest) -> HttpResponse:
    """The rules by which the like is allowed unasked: those that hold, and those that ended."""
    user = person(request)
    filters = _filters(request, user, Filter("state", "State", [("living", "Holds"), ("ended", "Ended")]))
    found = _narrowed(approvals.rules_seen_by(user), filters, "words")
    now = timezone.now()
    if filters.chosen("state") == "ended":
        found = found.exclude(revoked_at=None, expires_at__gt=now)
    elif filters.chosen("state") == "living":
        found = found.filter(revoked_at=None, expires_at__gt=now)
    listed = listing.page(found.select_related("agent", "made_by", "revoked_by"), filters, order="-created_at")
    context = {
        "filters": filters,
        "page": listed,
        "rules": cards.rule_cards(user, listed.items),
        **_tabs(user, "rules"),
    }
    return render(request, "approvals/rules.html", context)


@require_POST
@signed_in
def rule_revoke(request: HttpRequest, rule_id: str) -> HttpResponse:
    """A rule ends now; what it covered is asked again."""
    approvals.revoke(person(request), rule_id)
    messages.success(request, "The rule has ended. The like is asked again.")
    return redirect("runs:approval-rules")


def _waiting(request: HttpRequest) -> dict[str, Any]:
    user = person(request)
    filters = _filters(request, user)
    found = cards.rows(_narrowed(approvals.open_for(user), filters))
    listed = listing.page(found, filters, order="created_at", size=WAITING_SIZE)
    shown = cards.made(user, listed.items)
    return {"filters": filters, "page": listed, "cards": shown, "view": "inbox", **_tabs(user, "waiting")}


def _filters(request: HttpRequest, user: User, *more: Filter) -> Filters:
    agents = permissions.visible(user, Agent.objects.all()).order_by("name").values_list("pk", "name")[:200]
    kinds = [(str(kind), str(label).lower()) for kind, label in ApprovalKind.choices]
    return Filters(
        request.GET, Filter("kind", "Kind", kinds), Filter("agent", "Agent", agents), *more, hint="Words of it"
    )


def _narrowed(found: QuerySet[Any], filters: Filters, *fields: str) -> QuerySet[Any]:
    if kind := filters.chosen("kind"):
        found = found.filter(kind=kind)
    if agent := filters.chosen("agent"):
        found = found.filter(agent=agent)
    return filters.search(found, *(fields or ("title", "subject")))


def _tabs(user: User, current: str) -> dict[str, Any]:
    return {"tab": current, "may_decide": permissions.may(user, "run.approve")}


def _seen(user: User, approval_id: str) -> Approval:
    """One request that this person may read; NotFound otherwise."""
    row = cards.rows(approvals.seen_by(user)).filter(pk=approval_id).first()
    if row is None:
        acting.remember_refusal("run.approve", Approval, approval_id)
        raise NotFound("Approval")
    return row


def _wish(scope: str, hours: str) -> approvals.RuleWish:
    number = whole(hours)
    if number is None:
        raise Invalid("Say for how many hours the rule holds.", field="hours")
    return approvals.RuleWish(scope, number * 3600)


def _back(view: str, row: Approval) -> str:
    if view == "inbox":
        return reverse("runs:approvals")
    if view == "chat" and row.run_id:
        conversation = Run.objects.only("conversation_id").get(pk=row.run_id).conversation_id
        return reverse("runs:chat-conversation", args=[conversation])
    if view == "run" and row.run_id:
        return reverse("runs:run-detail", args=[row.run_id])
    return reverse("runs:approval", args=[row.pk])


def _item(user: User, row: Approval, view: str, token: str) -> str:
    """The question in the timeline of its run, as it stands now."""
    item = Question(
        f"question-{row.pk}",
        0,
        row.created_at,
        approval_id=row.pk,
        asked=row.kind,
        tier=row.tier,
        command=row.exact,
        description=row.title,
        subject_hash=row.subject_hash,
        # One of several who must allow it: it goes on waiting.
        choice="" if row.state == ApprovalState.PENDING else row.choice or row.state,
        by=parts.name_of(user),
        note=row.note,
        answer=row.answer,
        options=tuple(row.options),
    )
    run = Run.objects.select_related("agent").get(pk=row.run_id)
    return rendering.item_html(RunRef.of(run), item, view, token)
