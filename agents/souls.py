"""Write souls: what each part may hold, one save per change, and a revision for every change of the text."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from django.db import transaction
from django.utils.text import slugify

from agents import starters
from agents.errors import Invalid
from agents.invisible import first_hidden, name_of
from agents.models import Soul, SoulRevision, SoulStatus, User, Visibility
from agents.soul_files import Sheet
from agents.starters import Starter
from agents.toolsets import LISTS, NO_LISTS, ToolsetLists, check_lists

MAX_CHARS = 20_000
MAX_TAGS = 10
MAX_TAG_CHARS = 30

# What the pages suggest; any other word does as well.
CATEGORIES = (
    "general",
    "engineering",
    "operations",
    "security",
    "research",
    "data",
    "writing",
    "learning",
    "planning",
    "home",
)

# The soul of whoever chooses none.
STARTER = starters.get(starters.DEFAULT)
STARTER_NAME, STARTER_TEXT = STARTER.sheet.name, STARTER.sheet.text

_TAG = re.compile(r"\w[\w.+-]*", re.UNICODE)


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


def plain_lines(text: str) -> str:
    """The text with line ends made plain."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check(text: str) -> str:
    """The text with line ends made plain; Invalid if it cannot be a soul."""
    text = plain_lines(text)
    if problem := problem_in(text):
        raise Invalid(problem, field="text")
    return text


def clean_name(name: str) -> str:
    """The name without surrounding blanks; Invalid when empty, too long or holding what cannot be seen."""
    name = unicodedata.normalize("NFC", name.strip())
    if not name:
        raise Invalid("A soul needs a name.", field="name")
    return _one_line(name, "name", "A soul's name", 80)


def clean_description(description: str) -> str:
    """One line of at most 300 characters that can be read."""
    return _one_line(description.strip(), "description", "A description", 300)


def clean_category(category: str) -> str:
    """A word or two in lower case; "" for none."""
    return _one_line(" ".join(category.split()).lower(), "category", "A category", 40)


def clean_tags(tags: str | Iterable[str]) -> str:
    """Words in lower case, each once, in alphabetical order, with blanks between them."""
    given = re.split(r"[\s,;]+", tags) if isinstance(tags, str) else tags
    words = sorted({unicodedata.normalize("NFC", word.strip().lower()) for word in given} - {""})
    for word in words:
        if not _TAG.fullmatch(word) or len(word) > MAX_TAG_CHARS:
            raise Invalid(
                f"“{word[:40]}” cannot be a tag.",
                field="tags",
                action=f"A tag is one word of at most {MAX_TAG_CHARS} letters, digits, dots and dashes.",
            )
    if len(words) > MAX_TAGS:
        raise Invalid(f"A soul may have {MAX_TAGS} tags; these are {len(words)}.", field="tags")
    return " ".join(words)


def clean_status(status: str) -> str:
    """One of the statuses there are."""
    if status not in SoulStatus.values:
        raise Invalid(f"A soul is {', '.join(SoulStatus.values[:-1])} or {SoulStatus.values[-1]}.", field="status")
    return status


_CLEANERS: dict[str, Callable[[Any], Any]] = {
    "name": clean_name,
    "description": clean_description,
    "category": clean_category,
    "tags": clean_tags,
    "status": clean_status,
    "text": check,
    "toolsets": check_lists,
}


def cleaned(**parts: Any) -> dict[str, Any]:
    """The parts of a soul (name, description, category, tags, status, text, toolsets) as its columns hold them.
    Raises Invalid for the first that cannot be."""
    columns = {name: _CLEANERS[name](value) for name, value in parts.items()}
    lists: ToolsetLists | None = columns.pop("toolsets", None)
    if lists is not None:
        columns |= {f"{kind}_toolsets": list(lists.of(kind)) for kind in LISTS}
    return columns


@transaction.atomic
def create(
    name: str,
    text: str,
    author: User | None,
    *,
    description: str = "",
    visibility: str = Visibility.PRIVATE,
    category: str = "",
    tags: str | Iterable[str] = "",
    status: str = SoulStatus.ACTIVE,
    toolsets: ToolsetLists = NO_LISTS,
    origin: str = "",
    note: str = "",
) -> Soul:
    """A new soul with revision 1. ``origin`` says what it was made from, ``note`` what the revision is."""
    columns = cleaned(
        name=name,
        text=text,
        description=description,
        category=category,
        tags=tags,
        status=status,
        toolsets=toolsets,
    )
    soul = Soul.objects.create(
        **columns, slug=_free_slug(columns["name"]), owner=author, visibility=visibility, origin=origin[:200]
    )
    _record(soul, author, note)
    return soul


def from_starter(starter: Starter, author: User | None, **parts: Any) -> Soul:
    """A soul of ``author`` that says what a starter soul says, but for what ``parts`` names."""
    note = f"From the starter soul {starter.sheet.name}"
    return create(**{**starter.sheet.parts(), "origin": starter.origin, "note": note, **parts}, author=author)


def sheet_of(soul: Soul) -> Sheet:
    """What a person wrote of this soul."""
    return Sheet(soul.name, soul.description, soul.category, tuple(soul.tag_list), soul.toolsets, soul.text)


@transaction.atomic
def change(soul: Soul, author: User | None, *, note: str = "", **parts: Any) -> Soul:
    """Save new parts of a soul (those of ``cleaned``) at once; another text is the next revision. What is the same
    already changes nothing. Agents that have the soul use it from their next message on."""
    columns = cleaned(**parts)
    # Compared with what is stored now: the caller's copy may be older than somebody else's revision.
    now = Soul.objects.select_for_update().get(pk=soul.pk)
    changed = {name: value for name, value in columns.items() if getattr(now, name) != value}
    for name, value in changed.items():
        setattr(now, name, value)
    if changed:
        now.revision += "text" in changed
        now.save(update_fields=[*changed, "revision", "updated_at"])
    if "text" in changed:
        _record(now, author, note)
    soul.refresh_from_db()
    return soul


def revise(soul: Soul, text: str, author: User | None, *, note: str = "") -> Soul:
    """Save a new text as the next revision; the same text changes nothing. Takes effect on the next message."""
    return change(soul, author, note=note, text=text)


def restore(soul: Soul, number: int, author: User | None) -> Soul:
    """Make the text of an earlier revision the next one; nothing in between is lost. Invalid for an unknown number."""
    old = soul.revisions.filter(number=number).first()
    if old is None:
        raise Invalid(f"There is no revision {number} of this soul.", field="number")
    return revise(soul, old.text, author, note=f"Revision {number} again")


def _record(soul: Soul, author: User | None, note: str) -> None:
    SoulRevision.objects.create(
        soul=soul, number=soul.revision, text=soul.text, sha256=digest(soul.text), author=author, note=note[:200]
    )


def digest(text: str) -> str:
    """The SHA-256 of a text, as revisions and STAMPs carry it."""
    return hashlib.sha256(text.encode()).hexdigest()


def _one_line(text: str, field: str, what: str, limit: int) -> str:
    if len(text) > limit:
        raise Invalid(f"{what} may have {limit} characters.", field=field)
    if "\n" in text or "\t" in text or first_hidden(text) is not None:
        raise Invalid(f"The {field} holds an invisible character.", field=field)
    return text


def _free_slug(name: str) -> str:
    base = slugify(name)[:70] or "soul"
    taken = set(Soul.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    return base if base not in taken else next(s for n in range(2, 10_000) if (s := f"{base}-{n}") not in taken)
