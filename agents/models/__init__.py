"""The rows of STAMP: people, souls, providers and routes, policies, agents, and the grants on them."""

from agents.models.agent_secrets import AgentSecret
from agents.models.agents import Agent
from agents.models.audit import SecurityEvent
from agents.models.capabilities import AgentCapability
from agents.models.documents import AgentDocument
from agents.models.exports import DataExport, ExportState
from agents.models.gate_rules import GateAnswer, GateRule, GateSeverity
from agents.models.grants import (
    AgentGroupGrant,
    AgentUserGrant,
    ModelRouteGroupGrant,
    ModelRouteUserGrant,
    PolicyGroupGrant,
    PolicyUserGrant,
    SoulGroupGrant,
    SoulUserGrant,
)
from agents.models.halts import Halt, HaltScope, HaltStop, Stage, StopKind
from agents.models.host_grants import HostGrant
from agents.models.learning import Learning
from agents.models.links import OneTimeLink, Purpose
from agents.models.notes import AgentNote
from agents.models.people import ApiToken, Kind, Role, User
from agents.models.policies import Policy
from agents.models.presets import Preset, PresetCategory
from agents.models.prices import PriceList
from agents.models.providers import ModelRoute, Provider, ProviderKind
from agents.models.shared import Visibility
from agents.models.site import SiteSettings
from agents.models.souls import Soul, SoulRevision, SoulStatus

__all__ = [
    "Agent",
    "AgentCapability",
    "AgentDocument",
    "AgentGroupGrant",
    "AgentNote",
    "AgentSecret",
    "AgentUserGrant",
    "ApiToken",
    "DataExport",
    "ExportState",
    "GateAnswer",
    "GateRule",
    "GateSeverity",
    "Halt",
    "HaltScope",
    "HaltStop",
    "HostGrant",
    "Kind",
    "Learning",
    "ModelRoute",
    "ModelRouteGroupGrant",
    "ModelRouteUserGrant",
    "OneTimeLink",
    "Policy",
    "PolicyGroupGrant",
    "PolicyUserGrant",
    "Preset",
    "PresetCategory",
    "PriceList",
    "Provider",
    "ProviderKind",
    "Purpose",
    "Role",
    "SecurityEvent",
    "SiteSettings",
    "Soul",
    "SoulGroupGrant",
    "SoulRevision",
    "SoulStatus",
    "SoulUserGrant",
    "Stage",
    "StopKind",
    "User",
    "Visibility",
]
