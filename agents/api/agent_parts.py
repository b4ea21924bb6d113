"""/api/agents/{id}/capabilities, /secrets and /documents: what is on, what is stored under which name, what is installed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.db import transaction
from django.http import HttpRequest
from ninja import Field, Router, Schema

from agents import agent_secrets, capabilities, documents, permissions
from agents.agent_secrets import receivers
from agents.api.asking import asker
from agents.api.shapes import PersonRef, Text
from agents.capabilities import State
from agents.catalogue import Capability, Need, Trust
from agents.models import Agent, AgentDocument, AgentSecret, User

router = Router(tags=["Parts of an agent"])


class NeedOut(Schema):
    """A credential that a capability asks for."""

    name: str
    label: str
    how: str = Field(description="Where people get it.")
    to: Literal["tools", "commands"] = Field(description="The runtime's own tool, or every command of the agent.")
    is_stored: bool


class CapabilityOut(Schema):
    """One entry of the catalogue as it stands for an agent."""

    key: str
    name: str
    sentence: str
    trust: Trust
    data_flow: str
    version: int = Field(description="Send it when turning the capability on: it names the wording agreed to.")
    toolsets: list[str]
    hosts: list[str] = Field(
        description="What its egress proxy lets through while this is on; $NAME is the host of that credential."
    )
    needs: list[NeedOut]
    on: bool
    consented_by: PersonRef | None
    consented_at: datetime | None

    model_config = {
        "json_schema_extra": {
            "example": {
                "key": "github",
                "name": "GitHub",
                "sentence": "Use git and the GitHub API from its commands.",
                "trust": "third-party",
                "data_flow": "Code, issues and whatever it pushes go to GitHub, as the owner of the token.",
                "version": 1,
                "toolsets": ["terminal"],
                "hosts": ["github.com:443", "api.github.com:443"],
                "needs": [
                    {
                        "name": "GITHUB_TOKEN",
                        "label": "Access token of GitHub",
                        "how": "At github.com: Settings, Developer settings.",
                        "to": "commands",
                        "is_stored": True,
                    }
                ],
                "on": True,
                "consented_by": {"username": "alice", "name": "Alice Liddell"},
                "consented_at": "2026-11-20T09:12:44.120Z",
            }
        }
    }


class CapabilityList(Schema):
    """The whole catalogue."""

    items: list[CapabilityOut]


class SwitchIn(Schema):
    """Which wording is agreed to."""

    version: int = Field(ge=1, le=10_000)

    model_config = {"json_schema_extra": {"example": {"version": 1}}}


class SecretOut(Schema):
    """A secret without its value, which is never shown again."""

    name: str
    always_given: bool
    given_to: list[Literal["tools", "commands"]] = Field(description="Where it goes now; empty: nowhere.")
    set_by: PersonRef | None
    set_at: datetime
    delivered_at: datetime | None

    model_config = {
        "json_schema_extra": {
            "example": {
                "name": "GITHUB_TOKEN",
                "always_given": False,
                "given_to": ["commands"],
                "set_by": {"username": "alice", "name": "Alice Liddell"},
                "set_at": "2026-11-20T09:12:44.120Z",
                "delivered_at": "2026-11-20T09:14:02.512Z",
            }
        }
    }


class SecretList(Schema):
    """All of them."""

    items: list[SecretOut]


class SecretIn(Schema):
    """A value for a name; it replaces the one stored."""

    value: str = Field("", description="Empty keeps the stored value, to change only what it is given to.")
    always_given: bool | None = Field(None, description="Put into every command's environment. Absent: as before.")

    model_config = {"json_schema_extra": {"example": {"value": "a token", "always_given": False}}}


class DocumentRef(Schema):
    """A document without its text."""

    path: str
    sha256: str
    is_restored: bool = Field(description="Put back before every run when the agent changed it.")
    version: int
    updated_by: PersonRef | None
    updated_at: datetime

    model_config = {
        "json_schema_extra": {
            "example": {
                "path": "AGENTS.md",
                "sha256": "a" * 64,
                "is_restored": True,
                "version": 3,
                "updated_by": {"username": "alice", "name": "Alice Liddell"},
                "updated_at": "2026-11-20T09:12:44.120Z",
            }
        }
    }


class DocumentOut(DocumentRef):
    """A document."""

    text: str


class DocumentList(Schema):
    """All of them, by path."""

    items: list[DocumentRef]


class DocumentIn(Schema):
    """A text for a path."""

    text: str
    is_restored: bool | None = Field(None, description="Absent: as before; a new one is put back before every run.")
    version: int | None = Field(
        None, description="The version you read, 0 for a new document; 409 if it is another. Absent: whatever is there."
    )

    model_config = {"json_schema_extra": {"example": {"text": "Work in /workspace/src.\n", "version": 3}}}


@router.get("/{agent_id}/capabilities", response=CapabilityList, operation_id="list_capabilities", summary="Catalogue")
def list_capabilities(request: HttpRequest, agent_id: Text) -> dict[str, Any]:
    """What could be on, what each turns on, and what is on."""
    return {
        "items": [_capability(state) for state in capabilities.states(_agent(request, "capability.view", agent_id))]
    }


@router.put(
    "/{agent_id}/capabilities/{key}", response=CapabilityOut, operation_id="switch_on", summary="Turn a capability on"
)
def switch_on(request: HttpRequest, agent_id: Text, key: Text, body: SwitchIn) -> dict[str, Any]:
    """All of it, from the next run on. One that sends data to third parties needs the level manage."""
    with transaction.atomic():
        agent = _agent(request, "capability.view", agent_id)
        capabilities.switch_on(asker(request), agent, key, body.version)
        return next(_capability(state) for state in capabilities.states(agent) if state.capability.key == key)


@router.delete(
    "/{agent_id}/capabilities/{key}", response={204: None}, operation_id="switch_off", summary="Turn a capability off"
)
def switch_off(request: HttpRequest, agent_id: Text, key: Text) -> None:
    """All of it, from the next run on; what is off stays off."""
    capabilities.switch_off(asker(request), _agent(request, "capability.switch", agent_id), key)


@router.get("/{agent_id}/secrets", response=SecretList, operation_id="list_secrets", summary="List an agent's secrets")
def list_secrets(request: HttpRequest, agent_id: Text) -> dict[str, Any]:
    """Names and what each is given to; for whoever edits the agent."""
    agent = _agent(request, "secret.view", agent_id)
    needed = capabilities.needed_by(agent)
    return {"items": [_secret(row, needed) for row in agent.secrets.select_related("set_by").defer("sealed")]}


@router.put("/{agent_id}/secrets/{name}", response=SecretOut, operation_id="set_secret", summary="Set a secret")
def set_secret(request: HttpRequest, agent_id: Text, name: Text, body: SecretIn) -> dict[str, Any]:
    """Store a value, or with an empty one change what the stored one is given to."""
    agent, user = _agent(request, "secret.edit", agent_id), asker(request)
    if body.value or body.always_given is None:
        row = agent_secrets.put(user, agent, name, body.value, always_given=body.always_given)
    else:
        row = agent_secrets.give(user, agent, name, always=body.always_given)
    return _secret(row, capabilities.needed_by(agent))


@router.delete(
    "/{agent_id}/secrets/{name}", response={204: None}, operation_id="remove_secret", summary="Forget a secret"
)
def remove_secret(request: HttpRequest, agent_id: Text, name: Text) -> None:
    """The sandbox loses it before its next run."""
    agent_secrets.remove(asker(request), _agent(request, "secret.edit", agent_id), name)


@router.get("/{agent_id}/documents", response=DocumentList, operation_id="list_documents", summary="List documents")
def list_documents(request: HttpRequest, agent_id: Text) -> dict[str, Any]:
    """What is installed into the agent's workspace, without the texts."""
    agent = _agent(request, "document.view", agent_id)
    return {"items": list(agent.documents.select_related("updated_by").defer("text"))}


