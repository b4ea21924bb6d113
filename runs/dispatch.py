"""Start, stop and clone runs: what every door (page, API, command, schedule) calls.

start() accepts a message in one transaction: the message, its run in state queued, and the frozen STAMP.
The engine claims the run afterwards. Nothing here waits for a sandbox or a model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from agents import halting, permissions, retiring
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, User
from agents.routes import route_of
from runs import composing, events
from runs.budgets import checking, standing_in
from runs.budgets.limits import Spender
from runs.models import ACTIVE, Conversation, Message, Run, Speaker, Status

# Called after commit with the id of a run that has something new for the engine: work or a stop. Within
# one process the engine puts its own wake-up here; another process finds the row by polling.
wake: list[Callable[[str], None]] = []

# As long as the column: a longer key cut to it could be another one's.
MAX_KEY_CHARS = 100


@dataclass(frozen=True, slots=True)
class Started:
    """What start() made, or found again for a repeated idempotency key."""

    run: Run
    repeated: bool = False


def clean_text(text: str) -> str:
    """The message with line ends made plain; Invalid for what cannot be sent, and nothing is stored."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        raise Invalid("Write something first: an empty message cannot be sent.", field="text")
    if "\x00" in text:
        raise Invalid("The message holds a NUL byte.", field="text", action="Remove it and send again.")
    if len(text) > settings.LOGOS_MAX_MESSAGE_CHARS:
        raise Invalid(
            f"The message has {len(text):,} characters; at most {settings.LOGOS_MAX_MESSAGE_CHARS:,} can be sent.",
            field="text",
            reason="too_large",
            action="Put the long part in a file in the workspace, or send it in pieces.",
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Invalid("The message is not valid Unicode.", field="text") from error
    return text


def start(
    actor: User,
    text: str,
    *,
    agent: Agent | None = None,
    conversation: Conversation | None = None,
    idempotency_key: str = "",
    origin: str = "web",
) -> Started:
    """Accept one message for a conversation, or for a new one with ``agent``.

    Raises Invalid (the text, a missing model), NotFound (not theirs), OverBudget, Conflict(reason="conversation_busy")
    while the conversation still answers. The same idempotency key in a conversation, or for a new one, gives the
    first run; with another text or agent, Conflict(reason="idempotency_conflict").
    """
    key = _clean_key(idempotency_key)
    if conversation is None and key:
        conversation = _opened(actor, key)
        if conversation is not None and agent is not None and conversation.agent_id != agent.pk:
            raise _other_message()
    if conversation is not None:
        permissions.require(actor, "conversation.write", conversation)
        agent = conversation.agent
        if key and (known := _repeated(conversation, key, text)):
            return known
    if agent is None:
        raise NotFound("Agent")
    _require_usable(actor, agent)
    text = clean_text(text)
    talk_id = conversation.pk if conversation else ""
    admission = checking.admit(Spender("", talk_id, agent.pk, actor.pk), route_of(agent), text)
    stamp = composing.compose(agent, admission.route)
    try:
        with transaction.atomic():
            # The copy in hand may be older than a deletion.
            now = Agent.objects.only("name", "deleted_at", "archived_at").filter(pk=agent.pk).first()
            if now is None:
                raise NotFound("Agent")
            retiring.require_use(now)
            talk = conversation or _new_conversation(actor, agent, text, origin, key)
            run = _write(actor, talk, text, key, stamp, admission.notice)
    except IntegrityError as error:
        # Two clicks at once: the other one won, and its run is the answer to both.
        first = conversation or (_opened(actor, key) if key else None)
        if first is not None and key and (known := _repeated(first, key, text)):
            return known
        raise Conflict(
            "The agent is still answering in this chat.",
            reason="conversation_busy",
            action="Wait until it is done, or stop it; your message is kept here.",
        ) from error
    return Started(run)


def cancel(actor: User, run: Run) -> Run:
    """Ask for the run to stop; asking twice is one ask. Conflict when it has already ended."""
    permissions.require(actor, "run.cancel", run)
    asked = Run.objects.filter(pk=run.pk, status__in=ACTIVE, cancel_requested_at=None).update(
        cancel_requested_at=timezone.now(), cancelled_by=actor
    )
    run.refresh_from_db()
    if not asked and run.has_finished:
        raise Conflict("This run has already ended.", reason="already_finished")
    announce(run.pk)
    return run


def clone(actor: User, run: Run) -> Started:
    """Send the run's message again in a new conversation of ``actor`` with the same agent."""
    permissions.require(actor, "run.clone", run)
    return start(actor, run.message.text, agent=run.agent, origin="clone")


def announce(run_id: str) -> None:
    """Wake the engine after the current transaction, if it lives in this process."""
    transaction.on_commit(lambda: [listener(run_id) for listener in list(wake)] and None)


def _require_usable(actor: User, agent: Agent) -> None:
    permissions.require(actor, "agent.chat", agent)
    retiring.require_use(agent)
    halting.require_running(agent_id=agent.pk, person_id=actor.pk)
    route_of(agent)


def _opened(actor: User, key: str) -> Conversation | None:
    return Conversation.objects.filter(owner=actor, opening_key=key).first()


def _new_conversation(actor: User, agent: Agent, text: str, origin: str, key: str | None) -> Conversation:
    title = text.split("\n", 1)[0][:117]
    return Conversation.objects.create(agent=agent, owner=actor, title=title, origin=origin, opening_key=key)


def _write(
    actor: User,
    conversation: Conversation,
    text: str,
    key: str | None,
    stamp: dict[str, Any],
    notice: dict[str, Any] | None,
) -> Run:
    message = Message.objects.create(conversation=conversation, speaker=Speaker.PERSON, text=text, idempotency_key=key)
    run = Run.objects.create(
        conversation=conversation,
        agent=conversation.agent,
        message=message,
        actor=actor,
        status=Status.QUEUED,
        stamp=stamp,
        fingerprint=composing.fingerprint(stamp),
    )
    Conversation.objects.filter(pk=conversation.pk).update(last_at=timezone.now())
    first = [events.Event(run.pk, 1, "run.queued", {}, events.now())]
    if notice:
        first.append(events.Event(run.pk, 2, standing_in.BEGAN, events.redacted(notice), events.now()))
    events.store(first, {run.pk: events.GENESIS})
    announce(run.pk)
    return run


def _repeated(conversation: Conversation, key: str, text: str) -> Started | None:
    message = conversation.messages.select_related("run").filter(idempotency_key=key).first()
    if message is None:
        return None
    if message.text != clean_text(text):
        raise _other_message()
    return Started(message.run, repeated=True)


def _clean_key(key: str) -> str | None:
    if len(key) > MAX_KEY_CHARS or not key.isprintable():
        raise Invalid(
            f"An idempotency key has at most {MAX_KEY_CHARS} visible characters.",
            field="idempotency_key",
            action="Send a shorter key, for instance a UUID.",
        )
    return key or None


def _other_message() -> Conflict:
    return Conflict(
        "This idempotency key was used for another message.",
        reason="idempotency_conflict",
        action="Send the message with a new key.",
    )
