"""Write souls: what a text may hold, and a revision for every change."""

from __future__ import annotations

import hashlib
import unicodedata

from django.db import transaction
from django.utils.text import slugify

from agents.errors import Invalid
from agents.invisible import first_hidden, name_of
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

    Characters nobody can see are refused (``agents.invisible`` says which, and which uses are fine), because
    they carry instructions past the person who reads the soul. They are named, not repaired.
    """
    if not text.strip():
        return "A soul cannot be empty."
    if len(text) > MAX_CHARS:
        return f"A soul may have {MAX_CHARS:,} characters; this one has {len(text):,}."
    if (index := first_hidden(text)) is not None:
        line = text.count("\n", 0, index) + 1
        return f"Line {line} holds an invisible character ({name_of(text[index])}). Remove it and save again."
    return ""


def check(text: str) -> str:
    """The text with line ends made plain; Invalid if it cannot be a soul."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if problem := problem_in(text):
        raise Invalid(problem, field="text")
    return text


def clean_name(name: str) -> str:
    """The name without surrounding blanks; Invalid when empty, too long or holding what cannot be seen."""
    name = unicodedata.normalize("NFC", name.strip())
    if not name:
        raise Invalid("A soul needs a name.", field="name")
    if len(name) > 80:
        raise Invalid("A soul's name may have 80 characters.", field="name")
    if "\n" in name or "\t" in name or first_hidden(name) is not None:
        raise Invalid("The name holds an invisible character.", field="name")
    return name


@transaction.atomic
def create(
    name: str, text: str, author: User | None, *, description: str = "", visibility: str = Visibility.PRIVATE
) -> Soul:
    """A new soul with revision 1."""
    name, text = clean_name(name), check(text)
    soul = Soul.objects.create(
        name=name,
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
    # Compared with what is stored now: the caller's copy may be older than somebody else's revision.
    now = Soul.objects.select_for_update().get(pk=soul.pk)
    if text != now.text:
        now.text, now.revision = text, now.revision + 1
        now.save(update_fields=["text", "revision", "updated_at"])
        _record(now, author)
    soul.refresh_from_db()
    return soul


def _record(soul: Soul, author: User | None) -> None:
    digest = hashlib.sha256(soul.text.encode()).hexdigest()
    SoulRevision.objects.create(soul=soul, number=soul.revision, text=soul.text, sha256=digest, author=author)


def _free_slug(name: str) -> str:
    base = slugify(name)[:70] or "soul"
    taken = set(Soul.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    return base if base not in taken else next(s for n in range(2, 10_000) if (s := f"{base}-{n}") not in taken)