@router.get("/{agent_id}/documents/{path:path}", response=DocumentOut, operation_id="get_document", summary="Read one")
def get_document(request: HttpRequest, agent_id: Text, path: Text) -> AgentDocument:
    """One document with its text, by its path."""
    rows = AgentDocument.objects.select_related("updated_by")
    return permissions.fetch(asker(request), "document.view", rows, agent_id=agent_id, path=path)


@router.put("/{agent_id}/documents/{path:path}", response=DocumentOut, operation_id="put_document", summary="Write one")
def put_document(request: HttpRequest, agent_id: Text, path: Text, body: DocumentIn) -> AgentDocument:
    """Write a document, new or in place of the one of this path. The agent has it from the next run on."""
    agent = _agent(request, "document.edit", agent_id)
    return documents.put(asker(request), agent, path, body.text, is_restored=body.is_restored, version=body.version)


@router.delete(
    "/{agent_id}/documents/{path:path}", response={204: None}, operation_id="remove_document", summary="Take one away"
)
def remove_document(request: HttpRequest, agent_id: Text, path: Text) -> None:
    """The agent's copy goes before its next run, unless the agent has changed it."""
    documents.remove(asker(request), _agent(request, "document.edit", agent_id), path)


def _agent(request: HttpRequest, action: str, agent_id: str) -> Agent:
    rows = Agent.objects.alive().select_related("soul")
    agent: Agent = permissions.fetch(asker(request), "agent.view", rows, pk=agent_id)
    permissions.require(asker(request), action, agent)
    return agent


def _capability(state: State) -> dict[str, Any]:
    entry: Capability = state.capability
    return {
        **{name: getattr(entry, name) for name in ("key", "name", "sentence", "trust", "data_flow", "version")},
        "toolsets": list(entry.toolsets),
        "hosts": list(entry.hosts),
        "needs": [_need(need, state) for need in entry.needs],
        "on": state.is_on,
        "consented_by": _person(state.consent.consented_by) if state.consent and state.is_on else None,
        "consented_at": state.consent.consented_at if state.consent and state.is_on else None,
    }


def _need(need: Need, state: State) -> dict[str, Any]:
    return {
        "name": need.name, "label": need.label, "how": need.how, "to": need.to,
        "is_stored": need not in state.lacking,
    }  # fmt: skip


def _secret(row: AgentSecret, needed: Any) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in ("name", "always_given", "set_at", "delivered_at")},
        "set_by": _person(row.set_by),
        "given_to": list(receivers(row, needed)),
    }


def _person(user: User | None) -> User | None:
    return user
