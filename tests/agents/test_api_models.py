"""/api/routes, /api/providers and /api/policies: changed by version, keys never answered, others' rows not there."""

from __future__ import annotations

from typing import Any

import pytest

from agents import permissions, routes, secrets
from agents.models import Agent, ModelRoute, Policy, Provider, Role, User
from tests.api_client import Program
from tests.conftest import person

KEY = "sk-very-secret-indeed"


@pytest.fixture
def lab(route: ModelRoute) -> Provider:
    return Provider.objects.create(name="Lab", kind="openai-compatible", base_url="https://lab.example/v1")


@pytest.fixture
def coder(lab: Provider, ada: User) -> ModelRoute:
    return routes.add_route(lab, "coder-1", ada)


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["reason"]


def test_a_route_is_added_changed_made_default_and_deleted(ada: User, lab: Provider) -> None:
    program = Program(ada)
    made = program.post("routes", {"provider_id": lab.pk, "model": "coder-1", "price_input": "0.25"}, 201)
    assert (made["price_input"], made["price_output"]) == ("0.250000", None)

    changed = program("PATCH", f"routes/{made['id']}", {"version": made["version"], "context_length": 8000}).json()
    assert (changed["context_length"], changed["price_input"]) == (8000, "0.250000")
    assert changed["version"] == made["version"] + 1
    assert program.get(f"routes/{made['id']}") == changed
    assert program.post(f"routes/{made['id']}/default")["is_default"] is True
    assert refused(program("DELETE", f"routes/{made['id']}")) == (409, "conflict")
    program.post(f"routes/{ModelRoute.objects.exclude(pk=made['id']).get().pk}/default")
    assert program("DELETE", f"routes/{made['id']}").status_code == 204


@pytest.mark.parametrize("collection", ["routes", "policies", "providers"])
def test_an_older_version_is_stale_and_none_at_all_is_refused(
    ada: User, coder: ModelRoute, lab: Provider, collection: str
) -> None:
    policy = Policy.objects.create(name="Python", owner=ada)
    row: Any = {"routes": coder, "policies": policy, "providers": lab}[collection]
    fields = {"routes": {"context_length": 9}, "policies": {"name": "New"}, "providers": {"name": "New"}}[collection]
    program = Program(ada)
    assert program("PATCH", f"{collection}/{row.pk}", {"version": row.version, **fields}).status_code == 200

    late = program("PATCH", f"{collection}/{row.pk}", {"version": row.version, **fields})
    without = program("PATCH", f"{collection}/{row.pk}", fields)

    assert refused(late) == (409, "stale")
    assert (without.status_code, without.json()["error"]["field"]) == (422, "version")


def test_null_is_a_value_only_where_unknown_is_one(ada: User, coder: ModelRoute) -> None:
    policy, program = Policy.objects.create(name="Python", owner=ada), Program(ada)

    answer = program("PATCH", f"routes/{coder.pk}", {"version": coder.version, "context_length": None})
    nameless = program("PATCH", f"policies/{policy.pk}", {"version": 1, "name": None})

    assert answer.status_code == 200
    assert (nameless.status_code, nameless.json()["error"]["field"]) == (400, "name")


@pytest.mark.parametrize(
    "figures", [{"price_input": "-1"}, {"price_input": "NaN"}, {"price_input": "Infinity"}, {"price_input": "1e30"},
                {"price_input": "0.0000001"}, {"context_length": 0}, {"context_length": 10**12}, {"owner": 1, "version": 0}],
)  # fmt: skip
def test_a_figure_that_is_none_changes_nothing(ada: User, coder: ModelRoute, figures: dict[str, Any]) -> None:
    answer = Program(ada)("PATCH", f"routes/{coder.pk}", {"version": coder.version, **figures})

    assert answer.status_code in (400, 422)
    assert ModelRoute.objects.get(pk=coder.pk).version == coder.version


def test_what_a_body_may_not_set_stays(ada: User, alice: User, coder: ModelRoute) -> None:
    policy = Policy.objects.create(name="Python", owner=ada)
    mass = {"owner": "alice", "owner_id": alice.pk, "visibility": "shared", "is_default": True, "model": "other"}

    Program(ada)("PATCH", f"policies/{policy.pk}", {"version": 1, "name": "New", **mass})
    Program(ada)("PATCH", f"routes/{coder.pk}", {"version": coder.version, "context_length": 5, **mass})

    policy.refresh_from_db()
    coder.refresh_from_db()
    assert (policy.owner, policy.visibility, policy.name) == (ada, "private", "New")
    assert (coder.owner, coder.is_default, coder.model) == (ada, False, "coder-1")


def test_a_key_goes_in_and_never_comes_out(ada: User, route: ModelRoute) -> None:
    program = Program(ada)
    answer = program("POST", "providers", {"name": "Lab", "base_url": "lab.example/v1", "key": KEY})
    made = answer.json()
    listed = program("GET", "providers")

    assert (answer.status_code, made["has_key"], made["base_url"]) == (201, True, "https://lab.example/v1")
    assert KEY not in answer.content.decode() + listed.content.decode()
    assert "sealed" not in answer.content.decode() + listed.content.decode()
    assert secrets.unseal(Provider.objects.get(pk=made["id"]).sealed_key) == KEY

    forgotten = program("PATCH", f"providers/{made['id']}", {"version": 1, "key": ""}).json()
    assert forgotten["has_key"] is False


