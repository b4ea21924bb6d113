"""Keep providers: add, change and remove them. A key goes in and never comes out."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from agents import permissions
from agents.addresses import web_address
from agents.editing import editing
from agents.errors import Conflict, Invalid
from agents.models import Provider, ProviderKind, User
from agents.policies import clean_name

MAX_KEY = 1_000

# The kinds one can add. The rehearsal model is built in; there is one.
KINDS = (ProviderKind.OPENAI_COMPATIBLE.value, ProviderKind.ANTHROPIC.value)


def clean_address(address: str) -> str:
    """The address with a scheme; Invalid when it is none."""
    address = address.strip()
    address = f"https://{address}" if address and "://" not in address else address
    if not address or len(address) > 300:
        raise Invalid("A provider has an address, such as http://127.0.0.1:11434/v1.", field="base_url")
    try:
        web_address(address)
    except ValidationError as error:
        raise Invalid(error.messages[0], field="base_url") from error
    return address


def clean_key(key: str) -> str:
    """The key as it will be sent; Invalid when it could be none."""
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key or len(key) > MAX_KEY:
        raise Invalid("The key has a character that keys do not have; copy it again.", field="key")
    return key


def create(user: User, name: str, base_url: str, key: str = "", kind: str = ProviderKind.OPENAI_COMPATIBLE) -> Provider:
    """A provider at an address, of a kind that has one; who may is for admins. Conflict for a name that is taken."""
    permissions.require(user, "provider.edit")
    if kind not in KINDS:
        raise Invalid(f"A provider is of one of these kinds: {', '.join(KINDS)}.", field="kind")
    provider = Provider(kind=kind)
    provider.name, provider.base_url = clean_name(name, "A provider"), clean_address(base_url)
    if key := clean_key(key):
        provider.set_key(key)
    return _saved(provider)


def change(user: User, provider_id: str, version: int, **fields: Any) -> Provider:
    """Set these of name, base_url and key ("" forgets it). Raises NotFound, Stale, Invalid, Conflict.

    A new address forgets the key unless one comes with it: a key is meant for the place it was given for."""
    with editing(user, "provider.edit", Provider.objects.all(), provider_id, version) as provider:
        if provider.kind == ProviderKind.REHEARSAL and {"base_url", "key"} & fields.keys():
            raise Invalid("The rehearsal model is built in: it has neither an address nor a key.", field="base_url")
        if "name" in fields:
            provider.name = clean_name(fields["name"], "A provider")
        if "base_url" in fields and (address := clean_address(fields["base_url"])) != provider.base_url:
            provider.base_url = address
            if provider.has_key and "key" not in fields:
                raise Invalid(
                    "A new address needs the key again: the stored one is meant for the old address.",
                    field="key",
                    action="Enter the key, or say that it is to be forgotten.",
                )
        if "key" in fields:
            key = clean_key(fields["key"])
            provider.sealed_key = ""
            if key:
                provider.set_key(key)
        return _saved(provider)


def remove(user: User, provider_id: str) -> None:
    """Delete a provider that has no models; Conflict while it has."""
    with editing(user, "provider.edit", Provider.objects.all(), provider_id, None) as provider:
        if provider.routes.exists():
            raise Conflict("This provider still has models.", action="Delete its models first.")
        provider.delete()


def _saved(provider: Provider) -> Provider:
    try:
        with transaction.atomic():
            provider.save()
    except IntegrityError as error:
        raise Conflict("This name is taken.", reason="name_taken", action="Choose another one.") from error
    return provider
