"""Make an agent like another one: its composition always, and what is in its sandbox part by part, as far as possible.

What people said to the original is never copied: chats and runs stay where they are. Rooms above say what stands in
the way of a part (``OBSTACLES``) and copy it when they hear ``agent_copied``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.dispatch import Signal

from agents import choosing, composition, four_eyes, notes, permissions, preparing, sandbox_limits
from agents.errors import Conflict, Invalid
from agents.models import Agent, Policy, Soul, User


@dataclass(frozen=True, slots=True)
class Part:
    """Something in a sandbox that can be copied: what people call it, and what it is."""

    name: str
    label: str
    sentence: str


PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part("files", "Files", "Everything in its workspace and its home directory."),
        Part("notes", "Notes and skills", "What it wrote down about the work and the person, and how things are done."),
        Part("sessions", "Sessions", "What it remembers of conversations, for looking things up in them."),
    )
}
# Each says, for a person, an agent and a part, why that cannot be copied, or "".
OBSTACLES: list[Callable[[User, Agent, str], str]] = []
# Sent with ``source``, ``agent``, ``parts`` and ``prepare`` inside the transaction that made the copy.
agent_copied = Signal()


def obstacle(user: User, source: Agent, part: str) -> str:
    """Why this part cannot be copied by ``user`` now; "" when it can."""
    if not permissions.allows(user, "agent.manage", source):
        return "Only who manages the agent may copy what is in its sandbox."
    return next((why for each in OBSTACLES if (why := each(user, source, part))), "")


def omissions(user: User, source: Agent) -> list[str]:
    """What a copy by ``user`` will not have, one sentence each."""
    found = [
        "Chats and runs stay with the original, and so do the people it is shared with.",
        "Secrets, capabilities that were agreed to and installed documents are not copied: give the copy its own.",
    ]
    if source.route_id and source.hides_route:
        found.append("You may not see its model; the copy uses the default one.")
    if sandbox_limits.given(user, source) != source.limits:
        found.append("Limits above the site's are not copied: ask an operator for more.")
    held = source.policies.count()
    if held and four_eyes.is_on():
        found.append("Policies are not copied: giving one takes a second person here.")
    elif held and permissions.visible(user, Policy.objects.filter(agents=source)).count() < held:
        found.append("Policies you may not see are not copied.")
    return found


@transaction.atomic
def duplicate(
    user: User,
    source: Agent,
    name: str,
    *,
    soul: Soul | None = None,
    parts: Sequence[str] = (),
    prepare: bool | None = None,
) -> Agent:
    """A new, private agent of ``user`` composed like ``source``, which they may see. ``soul`` replaces one they may
    not. Raises Invalid for a soul they would have to choose, Conflict for a part that cannot be copied now."""
    permissions.require(user, "agent.view", source)
    for part in parts:
        if part not in PARTS:
            raise Invalid("There is no such part.", field="copy", action=f"Choose among {', '.join(PARTS)}.")
        if why := obstacle(user, source, part):
            raise Conflict(f"{PARTS[part].label} cannot be copied. {why}", reason="not_copied")
    agent = composition.create(
        user,
        name,
        soul or _soul(user, source),
        toolsets=source.toolsets,
        route=source.route if source.route and permissions.allows(user, "route.view", source.route) else None,
        description=source.description,
        policies=[] if four_eyes.waits() else permissions.visible(user, Policy.objects.filter(agents=source)),
        sprite=(source.sprite_shape, source.sprite_palette),
        sandbox=sandbox_limits.given(user, source),
    )
    if "notes" in parts:
        notes.copy(source, agent)
    if parts:
        # Whoever copies also prepares, in this order.
        agent_copied.send(Agent, source=source, agent=agent, parts=tuple(parts), prepare=preparing.is_wished(prepare))
    else:
        preparing.ask(agent, prepare)
    return agent


def _soul(user: User, source: Agent) -> Soul:
    if not permissions.allows(user, "soul.view", source.soul):
        raise Invalid(
            "You may not see the soul of this agent.", field="soul_id", action="Choose one of yours for the copy."
        )
    choosing.require_soul(user, source.soul)
    return source.soul
