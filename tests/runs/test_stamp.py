"""The stamp of a run: five dimensions, one fingerprint, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings

from agents import agent_secrets, capabilities, documents, routes, souls
from agents.errors import Invalid
from agents.models import Agent, ModelRoute, Policy, User
from runs import composing
from runs.stamp import (
    ModelPart,
    PermissionsPart,
    RuntimePart,
    SoulPart,
    Stamp,
    ToolsPart,
    canonical,
    fingerprint,
)
from sandboxes.hermes import runtime
from tests.rules import rules

STAMP = Stamp(
    agent_id="agent_1",
    agent_name="atlas",
    soul=SoulPart("soul_1", "Zoë", 3, "ab" * 32),
    tools=ToolsPart(("file", "terminal")),
    runtime=RuntimePart("hermes", "0.19.0"),
    model=ModelPart("route_1", "House", "openai-compatible", "small", None),
    permissions=PermissionsPart("local", ("pypi.org",), "manual"),
)


def test_the_fingerprint_is_the_sha256_of_canonical_json() -> None:
    assert fingerprint(STAMP.as_json()) == "4518d5b2c334a01cf1bbdec9904d23cdd61a99387905e004e2973fe975b2251e"


@pytest.mark.parametrize(
    "other",
    [
        replace(STAMP, soul=replace(STAMP.soul, id="soul_2")),
        replace(STAMP, soul=replace(STAMP.soul, name="Zoe")),
        replace(STAMP, soul=replace(STAMP.soul, revision=4)),
        replace(STAMP, soul=replace(STAMP.soul, sha256="cd" * 32)),
        replace(STAMP, tools=ToolsPart(("file",))),
        replace(STAMP, tools=replace(STAMP.tools, capabilities=("github@1",))),
        replace(STAMP, soul=replace(STAMP.soul, documents=("AGENTS.md " + "ef" * 32,))),
        replace(STAMP, permissions=replace(STAMP.permissions, secrets=("GITHUB_TOKEN",))),
        replace(STAMP, runtime=replace(STAMP.runtime, version="0.20.0")),
        replace(STAMP, model=replace(STAMP.model, route_id="route_2")),
        replace(STAMP, model=replace(STAMP.model, model="large")),
        replace(STAMP, model=replace(STAMP.model, provider="Home")),
        replace(STAMP, model=replace(STAMP.model, kind="rehearsal")),
        replace(STAMP, model=replace(STAMP.model, context_length=8192)),
        replace(STAMP, permissions=replace(STAMP.permissions, driver="openshell")),
        replace(STAMP, permissions=replace(STAMP.permissions, hosts=())),
        replace(STAMP, permissions=replace(STAMP.permissions, rules=({"name": "a"},))),
        replace(STAMP, permissions=replace(STAMP.permissions, approvals="off")),
    ],
)
def test_every_dimension_changes_it(other: Stamp) -> None:
    assert fingerprint(other.as_json()) != fingerprint(STAMP.as_json())


def test_the_agents_id_and_name_do_not() -> None:
    other = replace(STAMP, agent_id="agent_2", agent_name="bert")

    assert fingerprint(other.as_json()) == fingerprint(STAMP.as_json())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [1.5, None, True]}, '{"a":[1.5,null,true],"b":1}'),
        ({"ä": "é\u2028\n"}, '{"ä":"é\u2028\\n"}'),
        ([], "[]"),
    ],
)
def test_canonical_json_has_one_form(value: Any, text: str) -> None:
    assert canonical(value) == text.encode()


# composed from rows -------------------------------------------------------------------------------


def test_a_stamp_tells_what_an_agent_is_now(atlas: Agent, soul: Any, route: ModelRoute) -> None:
    first = Policy.objects.create(name="a", rules=rules("pypi.org", "b.org by /usr/bin/git"))
    atlas.policies.add(first, Policy.objects.create(name="b", rules=rules("b.org")))

    stamp = composing.compose(atlas)

    assert stamp["version"] == 3
    assert stamp["soul"] == {
        "id": soul.pk, "name": soul.name, "revision": 1, "sha256": soul.revisions.get().sha256, "documents": [],
    }  # fmt: skip
    assert stamp["tools"] == {"toolsets": ["file", "terminal"], "capabilities": []}
    assert stamp["runtime"] == {"name": "hermes", "version": runtime.VERSION}
    assert (stamp["model"]["route_id"], stamp["model"]["kind"]) == (route.pk, "rehearsal")
    reached = stamp["permissions"].pop("rules")
    assert (reached[1]["in"], reached[1]["binaries"]) == (first.pk, ["/usr/bin/git"])
    assert [rule["name"] for rule in reached] == ["pypi.org", "b.org", "b.org"]
    assert stamp["permissions"] == {
        "driver": settings.LOGOS_SANDBOX_DRIVER,
        "hosts": ["b.org", "pypi.org"],
        "approvals": "manual",
        "secrets": [],
    }


def test_a_stamp_tells_of_capabilities_documents_and_what_was_given(atlas: Agent, alice: User) -> None:
    capabilities.switch_on(alice, atlas, "github", 1)
    capabilities.switch_on(alice, atlas, "plan", 1)
    agent_secrets.put(alice, atlas, "GITHUB_TOKEN", "a token of hers")
    agent_secrets.put(alice, atlas, "HF_TOKEN", "another of hers")
    written = documents.put(alice, atlas, "AGENTS.md", "Be quick.")

    stamp = composing.compose(atlas)

    assert stamp["tools"] == {"toolsets": ["file", "terminal", "todo"], "capabilities": ["plan@1", "github@1"]}
    assert stamp["permissions"]["hosts"] == ["api.github.com", "github.com"]
    assert stamp["permissions"]["secrets"] == ["GITHUB_TOKEN"]
    assert stamp["soul"]["documents"] == [f"AGENTS.md {written.sha256}"]
    assert "of hers" not in str(stamp)


def another_soul(agent: Agent) -> None:
    souls.revise(agent.soul, "Be quick.", None)


def fewer_tools(agent: Agent) -> None:
    agent.toolsets = ["terminal"]
    agent.save()


def another_default_model(agent: Agent) -> None:
    routes.make_default(routes.add_route(ModelRoute.objects.get().provider, "rehearsal-2", None))


def another_host(agent: Agent) -> None:
    agent.policies.add(Policy.objects.create(name="a", rules=rules("pypi.org")))


@pytest.mark.parametrize("change", [another_soul, fewer_tools, another_default_model, another_host])
def test_a_change_of_the_agent_is_another_fingerprint(atlas: Agent, change: Callable[[Agent], None]) -> None:
    before = fingerprint(composing.compose(atlas))

    change(atlas)

    assert fingerprint(composing.compose(Agent.objects.get(pk=atlas.pk))) != before


def test_a_new_name_is_not(atlas: Agent, alice: User) -> None:
    before = fingerprint(composing.compose(atlas))
    atlas.name = "bert"
    atlas.save()

    assert fingerprint(composing.compose(atlas)) == before


def test_an_agent_without_a_model_has_no_stamp(atlas: Agent) -> None:
    ModelRoute.objects.all().delete()

    with pytest.raises(Invalid) as refused:
        composing.compose(atlas)

    assert refused.value.reason == "no_route"
