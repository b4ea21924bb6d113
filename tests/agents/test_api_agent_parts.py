"""The API of an agent's parts: the same switches, write-only secrets, documents by their paths."""

from __future__ import annotations

import pytest

from agents import agent_secrets, capabilities, documents
from agents.models import Agent, AgentDocument, AgentSecret, User
from tests.api_client import Program

pytestmark = pytest.mark.django_db

VALUE = "s3cret-of-alice-4711"


def test_a_capability_is_read_turned_on_and_off(atlas: Agent, alice: User) -> None:
    api, at = Program(alice), f"agents/{atlas.pk}/capabilities"
    entry = next(each for each in api.get(at)["items"] if each["key"] == "github")
    assert (entry["on"], entry["trust"], entry["needs"][0]["is_stored"]) == (False, "third-party", False)

    on = api("PUT", f"{at}/github", {"version": entry["version"]}).json()
    assert (on["on"], on["consented_by"]["username"]) == (True, "alice")
    assert api("PUT", f"{at}/github", {"version": 9}).json()["error"]["reason"] == "wording_changed"
    assert api("PUT", f"{at}/nothing", {"version": 1}).status_code == 404

    assert api("DELETE", f"{at}/github").status_code == 204
    assert atlas.agreed_capabilities() == []


def test_a_secret_goes_in_and_never_comes_out(atlas: Agent, alice: User) -> None:
    api, at = Program(alice), f"agents/{atlas.pk}/secrets"
    capabilities.switch_on(alice, atlas, "github", 1)
    made = api("PUT", f"{at}/GITHUB_TOKEN", {"value": VALUE})
    listed = api("GET", at)

    assert made.status_code == 200
    assert made.json()["given_to"] == ["commands"]
    assert [each["name"] for each in listed.json()["items"]] == ["GITHUB_TOKEN"]
    for answer in (made, listed, api("GET", f"agents/{atlas.pk}"), api("GET", f"agents/{atlas.pk}/capabilities")):
        assert VALUE not in answer.content.decode()
        assert AgentSecret.objects.get().sealed not in answer.content.decode()

    assert api("PUT", f"{at}/GITHUB_TOKEN", {"always_given": True}).json()["always_given"] is True
    assert agent_secrets.granted(atlas)[0].value == VALUE
    assert api("DELETE", f"{at}/GITHUB_TOKEN").status_code == 204
    assert api("DELETE", f"{at}/GITHUB_TOKEN").status_code == 404


@pytest.mark.parametrize(
    ("name", "value"), [("PATH", VALUE), ("A_KEY", "shorty"), ("A_KEY", "a\x00bcdefghij"), ("A_KEY", "")]
)
def test_what_is_refused_is_not_repeated(atlas: Agent, alice: User, name: str, value: str) -> None:
    answer = Program(alice)("PUT", f"agents/{atlas.pk}/secrets/{name}", {"value": value})

    assert answer.status_code == 422 or answer.status_code == 400
    assert not value or value not in answer.content.decode()
    assert not AgentSecret.objects.exists()


def test_a_document_is_written_read_and_taken_away_by_its_path(atlas: Agent, alice: User) -> None:
    api, at = Program(alice), f"agents/{atlas.pk}/documents"
    made = api("PUT", f"{at}/notes/style.md", {"text": "Short.", "version": 0}).json()
    assert (made["path"], made["version"], made["is_restored"]) == ("notes/style.md", 1, True)

    assert api.get(f"{at}/notes/style.md")["text"] == "Short."
    assert "text" not in api.get(at)["items"][0]
    stale = api("PUT", f"{at}/notes/style.md", {"text": "Long.", "version": 7})
    assert (stale.status_code, stale.json()["error"]["reason"]) == (409, "stale")
    taken = api("PUT", f"{at}/notes/style.md", {"text": "Long.", "version": 0})
    assert (taken.status_code, taken.json()["error"]["reason"]) == (409, "path_taken")
    assert api("PUT", f"{at}/../x", {"text": "x"}).status_code in (400, 404, 422)
    assert api("DELETE", f"{at}/notes/style.md").status_code == 204
    assert not AgentDocument.objects.exists()


def test_who_may_chat_reads_documents_and_no_secret_name(atlas: Agent, alice: User, bob: User, mallory: User) -> None:
    agent_secrets.put(alice, atlas, "GITHUB_TOKEN", VALUE)
    documents.put(alice, atlas, "AGENTS.md", "Be quick.")
    friend, stranger, at = Program(bob), Program(mallory), f"agents/{atlas.pk}"

    assert friend.get(f"{at}/documents/AGENTS.md")["text"] == "Be quick."
    assert friend("GET", f"{at}/secrets").status_code == 404
    for api in (friend, stranger):
        assert api("PUT", f"{at}/documents/AGENTS.md", {"text": "Mine"}).status_code == 404
        assert api("PUT", f"{at}/secrets/A_KEY", {"value": VALUE}).status_code == 404
        assert api("PUT", f"{at}/capabilities/plan", {"version": 1}).status_code == 404
    for part in ("capabilities", "secrets", "documents", "documents/AGENTS.md"):
        assert stranger("GET", f"{at}/{part}").status_code == 404
