"""Send a message to an agent from a shell and follow its run to the end.

Follows the stored rows, so it works whichever process carries the run out.
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from agents import composition, permissions
from agents.command_line import LogosCommand, actor, add_person, one_sentence
from agents.errors import Invalid, LogosError
from agents.models import User
from runs import approvals, dispatch, events
from runs.api.runs import rows
from runs.events import ENDS
from runs.management.commands.runs import as_json
from runs.models import Conversation, EngineBeat, Run, Status
from runs.printing import Teller
from sandboxes.claimants import is_dead

POLL_S = 0.05
PATIENCE_S = 3.0
STOP_WITHIN_S = 10.0

EXIT_CODES = {Status.COMPLETED: 0, Status.FAILED: 2, Status.CANCELLED: 3, Status.INTERRUPTED: 4}
STILL_GOING = 5


class Command(LogosCommand):
    """``chat AGENT TEXT``."""

    help = "Send a message to an agent and follow the run to its end. Ctrl-C stops the run."
    exits = (
        "The reply goes to standard output, tool calls and notices to standard error.\n\n"
        "exit codes: 0 completed, 1 refused, 2 failed, 3 cancelled, 4 interrupted,\n"
        "            5 it had not ended when waiting ended"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("agent", metavar="AGENT", help="name or id")
        parser.add_argument("text", metavar="TEXT", help="the message; - reads it from standard input")
        parser.add_argument("--conversation", default="", metavar="ID", help="go on in this conversation")
        parser.add_argument("--json", action="store_true", help="print the run with its events when it has ended")
        parser.add_argument("--timeout-s", type=float, metavar="S", help="wait this long at most")
        add_person(parser, "chat as this person")

    def handle(self, *args: Any, **options: Any) -> None:
        user = actor(options["user"])
        agent = composition.find(user, options["agent"], "agent.chat")
        text = sys.stdin.read() if options["text"] == "-" else options["text"]
        talk = _conversation(user, options["conversation"], agent.pk)
        run = dispatch.start(user, text, agent=agent, conversation=talk, origin="cli").run
        wait_s = settings.LOGOS_RUN_TIMEOUT_S + 60 if options["timeout_s"] is None else options["timeout_s"]
        following = Following(self, run, user, quiet=options["json"])
        ended = following.to_the_end(wait_s)
        run = rows().defer(None).get(pk=run.pk)
        if options["json"]:
            self.print_json(as_json(user, run, events.replay(run.pk)))
        if not ended:
            self.say(f"It has not ended yet; look at it with: runs show {run.pk}")
            self.end(STILL_GOING)
        self.end(EXIT_CODES[Status(run.status)])


class Following:
    """One run, read row by row and told as it happens."""

    def __init__(self, command: LogosCommand, run: Run, user: User, *, quiet: bool) -> None:
        self._command, self._run, self._user, self._quiet = command, run, user, quiet
        self._teller = Teller()
        self._seq = 0
        self._is_waited_for = False

    def to_the_end(self, wait_s: float) -> bool:
        """Tell everything until the run has ended (True) or the time is over (False). Ctrl-C stops the run."""
        try:
            return self._until(time.monotonic() + wait_s)
        except KeyboardInterrupt:
            self._command.say("\nStopping the run.")
            try:
                dispatch.cancel(self._user, self._run)
            except LogosError as error:
                self._command.say(one_sentence(error))
            return self._until(time.monotonic() + STOP_WITHIN_S)

    def _until(self, deadline: float) -> bool:
        started = time.monotonic()
        while True:
            for event in events.replay(self._run.pk, self._seq):
                self._seq = event.seq
                self._tell(event)
                if event.kind in ENDS:
                    return True
            now = time.monotonic()
            if now >= deadline:
                return False
            if self._seq <= 1 and now - started >= PATIENCE_S and not self._is_waited_for:
                self._is_waited_for = True
                self._command.say(why_it_waits())
            time.sleep(min(POLL_S, max(0.0, deadline - now)))

    def _tell(self, event: events.Event) -> None:
        if self._quiet:
            return
        text, lines = self._teller.tell(event)
        if text:
            self._command.stdout.write(text, ending="")
            self._command.stdout.flush()
        for line in lines:
            self._command.say(line)
        if event.kind == "approval.requested" and sys.stdin.isatty():
            self._ask(event.data["id"])

    def _ask(self, approval_id: str) -> None:
        choice = "once" if input("Allow it once? [y/N] ").strip().lower() in {"y", "yes"} else "deny"
        try:
            question = approvals.by_id(approval_id)
            approvals.decide(self._user, question, choice, subject_hash=question.subject_hash)
        except LogosError as error:
            self._command.say(one_sentence(error))


def why_it_waits() -> str:
    """What to tell somebody whose run nobody has taken up for a while."""
    fresh = timezone.now() - timedelta(seconds=15)
    owners = EngineBeat.objects.filter(seen_at__gt=fresh).values_list("owner", flat=True)
    if any(not is_dead(owner) for owner in owners):
        return "Nobody has taken the run up yet: the engine is busy."
    return "Nobody has taken the run up yet. Is Logos running? Start it with: ./logos up"


def _conversation(user: User, conversation_id: str, agent_id: str) -> Conversation | None:
    if not conversation_id:
        return None
    talks = Conversation.objects.select_related("agent__soul", "agent__route__provider")
    talk = permissions.fetch(user, "conversation.write", talks, pk=conversation_id)
    if talk.agent_id != agent_id:
        raise Invalid(f"That conversation is with {talk.agent.name}.", field="conversation")
    return talk
