"""Turn capabilities of an agent on and off, and say what is on: toolsets, hosts and credentials in one consent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import IntegrityError, transaction

from agents import audit, permissions
from agents.catalogue import CATALOGUE, Capability, Need
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, AgentCapability, User


@dataclass(frozen=True, slots=True)
class State:
    """One entry of the catalogue as it stands for one agent. ``lacking`` are the credentials nobody has entered."""

    capability: Capability
    consent: AgentCapability | None
    lacking: tuple[Need, ...]
    forbidden: tuple[str, ...] = ()  # toolsets of it that the soul takes away

    @property
    def is_on(self) -> bool:
        return self.consent is not None and self.consent.agreed_version == self.capability.version

    @property
    def asks_again(self) -> bool:
        """It was agreed to, and has come to ask for more since."""
        return self.consent is not None and not self.is_on

    @property
    def waits(self) -> bool:
        """It is on and cannot work yet."""
        return self.is_on and bool(self.lacking)


def states(agent: Agent) -> list[State]:
    """The whole catalogue as it stands for ``agent``, in two queries."""
    consents = {row.key: row for row in agent.capabilities.select_related("consented_by")}
    stored = set(agent.secrets.values_list("name", flat=True))
    return [
        State(
            entry,
            consents.get(key),
            tuple(need for need in entry.needs if need.name not in stored),
            tuple(name for name in entry.toolsets if name in agent.soul.forbidden_toolsets),
        )
        for key, entry in CATALOGUE.items()
    ]


def needed_by(agent: Agent) -> dict[str, Need]:
    """The credentials that capabilities which are on ask for, by name."""
    return needs_of(agent.agreed_capabilities())


def needs_of(entries: Iterable[Capability]) -> dict[str, Need]:
    """The credentials that these ask for, by name."""
    return {need.name: need for entry in entries for need in entry.needs}


def missing(agent: Agent) -> list[tuple[Capability, Need]]:
    """What has to be entered before everything that is on can work. No query where nothing could be lacking, when
    ``capabilities`` is prefetched."""
    wanted = [(entry, need) for entry in agent.agreed_capabilities() for need in entry.needs]
    stored = set(agent.secrets.values_list("name", flat=True)) if wanted else set()
    return [(entry, need) for entry, need in wanted if need.name not in stored]


def find(key: str) -> Capability:
    """The entry of this key. Raises NotFound."""
    if key not in CATALOGUE:
        raise NotFound("Capability")
    return CATALOGUE[key]


def switch_on(user: User, agent: Agent, key: str, version: int) -> AgentCapability:
    """Turn on all of a capability: ``version`` is the wording the person was shown. Repeating it changes nothing.

    Whoever may edit the agent turns on local ones; one that sends data to others needs the level manage. Raises
    Conflict(reason="wording_changed") for an old wording, Invalid for an agent that is gone."""
    entry = find(key)
    permissions.require(user, "capability.trust" if entry.is_third_party else "capability.switch", agent)
    _check_alive(agent)
    if version != entry.version:
        raise Conflict(
            f"What “{entry.name}” turns on has changed since you looked.",
            reason="wording_changed",
            action="Read it again, then decide.",
        )
    try:
        with transaction.atomic():
            return _consent(user, agent, entry)
    except IntegrityError:  # two clicks at once: the other one's consent is the answer to both
        return AgentCapability.objects.get(agent=agent, key=key)


def _consent(user: User, agent: Agent, entry: Capability) -> AgentCapability:
    row = AgentCapability.objects.select_for_update().filter(agent=agent, key=entry.key).first()
    if row is not None and row.agreed_version == entry.version:
        return row
    if row is None:
        row = AgentCapability(agent=agent, key=entry.key)
    row.agreed_version, row.consented_by = entry.version, user
    row.save()
    audit.note(
        "capability_on", about=agent, capability=entry.label, trust=entry.trust,
        toolsets=", ".join(entry.toolsets), hosts=", ".join(entry.hosts),
        credentials=", ".join(need.name for need in entry.needs),
    )  # fmt: skip
    return row


def switch_off(user: User, agent: Agent, key: str) -> None:
    """Withdraw all of a capability; what is off stays off. A key that the catalogue has dropped can be turned off."""
    permissions.require(user, "capability.switch", agent)
    with transaction.atomic():
        row = AgentCapability.objects.select_for_update().filter(agent=agent, key=key).first()
        if row is None:
            find(key)
            return
        row.delete()
        audit.note("capability_off", about=agent, capability=key)


def _check_alive(agent: Agent) -> None:
    if agent.is_deleted:
        raise Invalid("This agent was deleted.", reason="conflict")
