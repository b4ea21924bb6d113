"""What a person has on one row and what follows from it, as pure functions, so that "what if" can be asked too.

``agents.permissions`` reads a standing from the database; ``reasons`` and ``obstacles`` are the rules that its
``allows`` and ``agents.explaining`` speak with. The same rules as a query are in ``permissions.visible``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agents.models.people import Role

# Each level contains the ones before it.
LEVELS = ("view", "chat", "edit", "manage")


class Asked(Protocol):
    """What the rules need to know of an action; see ``actions.Action``."""

    @property
    def sentence(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def roles(self) -> frozenset[str]: ...
    @property
    def content(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Source:
    """Where a level on an object comes from: "ownership", "sharing", "grant" (to the person) or "group"."""

    kind: str
    level: str
    group: str = ""

    def reaches(self, level: str) -> bool:
        return LEVELS.index(self.level) >= LEVELS.index(level)

    @property
    def sentence(self) -> str:
        what = {
            "ownership": "Owning it",
            "sharing": "Being shared with everyone",
            "grant": "A grant to this person",
            "group": f"A grant to the group {self.group}",
        }[self.kind]
        return f"{what} gives the level {self.level}."


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that counts between one person and one row.

    ``role`` is "" for a stranger. ``root`` names the kind of object whose levels count ("" when the role alone
    decides); ``sources`` are the levels held there. ``is_personal`` marks rows that belong to a person, such as
    conversations, and ``is_own`` those that belong to this one. ``is_private``: chats are private on this site, so
    that a role alone opens nobody's.
    """

    role: str
    is_active: bool = True
    root: str = ""
    sources: tuple[Source, ...] = ()
    is_personal: bool = False
    is_own: bool = False
    is_private: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that allows an action by itself.

    ``kind`` is "admin", "role", "own", "operator" (an operator who manages the root may see what others do there),
    or the kind of the source that gives the level.
    """

    kind: str
    sentence: str
    source: Source | None = None


def reasons(action: Asked, standing: Standing) -> tuple[Reason, ...]:
    """Everything that allows the action, each by itself; nothing when it is denied."""
    if not standing.is_active or standing.role not in action.roles:
        return ()
    found = []
    if standing.role == Role.ADMIN and not _is_closed(action, standing):
        found.append(Reason("admin", "The role admin may do everything."))
    elif not standing.root:
        found.append(Reason("role", f"The role {standing.role} includes this."))
    # What would still hold for an admin who became an operator.
    if standing.role != Role.ADMIN or Role.OPERATOR in action.roles:
        found += _personal(action, standing) if standing.is_personal else _levelled(action, standing)
    return tuple(found)


def _is_closed(action: Asked, standing: Standing) -> bool:
    """Would this tell what others said, while chats are private?"""
    return action.content and standing.is_private


def _levelled(action: Asked, standing: Standing) -> list[Reason]:
    return [Reason(s.kind, s.sentence, s) for s in standing.sources if s.reaches(action.level)]


def _personal(action: Asked, standing: Standing) -> list[Reason]:
    found = [Reason("own", "It belongs to this person.")] if standing.is_own else []
    if standing.role in (Role.ADMIN, Role.OPERATOR) and action.level == "view" and not _is_closed(action, standing):
        rule = f"Operators who manage the {standing.root} may see it."
        found += [Reason("operator", f"{rule} {s.sentence}", s) for s in standing.sources if s.reaches("manage")]
    return found


def obstacles(action: Asked, standing: Standing) -> tuple[str, ...]:
    """Everything that stands in the way, each as a sentence; nothing when the action is allowed."""
    if not standing.role:
        return ("Nobody is signed in.",)
    if reasons(action, standing):
        return ()
    found = [] if standing.is_active else ["The account is suspended."]
    if standing.role not in action.roles:
        found.append(f"The role {standing.role} does not include: {lowered(action.sentence)}.")
    decides = standing.role == Role.ADMIN and not _is_closed(action, standing)
    if standing.root and not decides and (lack := _lack(action, standing)):
        found.append(lack)
    return tuple(found)


def _lack(action: Asked, standing: Standing) -> str:
    if not standing.is_personal:
        return "" if _levelled(action, standing) else _too_low(action.level, standing)
    if standing.is_own:
        return ""
    if _is_closed(action, standing):
        return "Chats are private here: only the person a chat belongs to opens it."
    if action.level != "view":
        return "It belongs to somebody else, and only admins may do this to what is not theirs."
    if any(source.reaches("manage") for source in standing.sources) and standing.role == Role.OPERATOR:
        return ""
    return (
        f"It belongs to somebody else; others who may see it are admins, and operators who manage the {standing.root}."
    )


def _too_low(level: str, standing: Standing) -> str:
    needed = f"This needs the level {level} on the {standing.root}, by ownership, sharing or a grant"
    best = max(standing.sources, key=lambda source: LEVELS.index(source.level), default=None)
    return f"{needed}; there is none." if best is None else f"{needed}. {best.sentence}"


def lowered(sentence: str) -> str:
    """A sentence as the end of another; names written in capitals stay."""
    return sentence if sentence[:2].isupper() else sentence[:1].lower() + sentence[1:]
