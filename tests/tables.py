"""What is stored right now, row by row, so that a test can prove that nothing was written."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib.sessions.models import Session

from agents.models import SecurityEvent

# What a visit alone writes: who comes when, and what was refused.
COMINGS_AND_GOINGS = (Session, UserSession, SecurityEvent)
# Tokens note their use, people their last sign-in: that is no change of what they are.
_QUIET = {"last_used_at", "last_login"}

State = dict[tuple[str, str], str]


def everything() -> State:
    """(table, key) -> a digest of what is stored there, for every row of every table."""
    state: State = {}
    for model in apps.get_models(include_auto_created=True):
        if model in COMINGS_AND_GOINGS or not model._meta.managed:
            continue
        columns = [field.attname for field in model._meta.concrete_fields]
        for row in model._base_manager.order_by().values_list("pk", *columns):
            told = [value for name, value in zip(columns, row[1:], strict=True) if name not in _QUIET]
            state[model._meta.label, str(row[0])] = hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()
    return state


def changed(before: State, now: State) -> set[tuple[str, str]]:
    """The rows that were there and are not as they were, or gone."""
    return {key for key, digest in before.items() if now.get(key) != digest}


def added(before: State, now: State) -> set[tuple[str, str]]:
    """The rows that were not there."""
    return now.keys() - before.keys()


def text_of(key: tuple[str, str]) -> str:
    """Everything this row holds."""
    row: dict[str, Any] | None = apps.get_model(key[0])._base_manager.filter(pk=key[1]).values().first()
    return json.dumps(row, default=str)
