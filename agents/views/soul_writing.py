"""Write souls: begin with nothing, a starter soul or a file; look at the warnings; change a soul without losing words."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agents import permissions, scanning, soul_files, soul_library, souls, starters
from agents.editing import Stale
from agents.errors import Invalid, LogosError
from agents.models import Soul, SoulStatus
from agents.scanning import Finding
from agents.soul_files import Sheet
from agents.views import conflicts
from agents.views.access import person, signed_in
from agents.views.soul_forms import NewSoulForm, SoulForm, edit_values, texts_of, values_of
from agents.views.souls import fetch, frame


@require_safe
@signed_in
def soul_new(request: HttpRequest) -> HttpResponse:
    """What to begin with: nothing, one of the starter souls, or a file."""
    permissions.require(person(request), "soul.create")
    return _beginnings(request)


def _beginnings(request: HttpRequest, error: LogosError | None = None) -> HttpResponse:
    context = {
        "starters": starters.every(),
        "error": error,
        "pasted": request.POST.get("pasted", ""),
        "max_kb": soul_files.MAX_BYTES // 1000,
    }
    return render(request, "souls/new.html", context, status=400 if error else 200)


@require_POST
@signed_in
def soul_import(request: HttpRequest) -> HttpResponse:
    """What a file says, in the form; nothing is saved before somebody has looked at it."""
    permissions.require(person(request), "soul.create")
    try:
        sheet, source = _read(request)
    except Invalid as error:
        return _beginnings(request, error)
    form = NewSoulForm(initial={**values_of(sheet), "source": source})
    return _form_page(request, form, notes=sheet.notes)


def _read(request: HttpRequest) -> tuple[Sheet, str]:
    """The uploaded file, or what was pasted, and what to call its source."""
    upload, pasted = request.FILES.get("file"), request.POST.get("pasted", "")
    if upload is not None and not pasted.strip():
        if (upload.size or 0) > soul_files.MAX_BYTES:
            raise Invalid(f"A SOUL.md may have {soul_files.MAX_BYTES // 1000} KB.", field="file")
        name = upload.name or ""
        return soul_files.parse(soul_files.decode(upload.read()), name), name[:120] or "a file"
    if not pasted.strip():
        raise Invalid("There is no file and no text.", field="file", action="Choose a file, or paste what it holds.")
    return soul_files.parse(pasted), "pasted text"


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def soul_write(request: HttpRequest) -> HttpResponse:
    """The form of a new soul, filled in from ``?starter=``."""
    user = person(request)
    permissions.require(user, "soul.create")
    if request.method != "POST":
        return _form_page(request, NewSoulForm(initial=_initial(request.GET.get("starter", ""))))
    form = NewSoulForm(request.POST)
    if not form.is_valid():
        return _form_page(request, form, status=400)
    if unseen := _unseen(form, []):
        return _form_page(request, form, unseen=unseen, status=400)
    given = form.cleaned_data
    soul = soul_library.write(user, **form.parts(), **form.made_from(), visibility=given["visibility"])
    messages.success(request, f"{soul.name} is saved.")
    return redirect("agents:soul-detail", soul.pk)


def _initial(slug: str) -> dict[str, Any]:
    return {**values_of(starters.get(slug).sheet), "starter": slug} if slug else {}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def soul_edit(request: HttpRequest, soul_id: str) -> HttpResponse:
    """The form of a soul. Whoever saves second sees what the first one changed, and keeps their draft."""
    user = person(request)
    soul = fetch(user, soul_id, "soul.edit")
    if request.method != "POST":
        return _form_page(request, _editing(soul), soul)
    form = _editing(soul, request.POST)
    if not form.is_valid():
        return _form_page(request, form, soul, status=400)
    if unseen := _unseen(form, scanning.scan(soul.text)):
        return _form_page(request, form, soul, unseen=unseen, status=400)
    given = form.cleaned_data
    try:
        saved = soul_library.edit(user, soul_id, given["version"] or 0, note=given["note"], **form.parts())
    except Stale as stale:
        first = conflicts.for_form(stale, form, user, texts_of)
        return _form_page(request, _editing(stale.row, first.data), soul, conflict=first, status=409)
    messages.success(request, _said(soul, saved))
    return redirect("agents:soul-detail", saved.pk)


def _editing(soul: Soul, data: Any = None) -> SoulForm:
    form = SoulForm(data) if data is not None else SoulForm(initial=edit_values(soul))
    if soul.status == SoulStatus.ARCHIVED:
        # Out of the archive leads its own button; here it stays what it is.
        form.fields["status"].choices = [(SoulStatus.ARCHIVED, "Archived")]  # type: ignore[attr-defined]
    return form


def _said(before: Soul, now: Soul) -> str:
    if now.version == before.version:
        return "Nothing was changed."
    if now.revision == before.revision:
        return f"{now.name} is saved; its text is still revision {now.revision}."
    return f"Revision {now.revision} is saved; agents use it from their next message on."


def _unseen(form: SoulForm, known: list[Finding]) -> list[Finding]:
    """What the text holds that the stored one does not and that nobody said they had looked at."""
    found = scanning.news(scanning.scan(souls.plain_lines(form.cleaned_data["text"])), known)
    return found if scanning.fingerprint(found) != form.cleaned_data["acknowledged"] else []


def _form_page(
    request: HttpRequest,
    form: SoulForm,
    soul: Soul | None = None,
    *,
    unseen: list[Finding] | None = None,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    context = {
        **(frame(person(request), soul) if soul else {}),
        **text_state(str(form["text"].value() or "")),
        "form": form,
        "categories": souls.CATEGORIES,
        "unseen": scanning.fingerprint(unseen or []),
        "back": reverse("agents:soul-detail", args=[soul.pk]) if soul else reverse("agents:soul-new"),
        "here": reverse("agents:soul-edit", args=[soul.pk]) if soul else reverse("agents:soul-write"),
        **more,
    }
    if form.is_bound:
        context["problem"] = ""  # it stands at the field already
    return render(request, "souls/form.html", context, status=status)


@require_POST
@signed_in
def soul_check(request: HttpRequest) -> HttpResponse:
    """How long a text is and what a reader would overlook in it; nothing is saved."""
    permissions.require(person(request), "soul.create")
    return render(request, "souls/_text_state.html", text_state(request.POST.get("text", "")))


def text_state(text: str) -> dict[str, Any]:
    """What stands below a text while it is written."""
    text = souls.plain_lines(text)
    return {
        "length": f"{len(text):,} of {souls.MAX_CHARS:,} characters",
        "is_too_long": len(text) > souls.MAX_CHARS,
        "problem": souls.problem_in(text) if text else "",
        "findings": scanning.scan(text),
    }
