"""The history of one row: its versions, what changed between two, and putting one back."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_http_methods

from agents import permissions
from agents.errors import Conflict, Invalid, NotFound
from agents.models import User
from agents.numbers import whole
from agents.past import comparing, reverting, telling, timeline, versions
from agents.past.kinds import Past, find, managed, may_change
from agents.past.versions import Version
from agents.views.access import person, signed_in

SHOWN_EVENTS = 8


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def history(request: HttpRequest, kind: str, object_id: str) -> HttpResponse:
    """The versions, and how ``to`` differs from ``from`` (default: the one before). A POST puts ``to`` back."""
    user = person(request)
    past = find(user, kind, object_id)
    if request.method != "POST":
        return render(request, "audit/history.html", _context(request, user, past))
    to, seen = whole(request.POST.get("to", "")), whole(request.POST.get("seen", ""))
    try:
        if to is None:
            raise Invalid("Say which version to put back.", field="to")
        reverting.revert(user, kind, object_id, to, seen, request.POST.get("reason", ""))
    except (Invalid, Conflict) as error:
        context = {**_context(request, user, past, to), "error": error, "reason": request.POST.get("reason", "")}
        return render(request, "audit/history.html", context, status=409 if isinstance(error, Conflict) else 400)
    return redirect("agents:history", kind, object_id)


def _context(request: HttpRequest, user: User, past: Past, to: int | None = None) -> dict[str, Any]:
    given = request.GET
    shown, total = versions.listed(past, whole(given.get("before", "")))
    newest = total
    chosen, problem = _chosen(past, to or _to(past, given), newest)
    earlier = _earlier(past, chosen, whole(given.get("from", "")))
    changes = comparing.compare(user, earlier.record if earlier else None, chosen.record) if chosen else []
    may_revert = bool(chosen) and chosen is not None and chosen.number != newest and may_change(user, past)
    return {
        "past": past,
        "name": str(past.row) if past.row is not None else (chosen.name if chosen else past.pk),
        "kind_word": telling.word(past.kind),
        "is_gone": past.is_gone,
        "back": _page_of(user, past),
        "versions": shown,
        "total": total,
        "next": shown[-1].number if shown and shown[-1].number > 1 else None,
        "is_paged": "before" in given,
        "chosen": chosen,
        "earlier": earlier,
        "problem": problem,
        "changes": comparing.shortened(changes),
        "revert_changes": reverting.changes(user, past, chosen) if may_revert and chosen else [],
        "may_revert": may_revert,
        "newest": newest,
        "events": _events(user, past),
        "may_share": past.kind in ("agent", "soul", "route", "policy", "server")
        and not past.is_gone
        and _manages(user, past),
        "doors": telling.DOORS,
    }


def _to(past: Past, given: Any) -> int | None:
    """The version asked for, by its number or by the id of its record, as the audit links to it."""
    record = whole(given.get("record", ""))
    return past.records.filter(history_id__lte=record).count() if record else whole(given.get("to", ""))


def _chosen(past: Past, to: int | None, newest: int) -> tuple[Version | None, str]:
    if not newest:
        return None, ""
    try:
        return versions.one(past, newest if to is None else to), ""
    except NotFound:
        return versions.one(past, newest), f"There is no version {to}; this is the newest."


def _earlier(past: Past, chosen: Version | None, number: int | None) -> Version | None:
    if chosen is None or number == 0:
        return None
    wanted = number or chosen.number - 1
    try:
        return versions.one(past, wanted) if wanted else None
    except NotFound:
        return versions.one(past, chosen.number - 1) if chosen.number > 1 else None


def _manages(user: User, past: Past) -> bool:
    return bool(permissions.allows(user, f"{past.kind}.manage", past.row))


def _events(user: User, past: Past) -> list[telling.Told]:
    """What happened around the row: who was given access, what was refused. For who may know."""
    allowed = managed(user, past.model)
    if allowed is not None and not allowed.filter(pk=past.pk).exists():
        return []
    entries, _ = timeline.events_about(past.kind, str(past.pk), SHOWN_EVENTS)
    return [telling.told(user, entry) for entry in entries]


def _page_of(user: User, past: Past) -> str:
    """The row's own page, where it has one that ``user`` may open."""
    if past.is_gone or (past.kind in ("person", "group") and not permissions.may(user, "user.manage")):
        return ""
    for name in (f"agents:{past.kind}-detail", f"agents:{past.kind}"):
        with suppress(NoReverseMatch):
            return reverse(name, args=[past.pk])
    return ""
