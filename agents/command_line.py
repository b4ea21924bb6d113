"""What the commands have in common: refusals as one sentence, who acts, tables and JSON, exit codes.

A refusal is one sentence on standard error and exit code 1; wrong usage is too, because other codes tell how
a run ended. Errors nobody foresaw keep their traceback.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter

from agents import acting
from agents.errors import LogosError
from agents.models import Role, User

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


# Whom the running command acts as, once it knows.
_acts: ContextVar[User | None] = ContextVar("acts", default=None)


class _Help(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Keeps the lines of the text below the options."""


class LogosCommand(BaseCommand):
    """A command with verbs: ``NAME VERB …`` calls ``do_VERB(options)``; ``exits`` ends the help."""

    requires_system_checks: list[str] = []
    exits = "exit codes: 0 done, 1 refused (one sentence on standard error says why)"
    _is_parsed = False
    _called_from_command_line: bool

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=self.exits, formatter_class=_Help, **kwargs)

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except SystemExit as end:
            if end.code == 2 and not self._is_parsed:
                sys.exit(1)
            raise
        except BrokenPipeError:
            # Whoever read our output (head, less) has seen enough; do not complain while closing it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)

    def execute(self, *args: Any, **options: Any) -> str | None:
        self._is_parsed = True
        token = _acts.set(None)
        try:
            with acting.through("command", _acts.get):
                return super().execute(*args, **options)
        except (LogosError, CommandError) as error:
            sentence = one_sentence(error)
            if not self._called_from_command_line:
                raise CommandError(sentence) from error
            self.stderr.write(sentence)
            sys.exit(1)
        finally:
            _acts.reset(token)

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"do_{options['verb'].replace('-', '_')}")(options)

    def print_json(self, value: Any) -> None:
        """One JSON document on standard output."""
        self.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str))

    def print_table(self, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Aligned columns on standard output."""
        lines = [tuple(head), *(tuple("" if cell is None else str(cell) for cell in row) for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        for line in lines:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def say(self, sentence: str) -> None:
        """A sentence for the person at the terminal; standard output stays for results."""
        with contextlib.suppress(BrokenPipeError):
            self.stderr.write(sentence, style_func=str)
            self.stderr.flush()

    def end(self, code: int) -> NoReturn:
        """End with this exit code."""
        self.stdout.flush()
        sys.exit(code)


def one_sentence(error: Exception) -> str:
    """What to print for a refusal: the sentence, and what to do about it."""
    if isinstance(error, LogosError):
        return f"{error.message} {error.action}".strip()
    return str(error)


def plain(text: str) -> str:
    """``text`` without what would steer a terminal: an agent's words may hold escape sequences."""
    return _CONTROLS.sub("", text)


def add_person(parser: CommandParser, purpose: str = "act as this person") -> None:
    """``--user NAME``."""
    parser.add_argument("--user", default="", metavar="NAME", help=f"{purpose}; default: the only admin")


def person(username: str) -> User:
    """The active person of this name; LogosError if there is none."""
    found = User.objects.filter(username=username, is_active=True).first()
    if found is None:
        raise LogosError(f"There is no active person called {username}.", reason="not_found")
    return found


def actor(username: str = "") -> User:
    """Who acts from now on in this command: the person named, or the only admin. LogosError when that is not clear."""
    found = _actor(username)
    _acts.set(found)
    return found


def _actor(username: str) -> User:
    if username:
        return person(username)
    admins = list(User.objects.filter(role=Role.ADMIN, is_active=True).order_by("pk")[:2])
    if not admins:
        raise LogosError(
            "There is no admin yet.", reason="no_admin", action="Run ./logos up and open the link it prints."
        )
    if len(admins) > 1:
        raise LogosError("There are several admins.", reason="ambiguous", action="Say who acts with --user NAME.")
    return admins[0]


def reader(username: str = "") -> User:
    """Whose eyes a list is seen with: the person named, or any admin, because all of them see the same."""
    if username:
        return person(username)
    return User.objects.filter(role=Role.ADMIN, is_active=True).order_by("pk").first() or actor()
