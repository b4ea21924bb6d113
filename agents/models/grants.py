"""Who was given what: guardian's permission rows with direct foreign keys, which cascade and need no casts."""

from __future__ import annotations

from django.db import models
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from agents.models.agents import Agent
from agents.models.history import Changes
from agents.models.policies import Policy
from agents.models.providers import ModelRoute
from agents.models.souls import Soul


class AgentUserGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(Agent, models.CASCADE)
    history = Changes()


class AgentGroupGrant(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Agent, models.CASCADE)
    history = Changes()


class SoulUserGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(Soul, models.CASCADE)
    history = Changes()


class SoulGroupGrant(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Soul, models.CASCADE)
    history = Changes()


class ModelRouteUserGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(ModelRoute, models.CASCADE)
    history = Changes()


class ModelRouteGroupGrant(GroupObjectPermissionBase):
    content_object = models.ForeignKey(ModelRoute, models.CASCADE)
    history = Changes()


class PolicyUserGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(Policy, models.CASCADE)
    history = Changes()


class PolicyGroupGrant(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Policy, models.CASCADE)
    history = Changes()
