"""Souls for people: the list, the page of one, its file, and what is done to it as a whole."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agents import permissions, scanning, soul_files, soul_library, souls
from agents.actions import ACTIONS
from agents.errors import Conflict
from agents.models import Soul, SoulStatus, User
from agents.standing import reasons
from agents.toolsets import LISTS
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters

PAGE_SIZE = 24
SHOWN_AGENTS = 12
# So many categories and tags a list can be narrowed to; of more one searches.
MAX_WORDS = 60
STATUSES = [(status.value, status.label.partition(":")[0]) for status in SoulStatus]


@require_safe
@signed_in
def soul_list(request: HttpRequest) -> HttpResponse:
    """The souls one may see, by name; archived ones only when asked for."""
    user = person(request)
    visible = permissions.visible(user, Soul.objects.all())
    categories, tags = _words(visible)
    filters = Filters(
        request.GET,
        Choice("show", "Souls", (("mine", "Mine"), ("others", "Of others"))),
        Choice("category", "Category", [(word, word) for word in categories]),
        Choice("tag", "Tag", [(word, word) for word in tags]),
        Choice("status", "Status", STATUSES),
        hint="Name, description or tag",
    )
    found = filters.search(_narrowed(visible, user, filters), "name", "description", "tags")
    rows = found.select_related("owner").annotate(folded=Lower("name"))
    page = listing.page(rows, filters, "folded", PAGE_SIZE)
    for soul in page.items:
        soul.warning_count = len(scanning.scan(soul.text))  # type: ignore[attr-defined]
    has_archived = not filters.chosen("status") and visible.filter(status=SoulStatus.ARCHIVED).exists()
    context = {
        "filters": filters,
        "page": page,
        "has_archived": has_archived,
        "may_create": permissions.may(user, "soul.create"),
    }
    return render(request, "souls/list.html", context)


def _words(visible: QuerySet[Soul]) -> tuple[list[str], list[str]]:
    """The categories and tags there are among these souls, the commonest first where there are too many."""
    counted = visible.order_by().values_list("category", "tags").annotate(number=Count("pk"))
    categories: dict[str, int] = {}
    tags: dict[str, int] = {}
    for category, line, number in counted:
        for words, found in ((categories, [category] if category else []), (tags, line.split())):
            for word in found:
                words[word] = words.get(word, 0) + number
    return _commonest(categories), _commonest(tags)


def _commonest(words: dict[str, int]) -> list[str]:
    return sorted(sorted(words, key=lambda word: -words[word])[:MAX_WORDS])


def _narrowed(rows: QuerySet[Soul], user: User, filters: Filters) -> QuerySet[Soul]:
    show, category, tag, status = (filters.chosen(name) for name in ("show", "category", "tag", "status"))
    if show:
        rows = rows.filter(owner=user) if show == "mine" else rows.exclude(owner=user)
    if category:
        rows = rows.filter(category=category)
    if tag:
        rows = soul_library.with_tag(rows, tag)
    return rows.filter(status=status) if status else rows.exclude(status=SoulStatus.ARCHIVED)


def fetch(user: User, soul_id: str, action: str = "soul.view") -> Soul:
    """The soul of this id with its owner; NotFound unless ``user`` may do ``action`` to it."""
    return permissions.fetch(user, action, Soul.objects.select_related("owner"), pk=soul_id)


def frame(user: User, soul: Soul) -> dict[str, Any]:
    """What every page of one soul shows around its own part."""
    standing = permissions.standing_of(user, soul)
    allowed = {name: bool(reasons(ACTIONS[f"soul.{name}"], standing)) for name in ("edit", "manage")}
    return {
        "soul": soul,
        "may": {**allowed, "create": permissions.may(user, "soul.create")},
        "is_archived": soul.status == SoulStatus.ARCHIVED,
    }


@require_safe
@signed_in
def soul_detail(request: HttpRequest, soul_id: str) -> HttpResponse:
    """What a soul says, as it reads or as it was written, and who has it."""
    user = person(request)
    soul = fetch(user, soul_id)
    agents = list(soul_library.used_by(user, soul)[: SHOWN_AGENTS + 1])
    context = {
        **frame(user, soul),
        "as_written": request.GET.get("view") == "written",
        "findings": scanning.scan(soul.text),
        "lists": [(kind, LISTS[kind], soul.toolsets.of(kind)) for kind in LISTS if soul.toolsets.of(kind)],
        "agents": agents[:SHOWN_AGENTS],
        "more_agents": len(agents) > SHOWN_AGENTS,
        "origin": soul_library.origin_of(user, soul),
    }
    return render(request, "souls/detail.html", context)


@require_safe
@signed_in
def soul_export(request: HttpRequest, soul_id: str) -> HttpResponse:
    """The soul as a SOUL.md to keep or to carry elsewhere."""
    soul = fetch(person(request), soul_id)
    response = HttpResponse(soul_files.render(souls.sheet_of(soul)), content_type="text/markdown; charset=utf-8")
    response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(soul.slug)}.SOUL.md"
    return response


@require_POST
@signed_in
def soul_copy(request: HttpRequest, soul_id: str) -> HttpResponse:
    """A soul of one's own that says the same."""
    made = soul_library.copy(person(request), soul_id)
    messages.success(request, f"{made.name} is yours; change it as you like.")
    return redirect("agents:soul-edit", made.pk)


@require_POST
@signed_in
def soul_status(request: HttpRequest, soul_id: str) -> HttpResponse:
    """Into the archive, or out of it."""
    soul = soul_library.set_status(person(request), soul_id, request.POST.get("status", ""))
    said = {
        SoulStatus.ARCHIVED: "is archived: offered for no new agent, and agents that have it keep it.",
        SoulStatus.ACTIVE: "is active: offered to everyone who may see it.",
        SoulStatus.DRAFT: "is a draft: offered to those who may edit it.",
    }
    messages.success(request, f"{soul.name} {said[SoulStatus(soul.status)]}")
    return redirect("agents:soul-detail", soul.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def soul_delete(request: HttpRequest, soul_id: str) -> HttpResponse:
    """Asks first; a soul that an agent has stays, and the page says which agents."""
    user = person(request)
    soul = fetch(user, soul_id, "soul.manage")
    problem = soul_library.in_use(user, soul)
    if request.method == "POST" and problem is None:
        try:
            soul_library.delete(user, soul_id)
        except Conflict as conflict:
            problem = conflict
        else:
            messages.success(request, f"The soul {soul.name} is deleted.")
            return redirect("agents:soul-list")
    context = {
        "question": f"Delete the soul {soul.name}?",
        "words": "It cannot be undone. Its file can be downloaded first.",
        "consequences": [
            f"All of its revisions ({soul.revision}) go with it.",
            "Runs it took part in keep their record.",
        ],
        "button": f"Delete soul {soul.name}",
        "back": reverse("agents:soul-detail", args=[soul.pk]),
        "error": problem,
        "soul": soul,
    }
    template = "souls/in_use.html" if problem else "_confirm.html"
    return render(request, template, context, status=409 if problem and request.method == "POST" else 200)
