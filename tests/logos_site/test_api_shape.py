"""The API as a whole: one shape of refusal, nothing internal in a 500, a schema that says what is there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from ninja import Schema

from agents.models import User
from logos_site.api import api
from logos_site.reference import OURS
from tests.api_client import Program


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in api.get_openapi_schema()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


@pytest.mark.parametrize("path", ["", "nope", "agents/", "runs/a/b/c", "..%2fadmin", "agents/x/documents/a%0Ab"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_address_nobody_has_is_refused_in_the_same_shape(alice: User, path: str, method: str) -> None:
    answer = Program(alice)(method, path)

    assert answer.status_code == 404
    assert set(answer.json()["error"]) == {"reason", "message", "action", "field"}


@pytest.mark.parametrize(("method", "path"), [("PATCH", "me"), ("PUT", "runs"), ("DELETE", "souls/x/export")])
def test_a_method_an_address_does_not_take_is_refused_in_the_same_shape(alice: User, method: str, path: str) -> None:
    answer = Program(alice)(method, path)

    assert (answer.status_code, answer.json()["error"]["reason"]) == (405, "method_not_allowed")
    assert "GET" in answer.headers["Allow"]


def test_what_was_not_foreseen_is_logged_and_tells_nothing_inside(
    alice: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = Program(alice)

    def explode(user: User) -> None:
        raise RuntimeError("the database password is hunter2")

    monkeypatch.setattr("agents.api.me.described", explode)

    answer = program("GET", "me")

    assert answer.status_code == 500
    assert answer.json()["error"]["reason"] == "unknown"
    assert "hunter2" not in answer.content.decode()
    assert "hunter2" in caplog.text


def test_no_two_shapes_have_one_name() -> None:
    """In the description of the API the second would silently stand for both."""
    waiting, found = [Schema], list[type[Schema]]()
    while waiting:
        waiting += (below := waiting.pop().__subclasses__())
        found += below
    ours = {shape for shape in found if shape.__module__.split(".")[0] in OURS and "<locals>" not in shape.__qualname__}

    names = Counter(shape.__name__ for shape in ours)
    assert [name for name, count in names.items() if count > 1] == []
    assert len(names) > 50


def test_every_operation_is_described_with_an_example_and_the_shape_of_refusals() -> None:
    schemas = api.get_openapi_schema()["components"]["schemas"]
    missing = []
    for method, path, operation in operations():
        if not (operation.get("tags") and operation.get("summary") and operation.get("description")):
            missing.append(f"{method} {path} is not described")
        if "default" not in operation["responses"]:
            missing.append(f"{method} {path} does not say how it refuses")
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        name = body.get("$ref", "").rpartition("/")[2]
        if name and "example" not in schemas[name]:
            missing.append(f"{method} {path}: {name} has no example")

    assert not missing
    assert "example" in schemas["Refused"]


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]

    assert len(ids) == len(set(ids))


def test_every_operation_needs_a_person(client: Client, db: None) -> None:
    reached = []
    for method, path, _ in operations():
        address = re.sub(r"\{(\w+)\}", "1", path)
        answer = client.generic(method, address, b"{}", "application/json")
        if answer.status_code != 401:
            reached.append(f"{method} {path}: {answer.status_code}")

    assert not reached


def test_a_program_reads_the_schema_with_its_token(alice: User, client: Client) -> None:
    answer = Program(alice)("GET", "openapi.json")

    assert answer.json()["openapi"].startswith("3.")
    assert client.get("/api/openapi.json", headers={"Authorization": "Bearer logos_none"}).status_code == 401
    assert client.get("/api/openapi.json").status_code == 302


def test_the_schema_is_served_and_every_reference_in_it_resolves(client: Client, alice: User) -> None:
    client.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    schema = client.get("/api/openapi.json").json()

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(ref := value.get("$ref"), str):
                yield ref.removeprefix("#/components/schemas/")
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    assert set(references(schema)) <= set(schema["components"]["schemas"])
    assert {"BearerToken", "BrowserSession"} == set(schema["components"]["securitySchemes"])


def test_the_documentation_page_holds_nothing_the_content_policy_refuses(client: Client, alice: User) -> None:
    client.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get("/api/docs")
    html = page.content.decode()

    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert "://" not in html.replace("http://www.w3.org", "")
    assert 'type="application/json"' in html
    assert html.count("<script") == html.count("<script src=") + 1
    assert "style=" not in html
    assert "<style" not in html


def test_the_page_about_the_api_lists_every_address_and_no_other() -> None:
    page = (settings.BASE_DIR / "docs" / "api.md").read_text()
    table = page[page.index("## Addresses") :]

    listed = set(re.findall(r"^\| ([A-Z]+) \| `(/api/[^`]+)` \| (.+) \|$", table, re.MULTILINE))

    assert listed == {(method, path, operation["summary"]) for method, path, operation in operations()}
