"""One archive of everything Logos keeps about a person: asked for, made in the background, fetched, removed again.

A zip of JSON files and a README that says what is in each. It is written row by row to a file only Logos may read.
Rooms above add what they hold to ``PARTS`` in ``AppConfig.ready``.
"""

from __future__ import annotations

import json
import logging
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django_q.tasks import async_task

from agents import acting, audit, guarding, people, privacy
from agents.errors import Conflict, Invalid, NotFound
from agents.guarding import GRANTS
from agents.models import (
    Agent,
    AgentDocument,
    AgentNote,
    AgentSecret,
    ApiToken,
    DataExport,
    ExportState,
    SecurityEvent,
    Soul,
    SoulRevision,
    User,
)

logger = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=3)
# A job that is older is not wanted any more.
GIVEN_UP = timedelta(hours=2)
# A job says that it lives between rows; one that was not heard of for so long died with its process.
BEAT_S = 10.0
SILENCE = timedelta(minutes=2)
MOST_ATTEMPTS = 3
UNFINISHED = ".part"

Rows = Iterable[dict[str, Any]]
Part = tuple[str, str, bool, Callable[[User], Rows]]

# (file, what is in it, whether it holds what was said, rows)
PARTS: list[Part] = []


def of(person: User, asker: User) -> QuerySet[DataExport]:
    """The archives of ``person`` that ``asker`` asked for, the newest first."""
    return DataExport.objects.filter(person=person, asked_by=asker)


def ask(actor: User, person: User) -> DataExport:
    """Have an archive made: one's own, or somebody's by whoever manages people. While chats are private, an
    archive somebody else asks for holds no contents. Asking twice while one is made is one."""
    if actor != person:
        people.require(actor)
    sweep()
    contents = actor == person or not privacy.is_on()
    try:
        with transaction.atomic():
            row = DataExport.objects.create(person=person, asked_by=actor, with_contents=contents)
            audit.note("export_asked", actor=actor, person=person, contents=contents)
    except IntegrityError:
        return of(person, actor).filter(state__in=(ExportState.QUEUED, ExportState.RUNNING)).get()
    transaction.on_commit(lambda: async_task("agents.exporting.make", row.pk, group=row.pk) and None)
    return row


def fetch(actor: User, export_id: str) -> DataExport:
    """The archive of this id, ready, if ``actor`` asked for it and may still have it; NotFound otherwise."""
    row = DataExport.objects.select_related("person").filter(pk=export_id, asked_by=actor).first()
    if row is None or row.state != ExportState.READY or row.expires_at is None or row.expires_at <= timezone.now():
        raise NotFound("This archive")
    if row.person != actor:
        people.require(actor)
        if row.with_contents and privacy.is_on():
            raise Conflict("Chats are private now.", action="Ask for another archive; it holds no contents.")
    if not path_of(row.pk).exists():
        raise NotFound("This archive")
    return row


def opened(actor: User, export_id: str) -> tuple[DataExport, Any]:
    """The archive and its open file; noted as fetched."""
    row = fetch(actor, export_id)
    file = path_of(row.pk).open("rb")
    row.fetched_at = timezone.now()
    row.save(update_fields=["fetched_at"])
    audit.note("export_fetched", actor=actor, person=row.person)
    return row, file


def make(export_id: str) -> None:
    """Write the archive. May be called twice: the second call finds it taken and returns."""
    taken = DataExport.objects.filter(pk=export_id, state=ExportState.QUEUED).update(
        state=ExportState.RUNNING, attempts=F("attempts") + 1, beat_at=timezone.now()
    )
    if not taken:
        return
    row = DataExport.objects.select_related("person").get(pk=export_id)
    # Of this attempt alone: one that was taken for dead and goes on writes elsewhere.
    unfinished = _folder() / f"{row.pk}.{row.attempts}{UNFINISHED}"
    try:
        with acting.through("task", None):
            _write(row, unfinished)
        size = unfinished.stat().st_size
        unfinished.replace(path_of(row.pk))
    except Exception:
        logger.exception("The archive %s was not made", row.pk)
        unfinished.unlink(missing_ok=True)
        _end(row, state=ExportState.FAILED, problem="It could not be made; the server log has the details.")
    else:
        now = timezone.now()
        _end(row, state=ExportState.READY, size=size, ready_at=now, expires_at=now + KEPT_FOR)


