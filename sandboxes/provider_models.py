"""Ask a stored provider which models it has, with its own key: for the page that adds models, and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asgiref.sync import async_to_sync

from agents import secrets
from agents.errors import Invalid
from agents.models import Provider, ProviderKind
from sandboxes.inference.listing import ModelInfo, list_models


@dataclass(frozen=True, slots=True)
class Offered:
    """A model the provider has, and whether it is among the routes."""

    id: str
    context_length: int | None
    is_added: bool


def check(base_url: str, key: str, kind: str = ProviderKind.OPENAI_COMPATIBLE) -> Sequence[ModelInfo]:
    """The models at an address that is not stored yet. Raises LogosError with the reason when it has none to tell."""
    return async_to_sync(list_models)(base_url, key, kind=kind)


def offered(provider: Provider) -> list[Offered]:
    """The models of ``provider``, those that are routes marked. Raises LogosError when it cannot be asked."""
    if provider.kind == ProviderKind.REHEARSAL:
        raise Invalid("The rehearsal model is built in: there is nothing to ask.")
    found = check(provider.base_url, secrets.unseal(provider.sealed_key) if provider.has_key else "", provider.kind)
    added = set(provider.routes.values_list("model", flat=True))
    return [Offered(model.id, model.context_length, model.id in added) for model in found]
