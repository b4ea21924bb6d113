"""Two posts with the same first-run link arrive in the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from agents.models import Role, User
from logos_site import first_run
from logos_site.up import first_link
from tests.logos_site.test_first_run import WHOLE


@pytest.fixture
def link(db: None) -> Iterator[str]:
    yield f"/start/{first_link.issue()}/"
    first_link.close()


def test_the_link_makes_one_administrator_though_two_posts_passed_its_check(
    link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, others = first_run._make, []

    def make_while_another_posts(form: Any) -> Any:
        monkeypatch.setattr(first_run, "_make", make)
        monkeypatch.setattr(first_link, "is_open", lambda token: True)  # it had passed before
        others.append(Client().post(link, {**WHOLE, "username": "mallory"}))
        return make(form)

    monkeypatch.setattr(first_run, "_make", make_while_another_posts)
    assert Client().post(link, WHOLE).status_code == 302
    assert [other.status_code for other in others] == [422]
    assert list(User.objects.filter(role=Role.ADMIN).values_list("username", flat=True)) == ["ada"]


def test_the_link_opens_again_when_nothing_was_made(link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError), first_link.taken():
        raise ZeroDivisionError
    assert Client().get(link).status_code == 200