def _end(row: DataExport, **fields: Any) -> None:
    DataExport.objects.filter(pk=row.pk, state=ExportState.RUNNING, attempts=row.attempts).update(**fields)


def revive() -> int:
    """Begin archives anew whose process was killed; those it kills each time have failed. How many were found. Called
    every minute."""
    now = timezone.now()
    silent = Q(beat_at__lt=now - SILENCE) | Q(beat_at=None, created_at__lt=now - SILENCE)
    dead = list(DataExport.objects.filter(silent, state=ExportState.RUNNING))
    for row in dead:
        (_folder() / f"{row.pk}.{row.attempts}{UNFINISHED}").unlink(missing_ok=True)
        if row.attempts >= MOST_ATTEMPTS:
            _end(row, state=ExportState.FAILED, problem="The process that made it was ended each time; ask again.")
            continue
        mine = DataExport.objects.filter(pk=row.pk, state=ExportState.RUNNING, attempts=row.attempts)
        if mine.update(state=ExportState.QUEUED):
            async_task("agents.exporting.make", row.pk, group=row.pk)
    return len(dead)


def write_to(actor: User, person: User, path: Path) -> None:
    """Write an archive to a new file, at once, for whoever manages people. Conflict when the file is there."""
    people.require(actor)
    row = DataExport(person=person, asked_by=actor, with_contents=not privacy.is_on())
    if path.exists():
        raise Conflict(f"{path} is there already.", action="Choose another name.")
    audit.note("export_asked", actor=actor, person=person, contents=row.with_contents)
    try:
        _write(row, path)
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}.", field="to") from error


def sweep() -> int:
    """Remove archives that have expired, jobs that died, and files nobody knows; how many rows went."""
    now = timezone.now()
    old = DataExport.objects.filter(
        Q(expires_at__lte=now) | Q(created_at__lt=now - GIVEN_UP, state__in=(ExportState.QUEUED, ExportState.RUNNING))
    )
    names = list(old.values_list("pk", flat=True))
    count = old.delete()[0] if names else 0
    known = set(DataExport.objects.values_list("pk", flat=True))
    for file in _folder().iterdir():
        if file.name.partition(".")[0] not in known:
            file.unlink(missing_ok=True)
    return count


def forget(person: User) -> None:
    """Every archive of or by ``person`` goes, with its file."""
    for row in DataExport.objects.filter(Q(person=person) | Q(asked_by=person)):
        path_of(row.pk).unlink(missing_ok=True)
        row.delete()


def path_of(export_id: str) -> Path:
    """Where the archive lies."""
    return _folder() / f"{export_id}.zip"


