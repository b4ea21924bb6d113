"""/api/policies: list, read, write and try policies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import four_eyes, permissions, policies
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, PersonRef, Text, Version, given, page
from agents.models import Policy, Visibility
from agents.reach import MAX_PER_RULE, MAX_RULES

router = Router(tags=["Policies"])

MAX_PRESETS = 200
PRESETS: Any = Field([], max_length=MAX_PRESETS, description="Presets of the library to include, by id.")

RULE: dict[str, Any] = {
    "name": "packages",
    "hosts": ["pypi.org", "*.pythonhosted.org"],
    "ports": [443],
    "binaries": ["/usr/bin/pip"],
    "effect": "allow",
}

EXAMPLE: dict[str, Any] = {
    "id": "policy_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "name": "Python packages",
    "description": "What pip needs.",
    "rules": [RULE],
    "preset_ids": ["github"],
    "owner": {"username": "ada", "name": "Ada Lovelace"},
    "visibility": "shared",
    "version": 3,
    "updated_at": "2026-11-20T09:12:44.120Z",
}


class RuleOut(Schema):
    """Hosts × ports × binaries that are allowed or denied; a denial wins. No binaries: every program."""

    name: str
    hosts: list[str]
    ports: list[int]
    binaries: list[str]
    effect: Literal["allow", "deny"]

    model_config = {"json_schema_extra": {"example": RULE}}


class RuleIn(Schema):
    """One rule of a policy."""

    name: Text | None = Field(None, max_length=80, description="Unique in the policy; the first host when left out.")
    hosts: list[Text] = Field(
        min_length=1, max_length=MAX_PER_RULE, description="Names, or `*.` and a name; no addresses."
    )
    ports: list[Annotated[int, Field(ge=1, le=65_535, strict=True)]] = Field(
        [443], min_length=1, max_length=MAX_PER_RULE
    )
    binaries: list[Text] = Field(
        [],
        max_length=MAX_PER_RULE,
        description="Paths inside the sandbox, or a directory and `/*`. None: every program.",
    )
    effect: Literal["allow", "deny"] = "allow"

    model_config = {"extra": "forbid", "json_schema_extra": {"example": RULE}}


class PolicyOut(Schema):
    """Rules about what agents with this policy may reach."""

    id: str
    name: str
    description: str
    rules: list[RuleOut]
    preset_ids: list[str] = Field(description="Presets whose rules count as this policy's, as they are now.")
    owner: PersonRef | None
    visibility: Visibility
    version: int
    updated_at: datetime

    model_config = {"json_schema_extra": {"example": EXAMPLE}}

    @staticmethod
    def resolve_preset_ids(policy: Policy) -> list[str]:
        return [preset.pk for preset in policy.presets.all()]


class PolicyPage(Schema):
    """Policies, the newest first."""

    items: list[PolicyOut]
    next: str | None = NEXT

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE], "next": None}}}


class PolicyIn(Schema):
    """A new policy."""

    name: Text = Field(description="1 to 80 characters; no other policy has it.")
    description: Text = Field("", max_length=300)
    rules: list[RuleIn] = Field([], max_length=MAX_RULES)
    preset_ids: list[Text] = PRESETS
    visibility: Visibility = Visibility.PRIVATE

    model_config = {
        "json_schema_extra": {"example": {name: EXAMPLE[name] for name in ("name", "description", "rules")}}
    }


class PolicyPatch(Schema):
    """What is to change; what is left out stays."""

    version: Version
    name: Text | None = None
    description: Text | None = Field(None, max_length=300)
    rules: list[RuleIn] | None = Field(None, max_length=MAX_RULES, description="The whole list.")
    preset_ids: list[Text] | None = Field(None, max_length=MAX_PRESETS, description="The whole list.")

    model_config = {"json_schema_extra": {"example": {"version": 3, "rules": [RULE]}}}


class FourEyes(Schema):
    """Whether what allows more needs a second person."""

    on: bool

    model_config = {"json_schema_extra": {"example": {"on": True}}}


class Attempt(Schema):
    """Where an agent would connect to."""

    host: Text = Field("", max_length=300)
    port: int = Field(443, ge=1, le=65_535)
    binary: Text = Field("", max_length=300, description="Path of the program; empty when it is not known.")


class Answer(Schema):
    """Whether these rules would let it through, which one decides, and why."""

    allowed: bool
    rule: str = Field(description="Where the rule stands and its name, as records name it; empty when none fits.")
    reason: str

    model_config = {
        "json_schema_extra": {
            "example": {"allowed": True, "rule": f"{EXAMPLE['id']}/packages", "reason": "The rule packages allows it."}
        }
    }


def rows() -> Any:
    """Policies with everything an answer shows, in two queries."""
    return Policy.objects.select_related("owner").prefetch_related("presets")


@router.get("", response=PolicyPage, operation_id="list_policies", summary="List policies")
def list_policies(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """The policies you own, were given, or that are shared."""
    return page(permissions.visible(asker(request), rows()), query)


@router.post("", response={201: PolicyOut}, operation_id="create_policy", summary="Write a policy")
def create_policy(request: HttpRequest, body: PolicyIn) -> Policy:
    """A new policy of yours. It does nothing until an agent has it."""
    return policies.create(
        asker(request),
        body.name,
        written(body.rules),
        description=body.description,
        visibility=body.visibility,
        preset_ids=body.preset_ids,
    )


@router.put("/four-eyes", response=FourEyes, operation_id="switch_four_eyes", summary="Ask for a second person")
def switch_four_eyes(request: HttpRequest, body: FourEyes) -> dict[str, bool]:
    """Whether a change that allows more waits until a second person agrees. For admins."""
    four_eyes.switch(asker(request), body.on)
    return {"on": body.on}


@router.get("/{policy_id}", response=PolicyOut, operation_id="get_policy", summary="Read a policy")
def get_policy(request: HttpRequest, policy_id: Text) -> Policy:
    """One policy by its id."""
    return permissions.fetch(asker(request), "policy.view", rows(), pk=policy_id)


@router.patch("/{policy_id}", response=PolicyOut, operation_id="change_policy", summary="Change a policy")
def change_policy(request: HttpRequest, policy_id: Text, body: PolicyPatch) -> Policy:
    """Set what the body holds. 409 `stale` when somebody saved since the `version` you read, `second_person` when it
    allows more and now waits in the inbox for somebody else."""
    return policies.change(asker(request), policy_id, body.version, **_given(body))


@router.delete("/{policy_id}", response={204: None}, operation_id="delete_policy", summary="Delete a policy")
def delete_policy(request: HttpRequest, policy_id: Text) -> None:
    """Delete a policy no agent has; 409 while one has it."""
    policies.remove(asker(request), policy_id)


@router.get("/{policy_id}/reach", response=Answer, operation_id="try_policy", summary="Would it reach?")
def try_policy(request: HttpRequest, policy_id: Text, query: Query[Attempt]) -> dict:
    """Try a host and port on this policy alone; nothing is connected to."""
    policy = permissions.fetch(asker(request), "policy.view", rows(), pk=policy_id)
    verdict = policies.would_reach(policy, query.host, query.port, query.binary)
    return {"allowed": verdict.allowed, "rule": verdict.rule, "reason": verdict.reason}


def _given(body: PolicyPatch) -> dict[str, Any]:
    fields = given(body)
    return fields | ({"rules": written(body.rules)} if body.rules is not None and "rules" in fields else {})


def written(rules: list[RuleIn]) -> list[dict[str, Any]]:
    """The rules of a body as ``agents.policies`` takes them."""
    return [rule.model_dump(exclude_none=True) for rule in rules]
