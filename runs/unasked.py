"""An agent writes to its person without being asked: one chat between the two, capped, seldom enough, told as they chose.

It goes to the person of the run or, outside of runs, to who owns the agent, and to nobody else: the agent cannot name one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.dispatch import Signal
from django.utils import timezone

from agents import ids, permissions, secrets
from agents.agent_secrets import known_values
from agents.invisible import first_hidden
from agents.models import Agent, User
from runs.models import Conversation, Message, Run, Speaker

MOST_CHARS = 2_000
PER_MINUTE, PER_HOUR = 3, 20
# What the keys of such messages begin with; a message of a run has none, a person's never this one.
MARK = "unasked:"
SHOWN = 50

# Sent with ``conversation`` once a message is committed.
agent_wrote = Signal()


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of it, "sent" or "refused", as a sentence for the model, and the message's id."""

    status: str
    sentence: str
    message_id: str = ""


@transaction.atomic
def send(agent_id: str, text: str, run_id: str = "") -> Sent:
    """Write it down and tell the person. The same words again within the hour are the message that was sent."""
    agent = Agent.objects.select_for_update(of=("self",)).alive().select_related("owner").filter(pk=agent_id).first()
    person = _person(agent, run_id) if agent is not None else None
    if agent is None or person is None:
        return Sent("refused", "There is nobody to write to.")
    text = text.strip()
    if not text or len(text) > MOST_CHARS:
        return Sent("refused", f"Write 1 to {MOST_CHARS:,} characters.")
    if first_hidden(text.replace("\n", " ")) is not None:
        return Sent("refused", "Use visible characters only: a person reads this.")
    text = secrets.redact(text, secrets.forms(known_values(agent)))
    talk, _ = Conversation.objects.get_or_create(
        owner=person,
        opening_key=f"{MARK}{agent.pk}",
        defaults={"agent": agent, "title": f"Messages from {agent.name}"[:120], "origin": "agent"},
    )
    now = timezone.now()
    lately = of(talk).filter(created_at__gt=now - timedelta(hours=1))
    if (same := lately.filter(text=text).first()) is not None:
        return Sent("sent", f"You sent {person.display_name} exactly this already.", same.pk)
    if lately.count() >= PER_HOUR or lately.filter(created_at__gt=now - timedelta(minutes=1)).count() >= PER_MINUTE:
        sentence = (
            f"At most {PER_MINUTE} messages a minute and {PER_HOUR} an hour: put what you have to say into one, later."
        )
        return Sent("refused", sentence)
    made = Message.objects.create(
        conversation=talk, speaker=Speaker.AGENT, text=text, idempotency_key=f"{MARK}{ids.message_id()}"
    )
    Conversation.objects.filter(pk=talk.pk).update(last_at=now, is_unread=True)
    transaction.on_commit(lambda: [*agent_wrote.send_robust(Message, conversation=talk)] and None)
    return Sent("sent", f"{person.display_name} has it in a chat with you, and is told as they chose.", made.pk)


def of(talk: Conversation) -> QuerySet[Message]:
    """What the agent wrote unasked in this chat."""
    return talk.messages.filter(speaker=Speaker.AGENT, idempotency_key__startswith=MARK)


def unread(user: User) -> QuerySet[Conversation]:
    """The chats of this person in which an agent wrote unasked since they looked."""
    return permissions.visible(user, Conversation.objects.filter(owner=user, is_unread=True))


def has_read(user: User, talk: Conversation) -> None:
    """The person looks at their chat. Said before its messages are read: what comes after that is new."""
    if talk.is_unread and talk.owner_id == user.pk:
        Conversation.objects.filter(pk=talk.pk).update(is_unread=False)
        talk.is_unread = False


def between(talk: Conversation | None, runs: Sequence[Run], *, is_latest: bool) -> list[list[Message]]:
    """For each of these runs (the oldest first) what was written before it, and last what came after all of them, if
    these are the latest."""
    found: list[list[Message]] = [[] for _ in range(len(runs) + 1)]
    if talk is None or talk.opening_key is None or not talk.opening_key.startswith(MARK):
        return found
    for message in of(talk).order_by("-pk")[:SHOWN][::-1]:
        at = next((at for at, run in enumerate(runs) if message.pk < run.message_id), len(runs))
        if at < len(runs) or is_latest:
            found[at].append(message)
    return found


def _person(agent: Agent, run_id: str) -> User | None:
    """Who it is for, if they are here and may still speak with the agent."""
    run = Run.objects.filter(pk=run_id, agent=agent).select_related("conversation__owner").first() if run_id else None
    person = run.conversation.owner if run is not None else None if run_id else agent.owner
    return (
        person if person is not None and person.is_active and permissions.allows(person, "agent.chat", agent) else None
    )
