"""Write souls: what a text may hold, and a revision for every change."""

from __future__ import annotations

import hashlib
import unicodedata

from django.db import transaction
from django.db.models import F
from django.utils.text import slugify

from agents.errors import Invalid
from agents.models import Soul, SoulRevision, User, Visibility

MAX_CHARS = 20_000

STARTER_NAME = "Steady hand"
STARTER_TEXT = """\
You are a calm, exact assistant who gets things done on a real machine.

- Say in one line what you are about to do, then do it.
- Prefer looking over guessing: run the command, read the file.
- Report what happened, numbers and file names included. If something failed, say so plainly and say what you would try next.
- Keep answers short. Use a list only when there is a list.
"""


def problem_in(text: str) -> str:
    """Why this text cannot be a soul, as one sentence; "" if it can.

    Characters nobody can see (zero-width, bidirectional controls, tags, other controls) are refused,
    because they carry instructions past the person who reads the soul. Joiners inside emoji and the
    zero-width non-joiner of several scripts are format characters too: they are named, not repaired.
    """
    if not text.strip():
        return "A soul cannot be empty."
    if len(text) > MAX_CHARS:
        return f"A soul may have {MAX_CHARS:,} characters; this one has {len(text):,}."
    for number, line in enumerate(text.splitlines(), start=1):
        for character in line:
            if character != "\t" and unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs", "Cn"}:
                name = unicodedata.name(character, "a control character").lower()
                return f"Line {number} holds an invisible character (U+{ord(character):04X}, {name}). Remove it and save again."
    return ""


def check(text: str) -> str:
    """The text with line ends made plain; Invalid if it cannot be a soul."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if problem := problem_in(text):
        raise Invalid(problem, field="text")
    return text


@transaction.atomic
def create(
    name: str, text: str, author: User | None, *, description: str = "", visibility: str = Visibility.PRIVATE
) -> Soul:
    """A new soul with revision 1."""
    text = check(text)
    soul = Soul.objects.create(
        name=name.strip(),
        slug=_free_slug(name),
        text=text,
        description=description,
        owner=author,
        visibility=visibility,
    )
    _record(soul, author)
    return soul


@transaction.atomic
def revise(soul: Soul, text: str, author: User | None) -> Soul:
    """Save a new text as the next revision; the same text changes nothing. Takes effect on the next message."""
    text = check(text)
    if text == soul.text:
        return soul
    Soul.objects.filter(pk=soul.pk).update(revision=F("revision") + 1, text=text)
    soul.refresh_from_db()
    _record(soul, author)
    return soul


def _record(soul: Soul, author: User | None) -> None:
    digest = hashlib.sha256(soul.text.encode()).hexdigest()
    SoulRevision.objects.create(soul=soul, number=soul.revision, text=soul.text, sha256=digest, author=author)


def _free_slug(name: str) -> str:
    base = slugify(name)[:70] or "soul"
    taken = set(Soul.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    return base if base not in taken else next(s for n in range(2, 10_000) if (s := f"{base}-{n}") not in taken)
