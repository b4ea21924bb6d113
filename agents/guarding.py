"""Which rows people own and share, which ask another row or belong to a person, and what people call them.

Roots (Agent, Soul, ModelRoute, Policy, and those of rooms above) carry an owner, a visibility and grants; every other model names
the root it asks, or the person it belongs to, in a ``Rows`` attribute called ``permission``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from django.db.models import Model

from agents.models import (
    Agent,
    AgentCapability,
    AgentDocument,
    AgentGroupGrant,
    AgentNote,
    AgentSecret,
    AgentUserGrant,
    GateRule,
    ModelRoute,
    ModelRouteGroupGrant,
    ModelRouteUserGrant,
    Policy,
    PolicyGroupGrant,
    PolicyUserGrant,
    Preset,
    PriceList,
    Provider,
    Soul,
    SoulGroupGrant,
    SoulUserGrant,
)


@dataclass(frozen=True, slots=True)
class Rows:
    """How the rows of a model that is no root are guarded.

    ``owner`` is the path to the person a row belongs to; ``root`` the path to the root object it asks.
    With both, operators who manage the root see the row too, and nobody else's level on the root counts:
    what one person said to a shared agent is not for the others.
    """

    owner: str = ""
    root: str = ""
    root_model: type[Model] = Agent


# The parts of an agent that are rows of this room; those above say it in their own models.
for _part in (AgentCapability, AgentSecret, AgentDocument, AgentNote):
    setattr(_part, "permission", Rows(root="agent"))  # noqa: B010 (the models cannot name what is defined here)
setattr(GateRule, "permission", Rows(root="policy", root_model=Policy))  # noqa: B010

# The rows that hold the grants on a root: those to people, those to groups.
GRANTS: dict[type[Model], tuple[type[Model], type[Model]]] = {
    Agent: (AgentUserGrant, AgentGroupGrant),
    Soul: (SoulUserGrant, SoulGroupGrant),
    ModelRoute: (ModelRouteUserGrant, ModelRouteGroupGrant),
    Policy: (PolicyUserGrant, PolicyGroupGrant),
}

# Rows of the house, which nobody owns and nobody is granted: the role alone decides.
HOUSE: tuple[type[Model], ...] = (Provider, Preset, PriceList)

# Models without actions of their own are seen by whoever may see what they are part of. Model calls and what was
# asked of the network are the exceptions: those of a shared agent tell what everybody asked of it, so they have
# actions for who manages it.
_FAMILIES = {
    "message": "conversation",
    "approval": "run",
    "rule": "run",
    "budgetwarning": "budget",
    "tool-call": "tool",
    "tool-rule": "tool",
    "gate-rule": "gate",
}

_NOUNS = {
    "modelroute": "route",
    "pricelist": "price",
    "inferencecall": "call",
    "egressdecision": "egress",
    "agentcapability": "capability",
    "agentsecret": "secret",
    "agentdocument": "document",
    "approvalrule": "rule",
    "toolcall": "tool-call",
    "toolrule": "tool-rule",
    "gaterule": "gate-rule",
}

# What "shared" gives to everyone who may sign in.
SHARED_LEVEL: dict[type[Model], str] = {Agent: "chat", Soul: "view", ModelRoute: "chat", Policy: "view"}


def call_it(model: type[Model], word: str, *, family: str = "") -> None:
    """People and addresses call rows of ``model`` this; their actions are those of ``family`` if they have none."""
    _NOUNS[model._meta.model_name or ""] = word
    if family:
        _FAMILIES[word] = family


def add_root(
    model: type[Model],
    grants: tuple[type[Model], type[Model]],
    *,
    word: str,
    shared_level: str,
    parts: Iterable[type[Model]] = (),
) -> None:
    """A room above makes ``model`` a root that people share, called ``word``; ``grants`` hold what people and groups
    were given, ``parts`` are rows that ask it and have no actions of their own. Called where its models are defined."""
    GRANTS[model], SHARED_LEVEL[model] = grants, shared_level
    _NOUNS[model._meta.model_name or ""] = word
    for part in parts:
        setattr(part, "permission", Rows(root=word, root_model=model))  # noqa: B010
        _FAMILIES[part._meta.model_name or ""] = word


@cache
def noun(model: type[Model]) -> str:
    """What people and addresses call a row of ``model``: agent, route, call."""
    name = model._meta.model_name or ""
    return _NOUNS.get(name, name)


def family(model: type[Model]) -> str:
    """The first word of the actions on rows of ``model``: a message asks those of its conversation."""
    return _FAMILIES.get(noun(model), noun(model))
