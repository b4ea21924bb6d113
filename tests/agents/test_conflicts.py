"""Somebody saved first: the form keeps the draft, says what the other changed, and is ready to overwrite it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django import forms
from django.http import QueryDict
from django.template.loader import render_to_string

from agents import acting, permissions
from agents.editing import Stale, check_version
from agents.models import Agent, Policy, Provider, User
from agents.views.conflicts import SavedFirst, for_form, saved_first
from tests.rules import rules

pytestmark = pytest.mark.django_db

LABELS = {"name": "Name", "description": "Description", "rules": "Rules"}


class Draft(forms.Form):
    name = forms.CharField(label="What it is called")
    visibility = forms.ChoiceField(choices=(("private", "Only me"), ("shared", "Everybody")))
    version = forms.IntegerField(widget=forms.HiddenInput)


@contextmanager
def somebody_saves(row: Policy | Agent | Provider, who: User, **fields: object) -> Iterator[int]:
    """The version one had read before."""
    read = row.version
    with acting.through("page", who):
        for name, value in fields.items():
            setattr(row, name, value)
        row.save()
    yield read


def meet(row: Policy | Agent | Provider, user: User, **posted: object) -> SavedFirst:
    with pytest.raises(Stale) as refused:
        check_version(row, int(str(posted["version"])))
    return saved_first(refused.value, posted, LABELS, user)


def text(pieces: list, *kinds: str) -> str:
    return "".join(piece.text for piece in pieces if piece.kind in kinds)


@pytest.fixture
def policy(alice: User) -> Policy:
    return Policy.objects.create(name="Python", description="Packages", rules=rules("pypi.org"), owner=alice)


def test_a_field_both_changed_shows_both_changes_and_keeps_the_draft(policy: Policy, ada: User, alice: User) -> None:
    with somebody_saves(policy, ada, description="Packages of Python") as read:
        first = meet(policy, alice, name="Python", description="Packages, all", rules="pypi.org", version=read)

    (field,) = first.fields
    assert (field.label, field.is_taken_over) == ("Description", False)
    assert text(field.theirs, "same", "removed") == "Packages"
    assert text(field.theirs, "same", "added") == "Packages of Python"
    assert text(field.mine, "same", "removed") == "Packages of Python"
    assert text(field.mine, "same", "added") == "Packages, all"
    assert first.data["description"] == "Packages, all"


def test_a_field_only_the_other_changed_takes_theirs_so_that_saving_undoes_nothing(
    policy: Policy, ada: User, alice: User
) -> None:
    with somebody_saves(policy, ada, rules=rules("pypi.org", "files.example")) as read:
        first = meet(policy, alice, name="Python", description="Mine", rules="pypi.org\r\n", version=read)

    (field,) = first.fields
    assert (field.name, field.is_taken_over) == ("rules", True)
    assert first.data["rules"] == "pypi.org\nfiles.example"
    assert first.data["description"] == "Mine"


def test_the_version_moves_on_so_that_saving_again_is_an_overwrite(policy: Policy, ada: User, alice: User) -> None:
    with somebody_saves(policy, ada, name="Snakes") as read:
        first = meet(policy, alice, name="Mine", description="Packages", rules="pypi.org", version=read)

    check_version(policy, int(first.data["version"]))


def test_it_says_who_and_when_to_those_who_manage_the_row(policy: Policy, ada: User, alice: User, bob: User) -> None:
    permissions.grant(bob, "edit", policy)
    with somebody_saves(policy, ada, name="Snakes") as read:
        shown = [meet(policy, who, name="Mine", version=read) for who in (alice, bob, ada)]

    assert [first.by for first in shown] == ["", "", "You, in another window"]  # managing policies is for operators
    assert all(first.at for first in shown)
    alice.role = "operator"
    assert meet(policy, alice, name="Mine", version=read).by == ada.display_name


def test_a_provider_never_shows_its_key(ada: User, bob: User) -> None:
    provider = Provider.objects.create(name="House", kind="openai-compatible", base_url="https://old.example/v1")
    labels = {"base_url": "Address", "sealed_key": "Key"}
    provider.set_key("sk-very-secret")
    with somebody_saves(provider, bob, base_url="https://new.example/v1") as read, pytest.raises(Stale) as refused:
        check_version(provider, read)

    posted = {"base_url": "https://mine.example/v1", "sealed_key": "typed", "version": read}
    first = saved_first(refused.value, posted, labels, ada)

    assert [field.name for field in first.fields] == ["base_url"]
    assert first.by == "bob"


@pytest.mark.parametrize("version", ["", "-3", "²", "x"])
def test_a_version_nobody_could_have_read_still_shows_the_difference(policy: Policy, alice: User, version: str) -> None:
    first = saved_first(Stale(policy), {"name": "Mine", "version": version}, {"name": "Name"}, alice)

    (field,) = first.fields
    assert field.theirs == []
    assert text(field.mine, "removed") == "Python"


def test_a_form_lends_its_labels_and_the_words_of_its_choices(policy: Policy, ada: User, alice: User) -> None:
    with somebody_saves(policy, ada, visibility="shared") as read:
        form = Draft(QueryDict(f"name=Python&visibility=private&version={read}"))
        form.is_valid()
        first = for_form(Stale(policy), form, alice)

    (field,) = first.fields
    assert text(field.theirs, "added") == "Everybody"
    assert Draft(first.data).is_valid()
    assert first.data["visibility"] == "shared"


def test_the_part_escapes_what_people_wrote(policy: Policy, ada: User, alice: User) -> None:
    with somebody_saves(policy, ada, name="<script>theirs") as read:
        first = meet(policy, alice, name="<b>mine", version=read)

    page = render_to_string("_conflict.html", {"conflict": first, "discard_url": "/policies/1/"})

    assert "Somebody saved this first." in page
    assert "<script>" not in page
    assert "<b>mine" not in page
    assert 'href="/policies/1/"' in page
