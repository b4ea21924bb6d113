"""The four answers to a call, from the loosest to the strictest: allow, notify, ask, block."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import TextChoices


class Tier(TextChoices):
    """What becomes of a call."""

    ALLOW = "allow", "Allow"
    NOTIFY = "notify", "Allow and tell"
    ASK = "ask", "Ask first"
    BLOCK = "block", "Block"


ORDER = (Tier.ALLOW, Tier.NOTIFY, Tier.ASK, Tier.BLOCK)

WORDS = {
    Tier.ALLOW: "runs",
    Tier.NOTIFY: "runs, and people are told of it",
    Tier.ASK: "waits for a person",
    Tier.BLOCK: "is refused",
}


def strictness(tier: str) -> int:
    """0 for allow, 3 for block."""
    return ORDER.index(Tier(tier))


def strictest(tiers: Iterable[str]) -> Tier:
    """The strictest of them; there is at least one."""
    return Tier(max(tiers, key=strictness))
