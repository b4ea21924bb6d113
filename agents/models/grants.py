"""Who was given what: guardian's permission rows with direct foreign keys, which cascade and need no casts."""

from __future__ import annotations

from django.db import models
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from agents.models.agents import Agent
from agents.models.policies import Policy
from agents.models.providers import ModelRoute
from agents.models.souls import Soul


class AgentUserGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(Agent, models.CASCADE)


class AgentGroupGrant(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Agent, models.CASCADE)


class SoulUserGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(Soul, models.CASCADE)


class SoulGroupGrant(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Soul, models.CASCADE)


class ModelRouteUserGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(ModelRoute, models.CASCADE)


class ModelRouteGroupGrant(GroupObjectPermissionBase):
    content_object = models.ForeignKey(ModelRoute, models.CASCADE)


class PolicyUserGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(Policy, models.CASCADE)


class PolicyGroupGrant(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Policy, models.CASCADE)