def _folder() -> Path:
    folder = Path(settings.LOGOS_HOME) / "exports"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _write(row: DataExport, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    parts = [part for part in (*OWN, *PARTS) if row.with_contents or not part[2]]
    beat_at = time.monotonic()
    with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.md", _readme(row, parts))
        for name, _, _, rows in parts:
            with archive.open(name, "w", force_zip64=True) as entry:
                for piece in _json(rows(row.person)):
                    entry.write(piece.encode(errors="replace"))
                    if time.monotonic() - beat_at > BEAT_S:
                        beat_at = time.monotonic()
                        DataExport.objects.filter(pk=row.pk).update(beat_at=timezone.now())


def _json(rows: Rows) -> Iterator[str]:
    """A JSON list, a row at a time."""
    glue = "[\n"
    for row in rows:
        yield glue + json.dumps(row, ensure_ascii=False, default=str)
        glue = ",\n"
    yield "[]\n" if glue == "[\n" else "\n]\n"


def _readme(row: DataExport, parts: list[Part]) -> str:
    lines = [f"- `{name}`: {words}" for name, words, _, _ in parts]
    left = "" if row.with_contents else "Chats are private here: this archive holds nothing of what was said.\n\n"
    head = f"# What Logos keeps about {row.person.username}\n\nMade {timezone.now():%Y-%m-%d %H:%M} UTC.\n\n"
    tail = (
        "\n\nEvery file is a JSON list. Times are UTC, money is USD. Passwords, keys and the secrets of tokens are not in "
        "it: Logos keeps only what proves them.\n"
    )
    return head + left + "\n".join(lines) + tail


def values(rows: QuerySet[Any], *names: str) -> Iterator[dict[str, Any]]:
    """These columns of rows, read in pieces."""
    yield from rows.values(*names).iterator(chunk_size=500)


def _profile(person: User) -> Rows:
    names = ("username", "first_name", "last_name", "email", "role", "is_active", "date_joined", "last_login")
    groups = sorted(person.groups.values_list("name", flat=True))
    yield {**{name: getattr(person, name) for name in names}, "groups": groups}


def _grants(person: User) -> Rows:
    for model, (by_person, _) in GRANTS.items():
        rows = by_person._default_manager.filter(user=person)
        for pk, code in rows.values_list("content_object_id", "permission__codename").iterator():
            yield {"kind": guarding.noun(model), "id": pk, "level": code.partition("_")[0]}


def _events(person: User) -> Rows:
    names = ("id", "at", "kind", "object_kind", "object_name", "via", "address", "detail", "actor_id")
    for row in values(SecurityEvent.objects.filter(Q(actor=person) | Q(person=person)).order_by("pk"), *names):
        # Where somebody else was when they did it is theirs; who failed to sign in is nobody yet.
        is_others = row.pop("actor_id") not in (None, person.pk)
        yield {**row, "address": "" if is_others else row["address"]}


OWN: list[Part] = [
    ("profile.json", "Name, e-mail, role, groups.", False, _profile),
    (
        "agents.json",
        "The agents you own, also deleted ones.",
        False,
        lambda person: values(
            Agent.objects.filter(owner=person),
            *("id", "name", "description", "visibility", "soul_id", "toolsets", "created_at", "deleted_at"),
        ),
    ),
    (
        "souls.json",
        "The souls you own, as they are now.",
        True,
        lambda person: values(
            Soul.objects.filter(owner=person), "id", "name", "slug", "description", "text", "revision"
        ),
    ),
    (
        "soul_revisions.json",
        "Every text those souls have had.",
        True,
        lambda person: values(
            SoulRevision.objects.filter(soul__owner=person), "soul_id", "number", "text", "note", "created_at"
        ),
    ),
    (
        "documents.json",
        "The documents of your agents.",
        True,
        lambda person: values(
            AgentDocument.objects.filter(agent__owner=person), "agent_id", "path", "text", "updated_at"
        ),
    ),
    (
        "notes.json",
        "What your agents have noted for later.",
        True,
        lambda person: values(
            AgentNote.objects.filter(agent__owner=person), "agent_id", "text", "is_own", "run_id", "updated_at"
        ),
    ),
    (
        "secrets.json",
        "The names of your agents' secrets, never their values.",
        False,
        lambda person: values(AgentSecret.objects.filter(agent__owner=person), "agent_id", "name", "set_at"),
    ),
    ("grants.json", "What others gave you access to.", False, _grants),
    (
        "tokens.json",
        "Your API tokens, without their secrets.",
        False,
        lambda person: values(
            ApiToken.objects.filter(user=person),
            *("name", "hint", "created_at", "last_used_at", "expires_at", "revoked_at"),
        ),
    ),
    (
        "sessions.json",
        "The browsers you are signed in with.",
        False,
        lambda person: values(
            UserSession.objects.filter(user=person), "ip", "user_agent", "created_at", "last_seen_at"
        ),
    ),
    (
        "second_factors.json",
        "Your second factors, without their keys.",
        False,
        lambda person: values(Authenticator.objects.filter(user=person), "type", "created_at", "last_used_at"),
    ),
    ("security_events.json", "What happened to your account, and what you did to others'.", False, _events),
]
