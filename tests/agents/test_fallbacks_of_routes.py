"""Which model stands in for which: chosen by who may, of the same kind, never in a circle; on the page, by API, shell."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from agents import permissions, providers, routes
from agents.errors import Conflict, Invalid, NotFound
from agents.models import ModelRoute, ProviderKind, Role, User, Visibility
from runs.work import target_of
from tests import shell
from tests.api_client import Program
from tests.conftest import person
from tests.console import Console, complaints

Browser = Callable[..., Client]


@pytest.fixture
def lab(ada: User) -> list[ModelRoute]:
    """Three models of one provider."""
    provider = providers.create(ada, "Lab", "http://127.0.0.1:11434")
    return [routes.create(ada, provider, f"model-{number}") for number in range(3)]


@pytest.fixture
def claude(ada: User) -> ModelRoute:
    provider = providers.create(ada, "Anthropic", "https://api.anthropic.com", "sk-ant-1", ProviderKind.ANTHROPIC)
    return routes.create(ada, provider, "claude-x")


def falls(ada: User, route: ModelRoute, on: ModelRoute | None) -> ModelRoute:
    route.refresh_from_db()
    return routes.change(ada, route.pk, route.version, fallback=on)


def test_a_run_is_told_who_is_asked_after_whom(ada: User, lab: list[ModelRoute]) -> None:
    first, second, third = lab
    falls(ada, second, third)
    target = target_of(falls(ada, first, second))

    assert [each.model for each in target.fallbacks] == ["model-1", "model-2"]
    assert all(each.fallbacks == () for each in target.fallbacks)


def test_nobody_stands_in_for_itself_not_even_around_a_corner(ada: User, lab: list[ModelRoute]) -> None:
    first, second, third = lab
    falls(ada, first, second)
    falls(ada, second, third)

    for wanted in (first, third):
        with pytest.raises(Invalid, match="cannot stand in for itself"):
            falls(ada, third, wanted)


def test_another_format_cannot_go_on_with_the_same_request(
    ada: User, lab: list[ModelRoute], claude: ModelRoute
) -> None:
    with pytest.raises(Invalid, match="another format"):
        falls(ada, lab[0], claude)

    # A console of another version, or a row changed by hand: the run leaves it out rather than fail in the middle.
    ModelRoute.objects.filter(pk=lab[0].pk).update(fallback=claude)
    assert target_of(ModelRoute.objects.get(pk=lab[0].pk)).fallbacks == ()


def test_one_chooses_only_what_one_sees(ada: User, lab: list[ModelRoute]) -> None:
    otto = person("otto", Role.OPERATOR)
    first, second, _ = lab
    permissions.grant(otto, "edit", first)
    second.visibility = Visibility.PRIVATE
    second.save()

    with pytest.raises(NotFound):
        routes.change(otto, first.pk, first.version, fallback=second)
    assert (
        Program(otto)("PATCH", f"routes/{first.pk}", {"version": first.version, "fallback_id": second.pk}).status_code
        == 404
    )
    # What an admin chose may stay, and says nothing about itself to who may not change the route.
    falls(ada, first, second)
    permissions.revoke(otto, "edit", first)
    assert Program(otto)("GET", f"routes/{first.pk}").json()["fallback_id"] is None
    assert Program(ada)("GET", f"routes/{first.pk}").json()["fallback_id"] == second.pk


def test_who_stands_in_cannot_be_deleted(ada: User, lab: list[ModelRoute]) -> None:
    falls(ada, lab[0], lab[1])

    with pytest.raises(Conflict, match="stands in for model-0"):
        routes.remove_route(lab[1], ada)


def test_the_page_offers_those_of_the_same_kind(
    ada: User, lab: list[ModelRoute], claude: ModelRoute, browser: Browser
) -> None:
    client, path = browser(ada), f"/models/{lab[0].pk}/"
    page = client.get(path)
    offered = {str(value) for value, _ in page.context["form"].fields["fallback"].choices}

    assert lab[1].pk in offered
    assert not {lab[0].pk, claude.pk} & offered
    sent = {"version": lab[0].version, "fallback": lab[1].pk}
    assert client.post(path, sent).status_code == 302
    lab[0].refresh_from_db()
    assert lab[0].fallback == lab[1]
    assert f'<option value="{lab[1].pk}" selected' in client.get(path).content.decode()
    # Somebody with the old page saves: nothing is lost and the draft is kept.
    stale = client.post(path, {**sent, "fallback": lab[2].pk})
    assert stale.status_code == 409
    assert f'<option value="{lab[2].pk}" selected' in stale.content.decode()


def test_programs_and_the_shell_choose_too(ada: User, lab: list[ModelRoute]) -> None:
    program = Program(ada)
    answer = program("PATCH", f"routes/{lab[0].pk}", {"version": lab[0].version, "fallback_id": lab[1].pk})
    assert (answer.status_code, answer.json()["fallback_id"]) == (200, lab[1].pk)
    circle = program("PATCH", f"routes/{lab[1].pk}", {"version": lab[1].version, "fallback_id": lab[0].pk})
    assert (circle.status_code, circle.json()["error"]["field"]) == (400, "fallback")

    assert shell.run("route", "edit", "model-0", "--fallback", "none", "--user", "ada").code == 0
    lab[0].refresh_from_db()
    assert lab[0].fallback is None
    assert shell.run("route", "edit", "model-0", "--fallback", "model-2", "--user", "ada").code == 0
    assert shell.run("route", "edit", "model-0", "--fallback", "nothing", "--user", "ada").code == 1


def test_the_console_keeps_the_same_rule(ada: User, lab: list[ModelRoute], claude: ModelRoute) -> None:
    console = Console(ada)
    page = console.save(lab[0], fallback=claude.pk)

    assert "another format" in complaints(page)
    lab[0].refresh_from_db()
    assert lab[0].fallback is None


def test_a_provider_of_the_other_kind_is_made_on_the_page_and_by_api(ada: User, browser: Browser) -> None:
    sent = {"name": "Claude", "kind": "anthropic", "base_url": "https://api.anthropic.com", "unchecked": "on"}
    assert browser(ada).post("/providers/new/", sent).status_code == 302
    made = Program(ada)("POST", "providers", {"name": "C2", "kind": "anthropic", "base_url": "https://a.example"})
    assert (made.status_code, made.json()["kind"]) == (201, "anthropic")
    refused = Program(ada)("POST", "providers", {"name": "C3", "kind": "rehearsal", "base_url": "https://a.example"})
    assert refused.status_code in (400, 422)
    with pytest.raises(Invalid):
        providers.create(ada, "C4", "https://a.example", kind="rehearsal")
