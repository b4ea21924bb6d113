"""One row of every guarded model in every relation a person can have to it, for tables over permissions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.db.models import Model
from django.utils import timezone

from agents import permissions
from agents.errors import NotFound
from agents.models import (
    Agent,
    AgentCapability,
    AgentDocument,
    AgentNote,
    AgentSecret,
    ModelRoute,
    Policy,
    Provider,
    Soul,
    User,
    Visibility,
)
from agents.standing import LEVELS
from mcp_gateway.models import McpServer
from runs.models import Approval, Budget, Charge, Conversation, Message, Run, Speaker
from sandboxes.models import EgressDecision, InferenceCall, Sandbox
from tests.conftest import person

GRANTS = [(by, level) for by in ("person", "group") for level in LEVELS]
RELATIONS = ["owner", "shared", *(f"{by}:{level}" for by, level in GRANTS), "none"]
ROOTS: tuple[type[Model], ...] = (Agent, Soul, ModelRoute, Policy, McpServer)
TALKS: tuple[type[Model], ...] = (Conversation, Message, Run, Approval)
LIVES: tuple[type[Model], ...] = (
    Sandbox,
    InferenceCall,
    EgressDecision,
    AgentCapability,
    AgentSecret,
    AgentDocument,
    AgentNote,
    Budget,
    Charge,
)


class World:
    """Rows by relation of ``who`` to them; ``rows[Model][relation]``, for talks ``(relation, "mine" | "theirs")``."""

    def __init__(self, who: User) -> None:
        self.who = who
        self.other = person("somebody-else")
        self.group = Group.objects.create(name="helpers")
        who.groups.add(self.group)
        self.provider = Provider.objects.create(name="A provider", kind="openai-compatible")
        self.rows: dict[type[Model], dict[Any, Model]] = {model: {} for model in (*ROOTS, *TALKS, *LIVES)}
        for relation in RELATIONS:
            self._roots(relation)
            self._lives(relation)
            self._talks(relation, "mine", who)
            self._talks(relation, "theirs", self.other)

    def _roots(self, relation: str) -> None:
        kept: dict[str, Any] = {
            "owner": self.who if relation == "owner" else self.other,
            "visibility": Visibility.SHARED if relation == "shared" else Visibility.PRIVATE,
        }
        soul = Soul.objects.create(name=relation, slug=relation.replace(":", "-"), text="Be kind.", **kept)
        made: dict[type[Model], Model] = {
            Soul: soul,
            Agent: Agent.objects.create(name=relation, soul=soul, **kept),
            ModelRoute: ModelRoute.objects.create(provider=self.provider, model=relation, **kept),
            Policy: Policy.objects.create(name=relation, **kept),
            McpServer: McpServer.objects.create(name=relation, command="true", enabled=False, **kept),
        }
        for model, row in made.items():
            self.rows[model][relation] = row
            by, _, level = relation.partition(":")
            if level:
                permissions.grant(self.who if by == "person" else self.group, level, row)

    def _lives(self, relation: str) -> None:
        agent = self.rows[Agent][relation]
        box = Sandbox.objects.create(agent=agent, number=Sandbox.objects.count() + 1)
        self.rows[Sandbox][relation] = box
        self.rows[InferenceCall][relation] = InferenceCall.objects.create(
            id=f"call_{relation}", sandbox=box, run_id="run_x", route_id="r", model="m", status=200,
            streamed=True, duration_ms=1,
        )  # fmt: skip
        self.rows[EgressDecision][relation] = EgressDecision.objects.create(
            id=f"conn_{relation}", agent=agent, host="a.example", port=443, allowed=True, at=timezone.now()
        )
        self.rows[Budget][relation] = Budget.objects.create(scope="agent", window="day", amount=1, agent=agent)
        self.rows[Charge][relation] = Charge.objects.create(
            id=f"call_{relation}", run_id="r", conversation_id="c", agent=agent, person=self.other, route_id="r", model="m",
            amount=1, is_priced=True, input_tokens=1, output_tokens=1, opened_at=timezone.now(),
        )  # fmt: skip
        for part in (
            AgentCapability(agent=agent, key="plan", agreed_version=1),
            AgentSecret(agent=agent, name="GITHUB_TOKEN", sealed="sealed"),
            AgentDocument(agent=agent, path="AGENTS.md", text="Be quick.", sha256="0" * 64),
            AgentNote(agent=agent, text="Be quick."),
        ):
            part.save()
            self.rows[type(part)][relation] = part

    def _talks(self, relation: str, whose: str, owner: User) -> None:
        agent, key = self.rows[Agent][relation], (relation, whose)
        talk = Conversation.objects.create(agent=agent, owner=owner)
        message = Message.objects.create(conversation=talk, speaker=Speaker.PERSON, text="Hello")
        run = Run.objects.create(conversation=talk, agent=agent, message=message, actor=owner)
        approval = Approval.objects.create(
            agent=agent,
            run=run,
            asked_for=owner,
            subject={"command": "rm"},
            subject_hash="0" * 64,
            expires_at=timezone.now() + timedelta(minutes=5),
        )
        for row in (talk, message, run, approval):
            self.rows[type(row)][key] = row


def answers(user: Any, action: str, row: Model) -> dict[str, bool]:
    """What each of the four functions says to the same question."""
    rows = type(row)._default_manager.all()
    return {
        "visible": permissions.visible(user, rows, action).filter(pk=row.pk).exists(),
        "fetch": _opens(lambda: permissions.fetch(user, action, rows, pk=row.pk)),
        "allows": bool(permissions.allows(user, action, row)),
        "require": _opens(lambda: permissions.require(user, action, row)),
    }


def _opens(door: Callable[[], object]) -> bool:
    try:
        door()
    except NotFound:
        return False
    return True
