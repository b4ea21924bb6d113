"""Whoever may use an agent sees its runs, and not by that the names of what it is made of."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.test import Client

from agents import agent_secrets, exporting, permissions
from agents.models import Agent, ModelRoute, Policy, Provider, Role, Soul, User
from agents.routes import add_route
from runs import dispatch, withheld
from runs.models import Run
from tests import shell
from tests.api_client import Program, end, record
from tests.conftest import person
from tests.rules import rules

HIDDEN = ("Soul-777", "host-777.example", "model-777", "Lab-777", "KEY_777")


@pytest.fixture
def run(bob: User, alice: User, atlas: Agent) -> Run:
    """Bob's, with Alice's agent, of whose parts he may see none."""
    atlas.soul.name = "Soul-777"
    atlas.soul.save()
    Soul.objects.filter(pk=atlas.soul_id).update(visibility="private")
    lab = Provider.objects.create(name="Lab-777", kind="openai-compatible", base_url="https://lab.example")
    atlas.route = add_route(lab, "model-777", alice)
    atlas.save()
    ModelRoute.objects.filter(pk=atlas.route.pk).update(visibility="private", is_default=False)
    atlas.policies.set([Policy.objects.create(name="Hosts", owner=alice, rules=rules("host-777.example"))])
    agent_secrets.put(alice, atlas, "KEY_777", "a value of some length", always_given=True)
    made = dispatch.start(bob, "hello", agent=atlas).run
    call = {
        "call_id": "c1", "route": atlas.route.pk, "model": "model-777", "error_code": "model_not_found",
        "error_message": "Lab-777 does not know model-777.", "input_tokens": 12, "output_tokens": 3, "cost": None,
    }  # fmt: skip
    record(made, ("model.call", call))
    end(made, "Reply.")
    return made


def doors(run: Run) -> list[str]:
    return [
        f"/runs/{run.pk}/", f"/runs/{run.pk}/record/", f"/asof/?run={run.pk}", f"/chat/{run.conversation_id}/",
        f"/api/runs/{run.pk}", f"/api/runs/{run.pk}/events",
    ]  # fmt: skip


def test_who_may_only_chat_reads_no_name_they_may_not_see(run: Run, bob: User, browser: Callable[..., Client]) -> None:
    for path in doors(run):
        answer = browser(bob).get(path)
        assert answer.status_code == 200, path
        assert not [name for name in HIDDEN if name in answer.content.decode()], path

    stamp = Program(bob).get(f"runs/{run.pk}")["stamp"]
    assert stamp["withheld"] == ["soul", "model", "hosts", "secrets"]
    assert stamp["soul"]["revision"] == 1
    parts = [part for part in exporting.PARTS if part[0] in ("stamps.json", "events.json")]
    archived = json.dumps([row for part in parts for row in part[3](bob)], default=str)
    assert run.pk in archived
    assert not [name for name in HIDDEN if name in archived]


def test_the_owner_and_admins_read_all_of_it(run: Run, alice: User, ada: User) -> None:
    for who in (alice, ada):
        assert withheld.told(who, run.stamp) == run.stamp


def test_what_was_deleted_since_is_known_to_who_edits_the_agent(run: Run, alice: User, bob: User) -> None:
    Policy.objects.all().delete()

    assert withheld.told(alice, run.stamp) == run.stamp
    assert withheld.HIDDEN_HOSTS in withheld.told(bob, run.stamp)["permissions"]["hosts"]


def test_each_part_is_told_to_who_may_see_it(run: Run, bob: User, atlas: Agent) -> None:
    permissions.grant(bob, "view", atlas.soul)
    permissions.grant(bob, "view", Policy.objects.get())

    told = withheld.told(bob, run.stamp)

    assert told["withheld"] == ["model", "secrets"]
    assert (told["soul"]["name"], told["permissions"]["hosts"]) == ("Soul-777", ["host-777.example"])


def test_it_asks_no_more_for_many_runs(
    run: Run, bob: User, django_assert_max_num_queries: Callable[[int], object]
) -> None:
    reader = withheld.Reader(bob)

    with django_assert_max_num_queries(10):  # type: ignore[attr-defined]
        for _ in range(20):
            reader.stamp(run.stamp)


def test_an_operator_in_the_console_reads_what_they_may_see(
    run: Run, atlas: Agent, browser: Callable[..., Client]
) -> None:
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "manage", atlas)

    page = browser(otto).get(f"/admin/runs/run/{run.pk}/change/").content.decode()

    assert run.fingerprint in page
    assert "KEY_777" in page, "who manages the agent sees the names of its secrets"
    assert not [name for name in HIDDEN[:4] if name in page]


def test_a_model_call_keeps_its_figures_and_says_that_something_is_left_out(run: Run, bob: User, alice: User) -> None:
    def call(reader: User) -> dict:
        items = Program(reader).get(f"runs/{run.pk}/events")["items"]
        return next(each["data"] for each in items if each["kind"] == "model.call")

    told = call(bob)

    assert (told["model"], told["route"], told["withheld"]) == ("a model you may not see", "", True)
    assert (told["input_tokens"], told["error_code"]) == (12, "model_not_found")
    permissions.grant(bob, "view", ModelRoute.objects.get(model="model-777"))
    assert (call(bob)["model"], "withheld" in call(bob)) == ("model-777", False)


def test_of_a_deleted_route_only_who_edits_the_agent_reads_the_name(run: Run, alice: User, bob: User) -> None:
    gone = ModelRoute.objects.get(model="model-777").pk
    Agent.objects.update(route=None)
    ModelRoute.objects.filter(pk=gone).delete()

    assert withheld.sight(alice, run).names(gone)
    assert not withheld.sight(bob, run).names(gone)
    assert not withheld.sight(bob, run).names("")
    assert not withheld.BLIND.names(gone)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_command_tells_a_person_no_more_than_the_page(run: Run, options: tuple[str, ...]) -> None:
    told = shell.run("runs", "show", run.pk, "--user", "bob", *options)

    assert run.fingerprint in told.out
    assert not [name for name in HIDDEN if name in told.out]
