"""Template tags of the console's lists: rows without a class on every cell, filters that are on, pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from django import template
from django.contrib.admin.templatetags import admin_list
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.db.models import Model
from django.urls import reverse
from django.utils.html import escape, strip_tags
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

from agents.admin_paging import CAP

register = template.Library()

# What is shown as it was written keeps its lines; everywhere else a line end is nothing but weight.
_KEPT = re.compile(r"(<(pre|textarea)\b.*?</\2>)", re.DOTALL)
_LINE_ENDS = re.compile(r"\s*\n\s*")
_CELL = re.compile(r"<(td|th)")


@register.inclusion_tag("admin/_rows.html")
def console_rows(cl: ChangeList) -> dict[str, Any]:
    """The table. Each cell carries its column's name, which a phone shows beside it."""
    headers = list(admin_list.result_headers(cl))
    names = [escape(strip_tags(str(header["text"]))) for header in headers]
    filtered = bool(cl.query or cl.has_active_filters)
    return {
        "cl": cl,
        "headers": headers,
        "hidden": list(admin_list.result_hidden_fields(cl)),
        "rows": [_labelled(row, names) for row in admin_list.results(cl)] if cl.result_list else [],
        "filtered": filtered,
    }


def _labelled(row: Any, names: Sequence[str]) -> Any:
    for number, item in enumerate(row):
        if number < len(names) and names[number]:
            row[number] = mark_safe(_CELL.sub(rf'<\1 data-label="{names[number]}"', str(item), count=1))  # noqa: S308
    return row


@register.inclusion_tag("admin/_pages.html")
def console_pages(cl: ChangeList) -> dict[str, Any]:
    """Page numbers and the count; beyond ``CAP`` rows nobody counts."""
    count = f"more than {CAP:,}" if cl.result_count > CAP else f"{cl.result_count:,}"
    return {"cl": cl, "count": count, "pages": list(_pages(cl)) if cl.multi_page else []}


def _pages(cl: ChangeList) -> Iterator[dict[str, Any]]:
    for number in cl.paginator.get_elided_page_range(cl.page_num, on_each_side=2, on_ends=1):
        if not isinstance(number, int):
            yield {}
        elif number == cl.page_num:
            yield {"number": number, "current": True}
        else:
            yield {"number": number, "url": cl.get_query_string({PAGE_VAR: number})}


@register.simple_tag
def console_filters_on(cl: ChangeList) -> SafeString | str:
    """A way back to the whole list, when something narrows it."""
    if not (cl.query or cl.has_active_filters):
        return ""
    return mark_safe('<a class="act" href="?">Show all</a>')


@register.inclusion_tag("admin/_trail.html", takes_context=True)
def console_trail(context: Any) -> dict[str, Any]:
    """Where one is: the kind of row and the row, by its exact name."""
    opts, row = context.get("opts"), context.get("original") or context.get("object")
    if opts is None:
        return {"here": context.get("title", "")}
    url = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    if context.get("cl"):
        return {"here": capfirst(opts.verbose_name_plural)}
    named = row if isinstance(row, Model) else None
    here = str(named) if named is not None else str(context.get("title", ""))
    return {"list": capfirst(opts.verbose_name_plural), "list_url": url, "here": here}


@register.simple_tag(takes_context=True)
def console_panels(context: Any) -> list[dict[str, Any]]:
    """What hangs off the row of a form page."""
    row = context.get("original")
    if row is None or context.get("is_popup"):
        return []
    panels = getattr(context["adminform"].model_admin, "panels", ())
    return [shown for panel in panels if (shown := panel.shown(context["request"], row)) is not None]


@register.tag
def slim(parser: Any, token: Any) -> SlimNode:
    """Everything up to ``endslim`` without line ends; unfold's templates have ten kilobytes of them a page."""
    nodes = parser.parse(("endslim",))
    parser.delete_first_token()
    return SlimNode(nodes)


class SlimNode(template.Node):
    """See ``slim``."""

    def __init__(self, nodelist: template.NodeList) -> None:
        self.nodelist = nodelist

    def render(self, context: Any) -> SafeString:
        parts = _KEPT.split(self.nodelist.render(context))
        # Three parts a match: what is before it, the whole of it, the name of its tag.
        kept = [part if place % 3 == 1 else _slimmed(part) for place, part in enumerate(parts) if place % 3 != 2]
        return mark_safe("".join(kept))  # noqa: S308


def _slimmed(html: str) -> str:
    return _LINE_ENDS.sub(" ", html).replace("> <", "><")
