"""`manage.py route` and `manage.py policy`: what the pages do, from a shell."""

from __future__ import annotations

import pytest

from agents import composition, routes
from agents.models import Agent, ModelRoute, Policy, Provider, Role, User
from tests import shell
from tests.conftest import person


@pytest.fixture
def lab(ada: User, route: ModelRoute) -> Provider:
    return Provider.objects.create(name="Lab", kind="openai-compatible", base_url="https://lab.example/v1")


def test_a_model_is_added_priced_made_default_and_listed(lab: Provider) -> None:
    added = shell.run("route", "add", "Lab", "coder-1", "--context", "8000", "--input", "0.25")
    assert shell.run("route", "edit", "coder-1", "--output", "1", "--context", "unknown").code == 0
    assert shell.run("route", "default", "coder-1").code == 0

    route = ModelRoute.objects.get(pk=added.out.strip())
    assert (route.context_length, route.price_input, route.price_output) == (None, routes.Decimal("0.25"), 1)
    assert route.is_default
    assert "coder-1" in shell.run("route", "list").out
    assert {row["model"]: row["version"] for row in shell.run("route", "list", "--json").json}["coder-1"] > 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("add", "Nobody", "m"), "was not found"),
        (("add", "Lab", "m", "--input", "dear"), "--input is a number"),
        (("add", "Lab", "m", "--input", "-1"), "A price is"),
        (("add", "Lab", "m", "--input", "NaN"), "A price is"),
        (("add", "Lab", "m", "--context", "0"), "A context has"),
        (("add", "Lab", "m\nn"), "visible characters"),
        (("edit", "nothing", "--input", "1"), "was not found"),
        (("delete", "rehearsal-1"), "cannot be deleted"),
    ],
)
def test_what_cannot_be_is_one_sentence(lab: Provider, words: tuple[str, ...], sentence: str) -> None:
    ended = shell.run("route", *words)

    assert ended.code == 1
    assert sentence in ended.said
    assert "Traceback" not in ended.said
    assert ModelRoute.objects.count() == 1


def test_a_model_in_use_stays(lab: Provider, ada: User, atlas: Agent) -> None:
    coder = routes.add_route(lab, "coder-1", ada)
    composition.create(atlas.owner, "worker", atlas.soul, route=coder)

    ended = shell.run("route", "delete", "coder-1")

    assert (ended.code, "used by worker" in ended.said) == (1, True)


def test_people_without_the_role_add_nothing(lab: Provider, alice: User) -> None:
    for words in (("route", "add", "Lab", "m"), ("policy", "create", "Mine")):
        ended = shell.run(*words, "--user", "alice")
        assert (ended.code, "role does not include" in ended.said) == (1, True)


def test_a_policy_is_written_changed_tried_and_deleted(ada: User) -> None:
    made = shell.run("policy", "create", "Python", "PyPI.org", "--description", "Packages")
    policy = Policy.objects.get(pk=made.out.strip())
    assert (policy.hosts, policy.owner) == (["pypi.org"], ada)

    assert shell.run("policy", "edit", "Python", "--add", "*.example.org : 443, 80", "--remove", "pypi.org").code == 0
    assert "*.example.org" in shell.run("policy", "list").out
    assert shell.run("policy", "list", "--json").json[0]["rules"][0]["ports"] == [443, 80]

    assert shell.run("policy", "try", "Python", "a.example.org").code == 0
    refused = shell.run("policy", "try", "Python", "pypi.org")
    assert (refused.code, "refused: No rule names pypi.org." in refused.out) == (1, True)

    assert shell.run("policy", "delete", "Python").code == 0
    assert not Policy.objects.exists()


def test_a_policy_of_somebody_else_is_not_there(ada: User, alice: User) -> None:
    Policy.objects.create(name="Secret", owner=ada)
    person("olga", Role.OPERATOR)

    for words in (("edit", "Secret", "--name", "Mine"), ("delete", "Secret"), ("try", "Secret", "a.example")):
        ended = shell.run("policy", *words, "--user", "olga")
        assert (ended.code, "was not found" in ended.said) == (1, True)
    assert "Secret" not in shell.run("policy", "list", "--user", "olga").out


def test_a_host_that_is_none_is_refused(ada: User) -> None:
    ended = shell.run("policy", "create", "Bad", "10.0.0.1")

    assert (ended.code, "is not a host name" in ended.said) == (1, True)
    assert not Policy.objects.exists()
