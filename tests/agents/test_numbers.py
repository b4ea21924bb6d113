"""Whole numbers: what is one, and that doors do not break on what is none."""

from __future__ import annotations

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from agents.models import User
from agents.numbers import whole


@pytest.mark.parametrize(
    "text",
    ["", "-1", "+1", " 1", "1 ", "1_000", "1.0", "²", "١", "1234567890", "9" * 5_000],
    ids=lambda text: text[:12],
)
def test_what_is_no_plain_number_is_none(text: str) -> None:
    assert whole(text) is None


@given(st.integers(min_value=0, max_value=999_999_999))
def test_a_number_comes_back_as_it_was_written(number: int) -> None:
    assert whole(str(number)) == number


def test_digits_bound_the_number() -> None:
    assert whole("1234", digits=3) is None
    assert whole("12345678901", digits=12) == 12_345_678_901


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["9" * 5_000, "²", "٣"], ids=["endless", "superscript", "arabic"])
def test_pages_of_people_do_not_break_on_what_is_no_number(ada: User, bob: User, client: Client, text: str) -> None:
    client.force_login(ada)
    page = f"/people/{bob.pk}/"
    assert client.post(page, {"do": "group", "group": text}).status_code in {200, 302, 404, 409, 422}
    assert client.post("/people/invite/", {"withdraw": text}).status_code in {200, 302, 404, 409, 422}
    assert client.post("/people/waiting/", {"person": text, "do": "approve"}).status_code in {200, 302, 404, 409, 422}
