"""/api/policies/{id}/openshell and /api/agents/{id}/openshell: the same rules as OpenShell's policy document."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Router, Schema

from agents import agent_pages, permissions
from agents.api.asking import asker
from agents.api.shapes import Text
from agents.models import Agent, Policy
from sandboxes.openshell.of_rows import of_agent, of_policy
from sandboxes.openshell.policy import Compiled

router = Router(tags=["Policies"])

ENTRY: dict[str, Any] = {
    "name": "policy_01jd9z7c3f5h7k9n1q3s5v7x9z/packages",
    "endpoints": [{"host": "pypi.org", "port": 443, "enforcement": "enforce"}],
    "binaries": [{"path": "/usr/bin/pip"}],
}


class NoteOut(Schema):
    """Something the document does not say. `left out`: the rules let it through, the document does not. `differs`:
    OpenShell decides otherwise whatever is written. `elsewhere`: it has its place outside of a policy."""

    kind: Literal["left out", "differs", "elsewhere"]
    rule: str = Field(description="The rule it is about, by where it stands and its name; empty when about all.")
    sentence: str
    action: str = Field(description="A way forward; may be empty.")


class OpenShellPolicyOut(Schema):
    """A policy for OpenShell, schema version 1. It allows no host, port or program that the rules do not."""

    is_whole: bool = Field(description="False: something the rules let through is left out.")
    document: dict[str, Any]
    yaml: str = Field(description="The same as a file, its notes as comments.")
    notes: list[NoteOut]

    model_config = {
        "json_schema_extra": {
            "example": {
                "is_whole": True,
                "document": {"version": 1, "network_policies": {"packages": ENTRY}},
                "yaml": "# Python packages: OpenShell policy, written by Logos.\n\nversion: 1\n",
                "notes": [],
            }
        }
    }


@router.get(
    "/policies/{policy_id}/openshell",
    response=OpenShellPolicyOut,
    operation_id="get_policy_for_openshell",
    summary="A policy for OpenShell",
)
def get_policy(request: HttpRequest, policy_id: Text) -> dict[str, Any]:
    """What an agent with this policy alone would be given there, and what cannot be said there."""
    policy: Policy = permissions.fetch(asker(request), "policy.view", Policy.objects.all(), pk=policy_id)
    return told(of_policy(policy), policy.name)


@router.get(
    "/agents/{agent_id}/openshell",
    response=OpenShellPolicyOut,
    operation_id="get_agent_for_openshell",
    summary="An agent's reach for OpenShell",
)
def get_agent(request: HttpRequest, agent_id: Text) -> dict[str, Any]:
    """All its rules together. 409 `hidden_policy` when it has a policy you may not see."""
    user = asker(request)
    agent: Agent = permissions.fetch(user, "agent.view", agent_pages.rows(), pk=agent_id)
    return told(of_agent(user, agent), agent.name)


def told(made: Compiled, name: str) -> dict[str, Any]:
    """A compiled document as programs read it."""
    return {
        "is_whole": made.is_whole,
        "document": made.document,
        "yaml": made.as_yaml(f"{name}:"),
        "notes": [
            {"kind": note.kind, "rule": note.rule, "sentence": note.sentence, "action": note.action}
            for note in made.notes
        ],
    }