def test_a_stored_key_never_goes_to_a_new_address(ada: User, lab: Provider) -> None:
    lab.set_key(KEY)
    lab.save()
    program, elsewhere = Program(ada), {"base_url": "https://evil.example/v1"}

    answer = program("PATCH", f"providers/{lab.pk}", {"version": lab.version, **elsewhere})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "key")
    assert Provider.objects.get(pk=lab.pk).base_url == "https://lab.example/v1"
    moved = program("PATCH", f"providers/{lab.pk}", {"version": lab.version, **elsewhere, "key": "sk-other"}).json()
    assert moved["base_url"] == "https://evil.example/v1"


@pytest.mark.parametrize("address", ["", "ftp://x.example", "https://user:pass@x.example", "http://", "a b", "x" * 400])
def test_an_address_that_is_none_is_refused(ada: User, address: str) -> None:
    assert Program(ada)("POST", "providers", {"name": "Lab", "base_url": address}).status_code in (400, 422)
    assert not Provider.objects.filter(name="Lab").exists()


def test_roles_decide_about_providers(ada: User, alice: User, lab: Provider) -> None:
    olga = person("olga", Role.OPERATOR)

    assert refused(Program(alice)("GET", "providers")) == (403, "forbidden")
    assert refused(Program(alice)("GET", f"providers/{lab.pk}")) == (404, "not_found")
    assert Program(olga).get(f"providers/{lab.pk}")["name"] == "Lab"
    assert refused(Program(olga)("POST", "providers", {"name": "X", "base_url": "https://x.example"})) == (
        403,
        "forbidden",
    )
    assert refused(Program(olga)("PATCH", f"providers/{lab.pk}", {"version": 1, "name": "X"})) == (404, "not_found")
    assert refused(Program(olga)("DELETE", f"providers/{lab.pk}")) == (404, "not_found")


def test_others_rows_are_not_there(alice: User, mallory: User, coder: ModelRoute) -> None:
    ModelRoute.objects.filter(pk=coder.pk).update(visibility="private")
    policy = Policy.objects.create(name="Alices", owner=alice)
    olga = person("olga", Role.OPERATOR)

    for who in (mallory, olga):
        program = Program(who)
        assert program.get("policies")["items"] == []
        assert coder.pk not in {item["id"] for item in program.get("routes")["items"]}
        for method, path, body in (
            ("GET", f"policies/{policy.pk}", None),
            ("GET", f"policies/{policy.pk}/reach?host=a.example", None),
            ("PATCH", f"policies/{policy.pk}", {"version": 1, "name": "Mine"}),
            ("DELETE", f"policies/{policy.pk}", None),
            ("PATCH", f"routes/{coder.pk}", {"version": 1, "context_length": 1}),
            ("POST", f"routes/{coder.pk}/default", None),
            ("DELETE", f"routes/{coder.pk}", None),
        ):
            assert refused(program(method, path, body)) == (404, "not_found"), path


def test_a_policy_is_written_tried_and_kept_while_an_agent_has_it(ada: User, atlas: Agent) -> None:
    program = Program(ada)
    made = program.post("policies", {"name": "Python", "rules": [{"hosts": ["PyPI.org", "*.example.org"]}]}, 201)
    rule = {
        "name": "pypi.org",
        "hosts": ["pypi.org", "*.example.org"],
        "ports": [443],
        "binaries": [],
        "effect": "allow",
    }
    assert (made["rules"], made["visibility"]) == ([rule], "private")

    assert program.get(f"policies/{made['id']}/reach?host=pypi.org")["allowed"] is True
    assert program.get(f"policies/{made['id']}/reach?host=pypi.org&port=80")["allowed"] is False
    atlas.policies.add(made["id"])
    kept = program("DELETE", f"policies/{made['id']}")
    assert refused(kept) == (409, "conflict")
    assert "atlas" in kept.json()["error"]["message"]
    atlas.policies.clear()
    assert program("DELETE", f"policies/{made['id']}").status_code == 204


def test_lists_go_by_pages(ada: User) -> None:
    for number in range(5):
        Policy.objects.create(name=f"policy {number}", owner=ada)
    program = Program(ada)

    first = program.get("policies?limit=3")
    second = program.get(f"policies?limit=3&after={first['next']}")

    assert len(first["items"]) == 3
    assert (len(second["items"]), second["next"]) == (2, None)


def test_edit_by_a_grant_is_not_manage(ada: User, coder: ModelRoute) -> None:
    olga = person("olga", Role.OPERATOR)
    permissions.grant(olga, "edit", coder)

    assert (
        Program(olga)("PATCH", f"routes/{coder.pk}", {"version": coder.version, "context_length": 7}).status_code == 200
    )
    assert refused(Program(olga)("DELETE", f"routes/{coder.pk}")) == (404, "not_found")
