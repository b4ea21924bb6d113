"""Lists: filters live in the address, pages go by a cursor, nonsense begins at the start and says so."""

from __future__ import annotations

import pytest
from django.db.models.functions import Lower
from django.http import QueryDict
from django.template.loader import render_to_string

from agents.models import Policy
from agents.views import listing
from agents.views.listing import Choice, Filters

STATES = (("open", "still open"), ("closed", "closed"))


def filters(query: str, **options: object) -> Filters:
    return Filters(QueryDict(query), Choice("state", "State", STATES), **options)  # type: ignore[arg-type]


@pytest.fixture
def policies(db: None) -> list[str]:
    names = ["beta", "Alpha", "gamma", "Émile", "delta"]
    for name in names:
        Policy.objects.create(name=name, description="" if name == "beta" else "50% of it_all")
    return names


def walked(order: str, rows=None, size: int = 2) -> list[str]:
    """The names on all pages, one after the other."""
    seen, address = [], ""
    while True:
        shown = listing.page(rows if rows is not None else Policy.objects.all(), filters(address), order, size)
        seen += [policy.name for policy in shown.items]
        assert len(shown.items) <= size
        if not shown.next:
            return seen
        address = shown.next.removeprefix("?")


@pytest.mark.parametrize("order", ["name", "-name", "pk", "-pk", "-created_at", "updated_at"])
def test_all_pages_together_are_the_list_in_its_order(policies: list[str], order: str) -> None:
    assert walked(order) == list(Policy.objects.order_by(order).values_list("name", flat=True))


def test_an_annotation_can_be_the_order(policies: list[str]) -> None:
    rows = Policy.objects.annotate(sort=Lower("name"))

    assert walked("sort", rows)[:4] == ["Alpha", "beta", "delta", "gamma"]


def test_rows_that_share_a_value_are_neither_lost_nor_shown_twice(policies: list[str]) -> None:
    assert sorted(walked("description", size=1)) == sorted(policies)


@pytest.mark.parametrize(
    "cursor", ["x", "W10", "bnVsbA", "WyJhIiwgbnVsbCwgM10", "WyJcdTAwMDAiLCAiYSJd", "%00", "é", "W" * 900]
)
@pytest.mark.parametrize("order", ["name", "-created_at", "version"])
def test_a_cursor_that_cannot_be_read_begins_at_the_start(policies: list[str], cursor: str, order: str) -> None:
    query = QueryDict(mutable=True)
    query["after"] = cursor
    shown = listing.page(Policy.objects.all(), Filters(query), order)

    assert len(shown.items) == len(policies)


def test_a_page_keeps_its_filters_and_leads_back_to_the_first(policies: list[str]) -> None:
    shown = listing.page(Policy.objects.all(), filters("text=a&state=open"), "name", 1)
    second = listing.page(Policy.objects.all(), filters(shown.next.removeprefix("?")), "name", 1)

    assert shown.next.startswith("?text=a&state=open&after=")
    assert shown.first == ""
    assert second.first == "?text=a&state=open"


@pytest.mark.parametrize(("text", "found"), [("alpha", 1), ("it_all", 4), ("50% it_all", 4), ("itXall", 0), ("%", 4)])
def test_the_text_is_looked_for_word_by_word_and_to_the_letter(policies: list[str], text: str, found: int) -> None:
    query = QueryDict(mutable=True)
    query["text"] = text

    assert Filters(query).search(Policy.objects.all(), "name", "description").count() == found


def test_a_choice_that_does_not_exist_is_said_and_left_out() -> None:
    chosen = filters("state=broken")

    assert (chosen.chosen("state"), chosen.any) == ("", False)
    assert "no such choice" in chosen.problem


def test_a_date_has_to_be_one() -> None:
    wrong = Filters(QueryDict("since=2026-02-30"), Choice("since", "From", (), is_date=True))
    right = Filters(QueryDict("since=2026-02-28"), Choice("since", "From", (), is_date=True))

    assert (wrong.chosen("since"), bool(wrong.problem)) == ("", True)
    assert (right.chosen("since"), right.problem) == ("2026-02-28", "")


def test_each_filter_has_a_chip_that_takes_only_itself_away() -> None:
    page = render_to_string("_filters.html", {"filters": filters("text=a%26b&state=open&of=me", keep=["of"])})

    assert 'href="?state=open&amp;of=me"' in page
    assert 'href="?text=a%26b&amp;of=me"' in page
    assert "still open" in page
    assert '<input type="hidden" name="of" value="me">' in page


def test_hostile_text_is_cut_and_loses_what_no_database_stores() -> None:
    assert Filters(QueryDict("text=" + "x" * 900)).text == "x" * 200
    query = QueryDict(mutable=True)
    query["text"] = "a\x00\ud800b"
    assert Filters(query).text == "ab"


def test_an_empty_list_says_when_filters_are_the_cause() -> None:
    taught = {"heading": "No policies yet", "words": "A policy names hosts.", "url": "/policies/new/", "action": "New"}

    assert "No policies yet" in render_to_string("_empty.html", {**taught, "filters": filters("")})
    assert "Nothing matches" in render_to_string("_empty.html", {**taught, "filters": filters("text=x")})
    assert "No policies yet" in render_to_string("_empty.html", taught)
