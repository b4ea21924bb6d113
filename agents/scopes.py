"""What a token may be used for: the scopes as data, and which one a request needs. Every scope includes looking.

The API and the streams ask ``needed`` for each request that comes with a token, by its method and address alone, so
an address nobody has thought of here needs the widest scope.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.errors import Invalid

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Scope:
    """One word of a token, what it lets its bearer do, and the families of actions that is."""

    name: str
    sentence: str
    families: frozenset[str] = frozenset()


SCOPES: dict[str, Scope] = {
    scope.name: scope
    for scope in (
        Scope("read", "See what its person sees, change nothing"),
        Scope("chat", "Send messages, stop runs, answer what they ask", frozenset({"conversation", "run"})),
        Scope(
            "agents",
            "Make, change and share agents and souls, with their secrets and sandboxes",
            frozenset({"agent", "soul", "sandbox", "secret", "document", "workspace"}),
        ),
        Scope("admin", "Everything its person may: models, policies, people, tokens too"),
    )
}

# The first word of an API address -> the family of actions its writes belong to; every other is for "admin".
FAMILIES = {
    "conversations": "conversation",
    "runs": "run",
    "approvals": "run",
    "agents": "agent",
    "souls": "soul",
    "sandboxes": "sandbox",
}


def needed(method: str, path: str) -> str:
    """The scope this request needs of a token: "read" for looking, the family's for a change, else "admin"."""
    if method.upper() in SAFE_METHODS:
        return "read"
    family = FAMILIES.get(path.removeprefix("/api/").partition("/")[0], "")
    return next((scope.name for scope in SCOPES.values() if family in scope.families), "admin")


def covers(scopes: str, scope: str) -> bool:
    """Do these words of a token include ``scope``?"""
    words = scopes.split()
    return scope in words or "admin" in words or (scope == "read" and bool(words))


def stored(words: list[str] | None) -> str:
    """``words`` as a token keeps them, in the table's order and without what a wider one includes; None is "admin".

    Raises Invalid for none at all or one that is unknown."""
    if words is None:
        return "admin"
    chosen = set(words)
    if not chosen or chosen - set(SCOPES):
        raise Invalid(
            "Say what the token is for." if not chosen else "There is no such scope.",
            field="scopes",
            action=f"There are: {', '.join(SCOPES)}.",
        )
    if "admin" in chosen:
        return "admin"
    return " ".join(name for name in SCOPES if name in chosen - {"read"}) or "read"
