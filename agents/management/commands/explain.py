"""Say from a shell why somebody may or may not do something, and what would change it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import CharField, Model

from agents import explaining
from agents.api.explaining import ExplanationOut
from agents.command_line import LogosCommand, plain
from agents.errors import NotFound
from agents.models import User


class Command(LogosCommand):
    """``explain USER ACTION [OBJECT]``."""

    help = "Say why somebody may or may not do something, and the smallest change that would turn it round."
    exits = "exit codes: 0 allowed, 1 refused (one sentence on standard error says why), 3 not allowed"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER", help="the person's username")
        parser.add_argument("action", metavar="ACTION", help="for instance agent.chat; docs/permissions.md has all")
        parser.add_argument(
            "object", metavar="OBJECT", nargs="?", default="", help="id of what it is done to; none for agent.create"
        )
        parser.add_argument("--json", action="store_true", help="print the explanation as the API shows it")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise NotFound("This person")
        said = explaining.explain(user, options["action"], _row(options["object"]) if options["object"] else None)
        if options["json"]:
            self.print_json(ExplanationOut.from_orm(said).model_dump(mode="json"))
        else:
            for sentence in (said.sentence, *said.because, said.way):
                if sentence:
                    self.stdout.write(plain(sentence))
        if not said.allowed:
            self.end(3)


def _row(row_id: str) -> Model:
    """The row of this id, whatever its kind. Whoever runs commands may see all of them."""
    # What has a number instead of an id of ours (a sample of a sandbox's health) is nothing to ask about.
    named = (model for model in explaining.kinds().values() if isinstance(model._meta.pk, CharField))
    for model in named:
        if (row := model._default_manager.filter(pk=row_id).first()) is not None:
            return row
    raise NotFound("This object")
