"""Add, change, list and delete providers from a shell, and ask one for its models. Keys never stand on a command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q
from django.views.decorators.debug import sensitive_variables

from agents import permissions, providers
from agents.api.providers import ProviderOut
from agents.command_line import LogosCommand, actor, add_person, reader
from agents.errors import Invalid
from agents.models import Provider, User
from sandboxes import provider_models


class Command(LogosCommand):
    """``provider add|list|edit|models|delete``."""

    help = "Add, change, list and delete providers: where models answer from."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="add|list|edit|models|delete")
        add = verbs.add_parser("add", help="add a provider, asked for its models first; prints its id")
        add.add_argument("name", metavar="NAME")
        add.add_argument("address", metavar="ADDRESS", help="with or without /v1")
        add.add_argument(
            "--kind", choices=providers.KINDS, default=providers.KINDS[0], help="how it is asked (%(default)s)"
        )
        _add_key(add)
        add_person(add)
        listing = verbs.add_parser("list", help="list providers")
        listing.add_argument("--json", action="store_true", help="print them as the API shows them")
        add_person(listing, "list as this person")
        edit = verbs.add_parser("edit", help="change a provider; what is left out stays")
        edit.add_argument("provider", metavar="PROVIDER", help="name or id")
        edit.add_argument("--name", metavar="NAME")
        edit.add_argument("--address", metavar="ADDRESS", help="a new one needs the key again")
        edit.add_argument("--forget-key", action="store_true", help="remove the stored key")
        _add_key(edit)
        add_person(edit)
        models = verbs.add_parser("models", help="ask a provider which models it has")
        models.add_argument("provider", metavar="PROVIDER", help="name or id")
        add_person(models)
        delete = verbs.add_parser("delete", help="delete a provider without models")
        delete.add_argument("provider", metavar="PROVIDER", help="name or id")
        add_person(delete)

    @sensitive_variables("key")
    def do_add(self, options: dict[str, Any]) -> None:
        user, key = actor(options["user"]), _key(options) or ""
        permissions.require(user, "provider.edit")
        address = providers.clean_address(options["address"])
        if not options["unchecked"]:
            found = provider_models.check(address, providers.clean_key(key), options["kind"])
            self.say(f"It answers and has {len(found)} {'model' if len(found) == 1 else 'models'}.")
        self.stdout.write(providers.create(user, options["name"], address, key, options["kind"]).pk)

    def do_list(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        permissions.require(user, "provider.view")
        seen = permissions.visible(user, Provider.objects.all()).order_by("name")
        if options["json"]:
            self.print_json([ProviderOut.from_orm(provider).model_dump(mode="json") for provider in seen])
            return
        self.print_table(
            ("NAME", "ADDRESS", "KEY", "ID"),
            ((p.name, p.base_url or "built in", "stored" if p.has_key else "none", p.pk) for p in seen),
        )

    @sensitive_variables("key", "fields")
    def do_edit(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        provider = _named(user, options["provider"], "provider.edit")
        key = "" if options["forget_key"] else _key(options)
        fields = {"name": options["name"], "base_url": options["address"], "key": key}
        given = {name: value for name, value in fields.items() if value is not None}
        if key and not options["unchecked"]:
            address = providers.clean_address(options["address"] or provider.base_url)
            provider_models.check(address, providers.clean_key(key), provider.kind)
        providers.change(user, provider.pk, provider.version, **given)
        self.say(f"{provider.name} is saved.")

    def do_models(self, options: dict[str, Any]) -> None:
        provider = _named(actor(options["user"]), options["provider"], "provider.view")
        found = provider_models.offered(provider)
        self.print_table(
            ("MODEL", "CONTEXT", "ADDED"),
            ((model.id, model.context_length or "unknown", "yes" if model.is_added else "") for model in found),
        )

    def do_delete(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        provider = _named(user, options["provider"], "provider.edit")
        providers.remove(user, provider.pk)
        self.say(f"{provider.name} is deleted.")


def _add_key(parser: CommandParser) -> None:
    """Where a key comes from. Never its value: command lines are visible to others and kept in histories."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--key-file", metavar="FILE", help="read the key from a file; - is standard input")
    source.add_argument("--key-env", metavar="NAME", help="read the key from an environment variable")
    parser.add_argument("--unchecked", action="store_true", help="do not ask the provider first")


def _key(options: dict[str, Any]) -> str | None:
    """The key from where it was said to be; None when nowhere."""
    if name := options["key_env"]:
        if name not in os.environ:
            raise Invalid(f"There is no environment variable {name}.", field="key_env")
        return os.environ[name].strip()
    if path := options["key_file"]:
        try:
            text = sys.stdin.read() if path == "-" else Path(path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not text"
            raise Invalid(f"{path} cannot be read: {why}.", field="key_file") from error
        return text.strip()
    return None


def _named(user: User, name_or_id: str, action: str) -> Provider:
    return permissions.fetch(user, action, Provider.objects.filter(Q(pk=name_or_id) | Q(name=name_or_id)))
