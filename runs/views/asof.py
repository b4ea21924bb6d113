"""Configuration as it was: at a moment, or when a run began beside what its STAMP recorded."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_safe

from agents import permissions
from agents.models import User
from agents.past import asof, telling
from agents.past.kinds import kinds, name_field
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Filters
from runs.asof import dimensions
from runs.models import Run


@require_safe
@signed_in
def as_of(request: HttpRequest) -> HttpResponse:
    """One kind of rows as they were at ``at``, or at the beginning of ``run``."""
    user, given = person(request), request.GET
    run = _run(user, given.get("run", "").replace("\x00", ""))
    moment, problem = read(given.get("at", "")) if run is None else (run.created_at, "")
    kind = given.get("kind", "") if given.get("kind", "") in asof.SHOWN else asof.SHOWN[0]
    filters = Filters(request.GET, hint="Name", keep=("at", "run", "kind"))
    model: Any = kinds()[kind]
    rows = filters.search(asof.records(user, model, moment), name_field(model))
    page = listing.page(rows, filters, order=name_field(model))
    context = {
        "filters": filters,
        "problem": problem,
        "moment": moment,
        "at": timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M:%S"),
        "run": run,
        "dimensions": dimensions(user, run) if run else [],
        "kind": kind,
        "tabs": _tabs(given, kind),
        "rows": asof.facts(user, kind, page.items, moment),
        "page": page,
    }
    return render(request, "audit/asof.html", context)


def _run(user: User, run_id: str) -> Run | None:
    if not run_id:
        return None
    return permissions.fetch(user, "run.view", Run.objects.select_related("agent", "message"), pk=run_id)


def read(text: str) -> tuple[datetime, str]:
    """The moment a person or a program wrote, in the site's time zone when they name none; now when there is none."""
    now = timezone.now()
    if not text.strip():
        return now, ""
    try:
        found = parse_datetime(text.strip().replace(" ", "T", 1)) or datetime.fromisoformat(text.strip())
        found = found if timezone.is_aware(found) else timezone.make_aware(found)
        found.astimezone(timezone.get_default_timezone())
    except (ValueError, OverflowError):
        return now, "That is not a date and time; this is how it is now."
    return found, ""


def _tabs(given: QueryDict, current: str) -> list[dict[str, Any]]:
    tabs = []
    for kind in asof.SHOWN:
        query = QueryDict(mutable=True)
        for name in ("at", "run"):
            if value := given.get(name, ""):
                query[name] = value[:60]
        query["kind"] = kind
        label = telling.plural(kind)
        tabs.append({"url": f"?{query.urlencode()}", "label": label, "current": kind == current})
    return tabs
