"""The one-time link of the first start: who can open it, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.models import User
from logos_site.up import first_link


@pytest.fixture(autouse=True)
def _closed_afterwards(db: None) -> Iterator[None]:
    yield
    first_link.close()


def test_the_issued_token_opens_and_nothing_else_does() -> None:
    token = first_link.issue()

    assert first_link.is_open(token)
    assert not any(first_link.is_open(other) for other in ("", token[:-1], token + "x", "\udcff", "ä" * 50))


def test_only_its_digest_is_kept_and_only_the_owner_can_read_that(home: Path) -> None:
    token = first_link.issue()

    file = home / "first_run"
    assert token not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(home.glob("first_run.*"))


def test_a_new_link_ends_the_one_before() -> None:
    old, new = first_link.issue(), first_link.issue()

    assert (first_link.is_open(old), first_link.is_open(new)) == (False, True)


def test_an_administrator_ends_it(request: pytest.FixtureRequest) -> None:
    token = first_link.issue()
    request.getfixturevalue("ada")

    assert not first_link.is_open(token)


def test_a_suspended_administrator_still_counts(ada: User) -> None:
    User.objects.filter(pk=ada.pk).update(is_active=False)

    assert first_link.issue() == ""


def test_there_is_no_link_once_there_is_an_administrator(ada: User, home: Path) -> None:
    assert first_link.issue() == ""
    assert not (home / "first_run").exists()


def test_other_people_do_not_end_it(alice: User) -> None:
    assert first_link.is_open(first_link.issue())


def test_nothing_is_open_before_the_first_issue_nor_after_closing() -> None:
    token = first_link.issue()
    first_link.close()
    first_link.close()

    assert not first_link.is_open(token)
    assert not first_link.is_open("")
