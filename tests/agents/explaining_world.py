"""A world of random ownership, sharing and grants, and a way to carry out what an explanation proposes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from agents import permissions
from agents.explaining import Step, root_of
from agents.models import (
    Agent,
    AgentCapability,
    AgentDocument,
    AgentNote,
    AgentSecret,
    GateRule,
    ModelRoute,
    Policy,
    Preset,
    PriceList,
    Provider,
    SiteSettings,
    Soul,
    User,
    Visibility,
)
from agents.standing import LEVELS
from mcp_gateway.models import (
    McpAccess,
    McpCall,
    McpConnection,
    McpHealth,
    McpPin,
    McpSampling,
    McpSecret,
    McpServer,
    McpToken,
)
from runs.models import (
    Approval,
    ApprovalRule,
    Budget,
    BudgetWarning,
    Charge,
    Conversation,
    Message,
    Panel,
    ReviewedAgent,
    ReviewerOpinion,
    ReviewerReversal,
    Run,
)
from runs.models.conversations import Speaker
from sandboxes.models import EgressDecision, HealthSample, InferenceCall, Sandbox, ToolCall, ToolRule
from tests.conftest import person


class RandomWorld:
    """``size`` agents, souls, routes and policies, and a chat in every agent; ``who`` stands to each differently."""

    def __init__(self, role: str, seed: int, size: int = 6) -> None:
        self.chance = random.Random(seed)
        self.who, self.other = person("who", role), person("somebody-else")
        person("an-admin-who-stays", "admin")
        self.inside, self.outside = (Group.objects.create(name=name) for name in ("helpers", "strangers"))
        self.second = Group.objects.create(name="makers")
        self.who.groups.add(self.inside, self.second)
        self.provider = Provider.objects.create(name="A provider", kind="openai-compatible")
        prices = PriceList.objects.create(source="prices.json", sha256="0" * 64, count=0, prices={})
        self.rows: list[Model] = [self.provider, Preset.objects.create(id="a-preset", name="A preset"), prices]
        for number in range(size):
            self._fill(f"row-{number}", number)

    def _fill(self, name: str, number: int) -> None:
        soul = Soul.objects.create(name=name, slug=name, text="Be kind.", **self._kept())
        agent = Agent.objects.create(name=name, soul=soul, **self._kept())
        route = ModelRoute.objects.create(provider=self.provider, model=name, **self._kept())
        policy = Policy.objects.create(name=name, **self._kept())
        server = McpServer.objects.create(name=name, command="true", **self._kept())
        secret = McpSecret.objects.create(server=server, name="A_TOKEN", sealed="x")
        self.rows += [server, secret, McpHealth.objects.create(server=server)]
        given = McpAccess.objects.create(agent=agent, server=server)
        token = McpToken.objects.create(agent=agent, name=name, digest=name)
        done = McpCall.objects.create(
            agent=agent, server_name=name, method="m", outcome="ok", via="t", at=timezone.now()
        )
        self.rows += [given, token, done, McpPin.objects.create(server=server, tool=name, state="accepted")]
        self.rows.append(
            McpSampling.objects.create(server=server, server_name=name, agent=agent, outcome="ok", at=timezone.now())
        )
        self.rows.append(
            McpConnection.objects.create(
                id=f"conn_of_{name}", server=server, server_name=name, port=443, allowed=True, at=timezone.now()
            )
        )
        for root in (soul, agent, route, policy, server):
            self._grants(root)
        box = Sandbox.objects.create(agent=agent, number=number + 1)
        sample = HealthSample.objects.create(sandbox=box, at=timezone.now(), start=1, cpu_s=1, memory_mb=1, processes=1)
        call = InferenceCall.objects.create(
            id=f"call_{name}", sandbox=box, run_id="run_x", route_id="r", model="m", status=200, streamed=True,
            duration_ms=1,
        )  # fmt: skip
        reached = EgressDecision.objects.create(
            id=f"conn_{name}", agent=agent, host="a.example", port=443, allowed=True, at=timezone.now()
        )
        owner = self.chance.choice([self.who, self.other])
        talk = Conversation.objects.create(agent=agent, owner=owner)
        message = Message.objects.create(conversation=talk, speaker=Speaker.PERSON, text="Hello")
        run = Run.objects.create(conversation=talk, agent=agent, message=message, actor=owner)
        until = timezone.now() + timedelta(minutes=5)
        approval = Approval.objects.create(
            agent=agent, run=run, asked_for=owner, subject={"command": "rm"}, subject_hash="0" * 64, expires_at=until
        )
        rule = ApprovalRule.objects.create(
            kind="command",
            tier="user",
            agent=agent,
            scope="agent",
            key="k",
            words="rm",
            expires_at=until,
            made_by=owner,
        )
        self.rows += [
            AgentCapability.objects.create(agent=agent, key="shell", agreed_version=1),
            AgentSecret.objects.create(agent=agent, name="A_TOKEN", sealed="x"),
            AgentDocument.objects.create(agent=agent, path="NOTES.md"),
            AgentNote.objects.create(agent=agent, text="Be quick."),
            ToolRule.objects.create(layer="agent", agent=agent, tool="git.*", tier="ask"),
            ToolCall.objects.create(
                agent=agent,
                door="api",
                tool="git.log",
                digest="0" * 64,
                key="0" * 64,
                tier="allow",
                state="done",
                at=timezone.now(),
            ),
        ]
        now = timezone.now()
        budget = Budget.objects.create(scope="agent", agent=agent, person=owner, window="day", amount=1)
        charge = Charge.objects.create(
            id=f"charge_{name}", run_id="run_x", conversation_id="c", agent=agent, person=owner, route_id="r", model="m",
            amount=1, is_priced=True, input_tokens=1, output_tokens=1, opened_at=now,
        )  # fmt: skip
        warning = BudgetWarning.objects.create(budget=budget, bucket="b", threshold=50, used=1, at=now)
        self.rows += [budget, charge, warning, Panel.objects.create(policy=policy, needed=2)]
        self.rows += [
            GateRule.objects.create(
                policy=policy, name=name, severity="high", sentence="Ends something.", when={"program": ["reboot"]}
            ),
            ReviewedAgent.objects.create(agent=agent),
            ReviewerOpinion.objects.create(approval=approval),
            ReviewerReversal.objects.create(agent=agent, kind="command", key="k", words="rm", made_by=owner),
        ]
        self.rows += [soul, agent, route, policy, box, sample, call, reached, talk, message, run, approval, rule]

    def _kept(self) -> dict[str, Any]:
        return {
            "owner": self.chance.choices([self.who, self.other, None], [2, 6, 1])[0],
            "visibility": self.chance.choices([Visibility.PRIVATE, Visibility.SHARED], [4, 1])[0],
        }

    def _grants(self, root: Model) -> None:
        subjects = [self.who, self.other, self.inside, self.second, self.outside]
        for subject in self.chance.sample(subjects, self.chance.choice([0, 0, 1, 1, 2, 3])):
            permissions.grant(subject, self.chance.choice(LEVELS), root)


def may(user: User, action: str, row: Model) -> bool:
    """What the queryset says, for the person as the database has them."""
    fresh = User.objects.get(pk=user.pk)
    return permissions.visible(fresh, type(row)._default_manager.all(), action).filter(pk=row.pk).exists()


@contextmanager
def carried_out(steps: tuple[Step, ...], user: User, row: Model) -> Iterator[None]:
    """The database as it is after these steps, and as it was again."""
    root = root_of(row)
    with transaction.atomic():
        for step in steps:
            _carry_out(step, User.objects.get(pk=user.pk), root)
        yield
        transaction.set_rollback(True)


def _carry_out(step: Step, user: User, root: Any) -> None:
    if step.kind in ("activate", "suspend"):
        user.is_active = step.kind == "activate"
        user.save()
    elif step.kind == "role":
        user.role = step.role
        user.save()
    elif step.kind == "open_chats":
        SiteSettings.objects.update(private_chats=False)
    elif step.kind == "grant":
        permissions.grant(user, step.level, root)
    elif step.kind in ("revoke", "revoke_group"):
        subject = Group.objects.get(name=step.group) if step.group else user
        for level in LEVELS:
            permissions.revoke(subject, level, root)
    else:
        change = {
            "share": {"visibility": Visibility.SHARED},
            "unshare": {"visibility": Visibility.PRIVATE},
            "transfer": {"owner": User.objects.get(username="somebody-else")},
        }[step.kind]
        type(root)._default_manager.filter(pk=root.pk).update(**change)


def smaller_ways(most: int, user: User, row: Model) -> Iterator[tuple[Step, ...]]:
    """Every set of at most one promotion and one grant or sharing that gives away less than ``most``, weighed here
    by a scale of its own: levels 1 to 4, sharing 5, promotions 10, 20 and 1000."""
    roles = [(0, ()), *((w, (Step("role", user.username, role=r),)) for r, w in _promotions(user.role))]
    levels: list[tuple[int, tuple[Step, ...]]] = [(0, ())]
    if root_of(row) is not None:
        levels += [(n + 1, (Step("grant", user.username, level=level),)) for n, level in enumerate(LEVELS)]
        levels += [(5, (Step("share"),))]
    for first, by_role in roles:
        for second, by_level in levels:
            if first + second < most:
                yield by_role + by_level


def _promotions(role: str) -> list[tuple[str, int]]:
    ladder = [("viewer", 0), ("user", 10), ("operator", 20), ("admin", 1000)]
    return ladder[[name for name, _ in ladder].index(role) + 1 :]
