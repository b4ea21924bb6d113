"""Seal every stored secret with the newest key: in batches, each whole or not at all, as often as one likes.

Every room names its sealed columns in ``SEALED`` when its app is ready. Between two batches the process may die:
rows are under one key or the other, both open as long as both keys are configured, and the next call goes on.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import transaction
from django.db.models import Model

from agents.errors import Conflict, Invalid
from agents.models import AgentSecret, Provider

BATCH = 100
_BEGINS = "gAAAA"  # version 128 and the first bytes of a time: how every sealed text begins


@dataclass(frozen=True, slots=True)
class Sealed:
    """A column of sealed texts, or of JSON that holds some."""

    model: type[Model]
    column: str


@dataclass(slots=True)
class Count:
    """How many rows of a column are under the newest key, under an older one, and under none we have."""

    newest: int = 0
    older: int = 0
    broken: int = 0
    broken_ids: list[str] = field(default_factory=list)


SEALED: list[Sealed] = [Sealed(Provider, "sealed_key"), Sealed(AgentSecret, "sealed")]

Progress = Callable[[Sealed, int], None]


def look() -> dict[str, Count]:
    """Every sealed column and how its rows are sealed; changes nothing."""
    return {_name(sealed): _look(sealed) for sealed in SEALED}


def reseal(progress: Progress = lambda sealed, done: None) -> int:
    """Seal with the newest key what is under an older one; the number of rows changed. What no key opens stays as it
    is. ``progress`` is called after each batch, when it is committed."""
    box, newest, changed = _box(), Fernet(_keys()[0]), 0
    for sealed in SEALED:
        for ids in _batches(sealed):
            done = _reseal(sealed, ids, box, newest)
            changed += done
            progress(sealed, done)
    return changed


def add_key() -> None:
    """Put a new key before the others, in the state directory. Processes use it once they are restarted.

    Raises Invalid when the keys come from elsewhere, Conflict while secrets are still under an older key."""
    path = _key_file()
    if any(count.older for count in look().values()):
        raise Conflict(
            "Some secrets are still under an older key.",
            reason="rotation_unfinished",
            action="Run rotate-secrets first.",
        )
    write_keys(path, [Fernet.generate_key().decode(), *_stored(path)])


def forget_old_keys() -> int:
    """Keep only the newest key, if nothing is sealed with another; the number of keys forgotten."""
    path = _key_file()
    counts = look().values()
    if any(count.older or count.broken for count in counts):
        raise Conflict(
            "Some secrets are not under the newest key.",
            reason="rotation_unfinished",
            action="Run rotate-secrets, then rotate-secrets --check.",
        )
    stored = _stored(path)
    if stored[:1] != _keys()[:1]:
        raise Conflict("The key file has changed meanwhile.", reason="rotation_unfinished", action="Try again.")
    write_keys(path, stored[:1])
    return len(stored) - 1


def write_keys(path: Path, keys: list[str]) -> None:
    """Replace the key file by a whole new one: a crash leaves the old or the new, and nobody else can read either."""
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=".seal_keys.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(",".join(keys))
            file.flush()
            os.fsync(descriptor)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _key_file() -> Path:
    if os.environ.get("LOGOS_SEAL_KEYS") or os.environ.get("LOGOS_SEAL_KEYS_FILE"):
        raise Invalid(
            "The seal keys come from LOGOS_SEAL_KEYS or LOGOS_SEAL_KEYS_FILE, not from the state directory.",
            reason="keys_elsewhere",
            action="Put a new key before the others there, separated by a comma, restart, then run rotate-secrets.",
        )
    return Path(settings.LOGOS_SECRETS) / "seal_keys"


def _stored(path: Path) -> list[str]:
    return [key.strip() for key in path.read_text().split(",") if key.strip()]


def _keys() -> list[str]:
    return [key.strip() for key in settings.LOGOS_SEAL_KEYS if key.strip()]


def _box() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in _keys()])


def _name(sealed: Sealed) -> str:
    return f"{sealed.model._meta.verbose_name}.{sealed.column}"


def _batches(sealed: Sealed) -> Iterator[list[Any]]:
    last: Any = None
    while True:
        rows = sealed.model._default_manager.order_by("pk")
        ids = list((rows.filter(pk__gt=last) if last is not None else rows).values_list("pk", flat=True)[:BATCH])
        if not ids:
            return
        yield ids
        last = ids[-1]


def _look(sealed: Sealed) -> Count:
    box, newest, count = _box(), Fernet(_keys()[0]), Count()
    for ids in _batches(sealed):
        rows = sealed.model._default_manager.filter(pk__in=ids).values_list("pk", sealed.column)
        for pk, value in rows:
            states = {_state(text, box, newest) for text in _texts(value)}
            if "broken" in states:
                count.broken += 1
                count.broken_ids.append(str(pk))
            elif states:
                count.older += "older" in states
                count.newest += "older" not in states
    return count


def _state(text: str, box: MultiFernet, newest: Fernet) -> str:
    for state, opener in (("newest", newest), ("older", box)):
        try:
            opener.decrypt(text.encode())
        except InvalidToken:
            continue
        return state
    return "broken"


@transaction.atomic
def _reseal(sealed: Sealed, ids: list[Any], box: MultiFernet, newest: Fernet) -> int:
    rows, changed = sealed.model._default_manager.filter(pk__in=ids), 0
    for pk, value in rows.select_for_update().values_list("pk", sealed.column):
        anew = _renewed(value, box, newest)
        if anew != value:
            # Only what was read: a secret that somebody set in this moment is newer than what we hold.
            changed += rows.filter(pk=pk, **{sealed.column: value}).update(**{sealed.column: anew})
    return changed


def _renewed(value: Any, box: MultiFernet, newest: Fernet) -> Any:
    if isinstance(value, dict):
        return {key: _renewed(item, box, newest) for key, item in value.items()}
    if isinstance(value, list):
        return [_renewed(item, box, newest) for item in value]
    if not isinstance(value, str) or not value.startswith(_BEGINS) or _state(value, box, newest) != "older":
        return value
    return box.rotate(value.encode()).decode()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif isinstance(value, str) and value.startswith(_BEGINS):
        yield value
