"""The sharing dialog of an object, and the page that explains who may do what to a row and why."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from agents import explaining, guarding, permissions, sharing
from agents.errors import Conflict, Invalid, LogosError
from agents.explaining import Explanation
from agents.guarding import SHARED_LEVEL
from agents.models import Agent, Soul, User, Visibility
from agents.views.access import is_htmx, leave_to, person, signed_in
from runs.models import Conversation, Run
from runs.templatetags.run_format import plural

# With the people who could be added the page stays below 60 KB.
SHOWN_GRANTS = 20


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def share(request: HttpRequest, kind: str, object_id: str) -> HttpResponse:
    """Who has access to an object; each form posts its change here, named by ``do``."""
    user = person(request)
    row = sharing.fetch(user, kind, object_id)
    if request.method != "POST":
        return render(request, "sharing/share.html", _share_page(request, row))
    try:
        said = _change(user, row, request)
    except LogosError as error:
        if is_htmx(request):
            raise
        context = {**_share_page(request, row), "error": error}
        return render(request, "sharing/share.html", context, status=409 if isinstance(error, Conflict) else 400)
    return _after(request, user, row, said)


def _change(user: User, row: Model, request: HttpRequest) -> str:
    """Carry out what a form asks for; a sentence about what is true now."""
    given = request.POST
    do, level = given.get("do", ""), given.get("level", "")
    if do == "visibility":
        sharing.set_visibility(user, row, given.get("visibility", ""))
        return "Everyone may use it now." if given.get("visibility") == Visibility.SHARED else "It is private now."
    if do == "end-given":
        return f"{plural(sharing.end_given(user, row), 'agent')} may not use it any more."
    if do not in ("grant", "revoke", "transfer"):
        raise Invalid("The page did not say what to change.", action="Reload it and try again.")
    if do == "transfer":
        new_owner = sharing.subject(person=given.get("person", "").strip())
        assert isinstance(new_owner, User)  # noqa: S101 (narrows the type)
        sharing.transfer(user, row, new_owner, keep=given.get("keep") == "on")
        return f"{new_owner.display_name} owns it now."
    subject = sharing.subject(person=given.get("person", ""), group=given.get("group", ""), active=do == "grant")
    if do == "grant":
        sharing.grant(user, subject, level, row)
        return f"{_name(subject)} has the level {level} now."
    sharing.revoke(user, subject, row)
    return f"The grant of {_name(subject)} was taken back."


def _after(request: HttpRequest, user: User, row: Model, said: str) -> HttpResponse:
    kind = guarding.noun(type(row))
    if not permissions.allows(user, f"{kind}.manage", row):
        messages.success(request, f"{said} You no longer manage it.")
        return leave_to(request, reverse("home"))
    if is_htmx(request):
        return render(request, "sharing/_access.html", {**_share_page(request, row), "said": said})
    messages.success(request, said)
    return redirect("runs:share", kind, row.pk)


def _share_page(request: HttpRequest, row: Any) -> dict[str, Any]:
    user, model = person(request), type(row)
    text = request.GET.get("search", "").replace("\x00", "").strip()[:100]
    levels = sharing.levels_for(row)
    grants = [each for each in sharing.grants_on(row) if _matches(each.subject, text)]
    usual = {level for level, _ in levels}
    return {
        **_about(row),
        "owner": row.owner,
        "visibility": row.visibility,
        "given": sharing.given_on(row) if row.visibility == Visibility.PRIVATE else 0,
        "shared_action": dict(levels).get(SHARED_LEVEL[model], "Use it in a chat"),
        "grants": [
            {**_shown(each.subject), "level": each.level, "is_unusual": each.level not in usual}
            for each in grants[:SHOWN_GRANTS]
        ],
        "more_grants": max(0, len(grants) - SHOWN_GRANTS),
        "candidates": [_shown(subject) for subject in sharing.candidates(user, row, text)],
        "levels": levels,
        "search": text,
    }


def _matches(subject: sharing.Subject, text: str) -> bool:
    names = f"{subject} {_name(subject)}".casefold()
    return all(word in names for word in text.casefold().split())


@require_safe
@signed_in
def explain(request: HttpRequest, kind: str, object_id: str) -> HttpResponse:
    """What somebody may do to a row, action by action; with ``action``, why and the way forward."""
    user = person(request)
    row = explaining.find(user, kind, object_id)
    name, action = (request.GET.get(key, "").replace("\x00", "").strip() for key in ("person", "action"))
    manages = explaining.manages(user, row)
    about = {**_about(row), "manages": manages, "name": name, "is_self": True}
    try:
        asked = explaining.subject(user, row, name)
    except LogosError as error:
        status = 403 if error.reason == "forbidden" else 404
        return render(request, "sharing/explain.html", {**about, "problem": error}, status=status)
    answers = explaining.overview(asked, row)
    chosen = next((said for said in answers if said.action == action), None)
    context = {
        **about,
        "asked": asked,
        "is_self": asked == user,
        "answers": answers,
        "chosen": chosen,
        "problem": _no_such_action(action) if action and chosen is None else None,
        "grant": _one_grant(chosen) if manages else None,
    }
    return render(request, "sharing/explain.html", context)


def _one_grant(said: Explanation | None) -> explaining.Step | None:
    """The step, when one grant is all it takes, so that the page can offer it as a button."""
    if said is None or said.allowed or len(said.change) != 1:
        return None
    return said.change[0] if said.change[0].kind == "grant" else None


def _no_such_action(action: str) -> LogosError:
    return Invalid(f"There is no action {action[:60]} here.", field="action")


def _about(row: Model) -> dict[str, Any]:
    """What both pages say of the row, and the way back to it."""
    kind, target = guarding.noun(type(row)), explaining.target_of(row)
    title = _title(row)
    return {
        "row": row,
        "kind": kind,
        "kind_word": _WORDS.get(kind, kind),
        "title": title,
        "target": target,
        "back": _place(row),
    }


_WORDS = {"route": "model route", "server": "MCP server", "call": "model call", "approval": "question of a run"}


def _title(row: Model) -> str:
    return row.message.text.split("\n", 1)[0][:80] if isinstance(row, Run) else str(row)


def _place(row: Model) -> str:
    """The page of a row, where it has one."""
    if isinstance(row, Agent):
        return "" if row.is_deleted else reverse("agents:agent-detail", args=[row.pk])
    if isinstance(row, Soul):
        return reverse("agents:soul-detail", args=[row.pk])
    if isinstance(row, Run):
        return reverse("runs:run-detail", args=[row.pk])
    return reverse("runs:chat-conversation", args=[row.pk]) if isinstance(row, Conversation) else ""


def _shown(subject: sharing.Subject) -> dict[str, Any]:
    """A person or a group as a line of the dialog."""
    shown = {"name": subject.username if isinstance(subject, User) else subject.name, "shown": _name(subject)}
    if isinstance(subject, User):
        return {**shown, "kind": "person", "role": subject.get_role_display(), "is_suspended": not subject.is_active}
    return {**shown, "kind": "group", "role": "Group"}


def _name(subject: sharing.Subject) -> str:
    return subject.display_name if isinstance(subject, User) else f"the group {subject.name}"
