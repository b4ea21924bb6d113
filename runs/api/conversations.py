"""/api/conversations: list and read conversations, begin one, send a message."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from ninja import Field, Header, Query, Router, Schema

from agents import composition, permissions
from agents.api.asking import asker
from agents.api.shapes import PageQuery, Text, page
from runs import dispatch
from runs.api.shapes import Accepted, ConversationOut, ConversationPage, MessagePage
from runs.models import Conversation, Message, Run

router = Router(tags=["Conversations"])


class ConversationQuery(PageQuery):
    """Which conversations."""

    agent: Text = Field("", description="Only those with this agent (its id).")


class Opening(Schema):
    """The first message of a new conversation."""

    agent_id: Text = Field(description="The agent's id, or its name if that is clear.")
    text: str

    model_config = {"json_schema_extra": {"example": {"agent_id": "atlas", "text": "run: echo hello && id"}}}


class MessageIn(Schema):
    """A message to the agent."""

    text: str = Field(description="At most 100,000 characters.")

    model_config = {"json_schema_extra": {"example": {"text": "And what is in the workspace?"}}}


class Once(Schema):
    """A key of your own making that makes a repeated request harmless."""

    idempotency_key: Text = Field(
        "",
        max_length=100,
        description="Send the same key again after a lost answer: the first run is the answer. The same key "
        "with another text is refused with 409.",
    )


def rows() -> QuerySet[Conversation]:
    """Conversations with everything an answer shows, in one query."""
    busy = Run.objects.active().filter(conversation=OuterRef("pk"))
    return Conversation.objects.select_related("agent", "owner").annotate(is_busy=Exists(busy))


@router.get("", response=ConversationPage, operation_id="list_conversations", summary="List conversations")
def list_conversations(request: HttpRequest, query: Query[ConversationQuery]) -> dict:
    """Your conversations, and for operators those with agents they manage."""
    seen = permissions.visible(asker(request), rows())
    return page(seen.filter(agent_id=query.agent) if query.agent else seen, query)


@router.post("", response={202: Accepted}, operation_id="begin_conversation", summary="Begin a conversation")
def begin(request: HttpRequest, body: Opening, once: Header[Once]) -> dict:
    """Send the first message of a new conversation; the run's `conversation_id` names it."""
    user = asker(request)
    agent = composition.find(user, body.agent_id, "agent.chat")
    return accepted(dispatch.start(user, body.text, agent=agent, idempotency_key=once.idempotency_key, origin="api"))


@router.get(
    "/{conversation_id}",
    response=ConversationOut,
    operation_id="get_conversation",
    summary="Read a conversation",
)
def get_conversation(request: HttpRequest, conversation_id: Text) -> Conversation:
    """One conversation, without its messages."""
    return permissions.fetch(asker(request), "conversation.view", rows(), pk=conversation_id)


@router.get("/{conversation_id}/messages", response=MessagePage, operation_id="list_messages", summary="List messages")
def list_messages(request: HttpRequest, conversation_id: Text, query: Query[PageQuery]) -> dict:
    """What was said, the oldest first. The agent's message appears when its run has ended."""
    talk = permissions.fetch(asker(request), "conversation.view", Conversation.objects.all(), pk=conversation_id)
    said = Message.objects.filter(conversation=talk).select_related("run", "answered_run")
    return page(said, query, newest_first=False)


@router.post(
    "/{conversation_id}/messages",
    response={202: Accepted},
    operation_id="send_message",
    summary="Send a message",
)
def send_message(request: HttpRequest, conversation_id: Text, body: MessageIn, once: Header[Once]) -> dict:
    """Takes the message in one transaction and answers at once; follow the run by its events.

    409 `conversation_busy` while the agent still answers: nothing is stored then, send it again later."""
    user = asker(request)
    talks = Conversation.objects.select_related("agent__soul", "agent__route__provider")
    talk = permissions.fetch(user, "conversation.write", talks, pk=conversation_id)
    return accepted(
        dispatch.start(user, body.text, conversation=talk, idempotency_key=once.idempotency_key, origin="api")
    )


def accepted(started: dispatch.Started) -> dict:
    """The answer to a message that was taken."""
    return {"run": started.run, "repeated": started.repeated}
