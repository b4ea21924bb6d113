"""/api/agents: create, list, read, delete, and what others get to see."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agents import agent_templates, composition, permissions, routes, sharing, souls
from agents.models import Agent, ModelRoute, Provider, Role, Soul, User, Visibility
from tests.api_client import Program


def test_a_name_is_enough_for_an_agent(alice: User, soul: Soul) -> None:
    made = Program(alice).post("agents", {"name": "atlas"}, 201)

    agent = Agent.objects.get(pk=made["id"])
    assert (agent.owner, agent.soul, agent.toolsets, agent.route) == (alice, soul, ["terminal", "file"], None)
    assert made["soul"] == {"id": soul.pk, "name": soul.name, "revision": 1}


def test_somebody_without_souls_gets_the_starter_soul(mallory: User) -> None:
    made = Program(mallory).post("agents", {"name": "helper"}, 201)

    assert Soul.objects.get(pk=made["soul"]["id"]).owner == mallory


def test_a_refused_agent_leaves_no_soul_behind(mallory: User) -> None:
    Program(mallory).post("agents", {"name": " "}, 400)

    assert not Soul.objects.exists()


def test_several_souls_need_a_choice(alice: User, soul: Soul) -> None:
    other = souls.create("Other", "Another soul.", alice)

    assert Program(alice).post("agents", {"name": "atlas"}, 409)["error"]["field"] == "soul_id"
    assert Program(alice).post("agents", {"name": "atlas", "soul_id": other.slug}, 201)["soul"]["id"] == other.pk


@pytest.mark.parametrize(
    ("body", "status", "reason", "field"),
    [
        ({}, 422, "invalid", "name"),
        ({"name": ""}, 400, "invalid", "name"),
        ({"name": "a\u200bb"}, 400, "invalid", "name"),
        ({"name": "a\x00b"}, 422, "invalid", "name"),
        ({"name": "x" * 61}, 400, "invalid", "name"),
        ({"name": "x", "toolsets": ["terminal", "root"]}, 400, "unknown_toolset", "toolsets"),
        ({"name": "x", "description": "d" * 301}, 422, "invalid", "description"),
        ({"name": "x", "soul_id": "soul_nobody"}, 404, "not_found", ""),
        ({"name": "x", "route_id": "route_nobody"}, 404, "not_found", ""),
        ({"name": "ATLAS"}, 409, "name_taken", ""),
        ({"name": "x", "visibility": "public"}, 422, "invalid", "visibility"),
    ],
)
def test_what_cannot_be_an_agent_is_refused(
    alice: User, atlas: Agent, body: dict, status: int, reason: str, field: str
) -> None:
    error = Program(alice).post("agents", body, status)["error"]

    assert (error["reason"], error["field"]) == (reason, field)
    assert error["message"].endswith(".")
    assert Agent.objects.count() == 1


def test_somebody_elses_soul_or_private_route_is_not_there(mallory: User, atlas: Agent, soul: Soul) -> None:
    provider = Provider.objects.create(name="secret lab", kind="openai-compatible", base_url="https://lab.example/v1")
    hidden = routes.add_route(provider, "m", None)
    type(hidden).objects.filter(pk=hidden.pk).update(visibility=Visibility.PRIVATE)
    program = Program(mallory)

    assert program.post("agents", {"name": "x", "soul_id": soul.pk}, 404)["error"]["message"] == "Soul was not found."
    assert program.post("agents", {"name": "x", "route_id": hidden.pk}, 404)["error"]["reason"] == "not_found"
    assert program.get("routes")["items"][0]["model"] == "rehearsal-1"
    program.get(f"routes/{hidden.pk}", 404)


def test_a_viewer_may_not_create_agents(viewer: User) -> None:
    assert Program(viewer).post("agents", {"name": "x"}, 403)["error"]["reason"] == "forbidden"


@pytest.mark.parametrize(("name", "seen"), [("ada", 1), ("alice", 1), ("bob", 1), ("mallory", 0), ("viewer", 0)])
def test_who_sees_atlas(request: pytest.FixtureRequest, atlas: Agent, name: str, seen: int) -> None:
    program = Program(request.getfixturevalue(name))

    assert len(program.get("agents")["items"]) == seen
    program.get(f"agents/{atlas.pk}", 200 if seen else 404)


def test_only_those_who_manage_an_agent_delete_it(alice: User, bob: User, mallory: User, atlas: Agent) -> None:
    assert Program(mallory)("DELETE", f"agents/{atlas.pk}").status_code == 404
    assert Program(bob)("DELETE", f"agents/{atlas.pk}").status_code == 404

    assert Program(alice)("DELETE", f"agents/{atlas.pk}").status_code == 204

    atlas.refresh_from_db()
    assert atlas.is_deleted
    assert Program(alice).get("agents")["items"] == []
    Program(alice).get(f"agents/{atlas.pk}", 404)
    assert Program(alice)("DELETE", f"agents/{atlas.pk}").status_code == 404


def test_pages_hold_every_agent_once_newest_first(alice: User, soul: Soul) -> None:
    made = [composition.create(alice, f"agent {n}", soul).pk for n in range(5)]
    program, seen, after = Program(alice), [], ""
    while after is not None:
        answer = program.get(f"agents?limit=2&after={after}")
        seen += [item["id"] for item in answer["items"]]
        after = answer["next"]

    assert seen == made[::-1]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "after=%00"])
def test_a_page_that_cannot_be_is_refused(alice: User, query: str) -> None:
    assert Program(alice).get(f"agents?{query}", 422)["error"]["field"] in {"limit", "after"}


@pytest.mark.parametrize("role", [Role.ADMIN, Role.USER])
@pytest.mark.parametrize("path", ["agents", "souls", "routes"])
def test_a_list_costs_few_queries_however_long(
    alice: User, soul: Soul, role: str, path: str, django_assert_num_queries: Callable
) -> None:
    reader = User.objects.create_user("reader", role=role)
    provider = routes.rehearsal_route().provider
    for n in range(6):
        permissions.grant(reader, "view", composition.create(alice, f"agent {n}", soul))
        permissions.grant(reader, "view", souls.create(f"soul {n}", "text", alice))
        routes.add_route(provider, f"model {n}", None)
    program = Program(reader)
    program.get(path)

    # Of agents it is also asked which souls and models of theirs may be named.
    with django_assert_num_queries(3 if path == "agents" else 2):
        assert len(program.get(path)["items"]) >= 6


# --- changing, archiving, finding -----------------------------------------------------------------
def test_a_change_takes_what_is_named_and_leaves_the_rest(alice: User, atlas: Agent, route: ModelRoute) -> None:
    other = souls.create("Other", "Another.", alice)
    before = Program(alice).get(f"agents/{atlas.pk}")

    changed = _patch(alice, atlas, {"version": before["version"], "name": "Atlas II", "soul_id": other.slug})

    assert (changed["name"], changed["soul"]["id"]) == ("Atlas II", other.pk)
    assert changed["version"] == before["version"] + 1
    assert {key: changed[key] for key in ("toolsets", "description", "visibility", "route")} == {
        key: before[key] for key in ("toolsets", "description", "visibility", "route")
    }


def test_a_change_by_an_old_version_or_none_is_refused(alice: User, atlas: Agent) -> None:
    _patch(alice, atlas, {"description": "First"})
    blind = Program(alice)("PATCH", f"agents/{atlas.pk}", {"description": "Second"})

    refused = _patch(alice, atlas, {"version": 1, "description": "Second"}, 409)

    assert refused["error"]["reason"] == "stale"
    assert blind.status_code == 422
    assert b"version" in blind.content
    assert Agent.objects.get().description == "First"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"owner": "mallory"}, 200),
        ({"deleted_at": "2026-01-01T00:00:00Z", "archived_at": "2026-01-01T00:00:00Z"}, 200),
        ({"name": ""}, 400),
        ({"name": "x" * 61}, 400),
        ({"toolsets": ["root"]}, 400),
        ({"sprite_shape": "dragon"}, 400),
        ({"soul_id": "nothing"}, 404),
        ({"route_id": "nothing"}, 404),
        ({"policy_ids": ["nothing"]}, 404),
        ({"version": "x"}, 422),
        ({"name": "\x00"}, 422),
        ({"visibility": "public"}, 422),
    ],
)
def test_what_cannot_be_set_is_not_set(alice: User, atlas: Agent, body: dict, status: int) -> None:
    _patch(alice, atlas, body, status)

    atlas.refresh_from_db()
    assert (atlas.name, atlas.owner, atlas.deleted_at, atlas.archived_at) == ("atlas", alice, None, None)


def test_who_may_edit_may_not_share(alice: User, bob: User, atlas: Agent) -> None:
    permissions.grant(bob, "edit", atlas)

    assert _patch(bob, atlas, {"description": "By Bob"})["description"] == "By Bob"
    _patch(bob, atlas, {"visibility": "shared"}, 404)
    assert _patch(alice, atlas, {"visibility": "shared"})["visibility"] == "shared"


def test_archived_agents_are_listed_apart(alice: User, atlas: Agent) -> None:
    program = Program(alice)

    archived = program.post(f"agents/{atlas.pk}/archive")

    assert archived["archived_at"] is not None
    assert program.get("agents")["items"] == []
    assert [each["id"] for each in program.get("agents?archived=true")["items"]] == [atlas.pk]
    assert program.post(f"agents/{atlas.pk}/unarchive")["archived_at"] is None
    assert len(program.get("agents")["items"]) == 1


@pytest.mark.parametrize(
    ("query", "count"), [("owner=alice", 1), ("owner=mallory", 0), ("text=atl", 1), ("text=atl builds", 0)]
)
def test_a_list_is_narrowed(bob: User, atlas: Agent, query: str, count: int) -> None:
    assert len(Program(bob).get(f"agents?{query}")["items"]) == count


def test_a_template_is_enough(mallory: User, route: ModelRoute) -> None:
    program = Program(mallory)
    slug = program.get("agents/templates")[1]["slug"]

    made = program.post("agents", {"name": "fern", "template": slug}, 201)

    template = agent_templates.get(slug)
    assert (made["soul"]["name"], made["sprite"]["shape"]) == (template.starter.sheet.name, template.shape)
    assert program.post("agents", {"name": "x", "template": "nothing"}, 404)["error"]["reason"] == "not_found"


def test_a_soul_one_may_not_see_is_not_named(alice: User, mallory: User, atlas: Agent) -> None:
    sharing.transfer(alice, atlas, mallory, keep=False)

    assert Program(mallory).get(f"agents/{atlas.pk}")["soul"] is None
    assert Program(mallory).get("agents")["items"][0]["soul"] is None
    assert _patch(mallory, atlas, {"name": "mine"})["soul"] is None
    atlas.refresh_from_db()
    assert atlas.soul.owner == alice


def test_the_picture_is_an_svg_for_those_who_may_see_it(bob: User, mallory: User, atlas: Agent) -> None:
    answer = Program(bob)("GET", f"agents/{atlas.pk}/sprite.svg")

    assert answer["Content-Type"] == "image/svg+xml"
    assert b"<script" not in answer.content
    assert Program(mallory)("GET", f"agents/{atlas.pk}/sprite.svg").status_code == 404


def _patch(user: User, agent: Agent, body: dict, status: int = 200) -> dict:
    """Written from what is stored, unless the body says otherwise."""
    body = {"version": Agent.objects.values_list("version", flat=True).get(pk=agent.pk), **body}
    answer = Program(user)("PATCH", f"agents/{agent.pk}", body)
    assert answer.status_code == status, answer.content
    return answer.json()
