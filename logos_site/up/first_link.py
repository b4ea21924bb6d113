"""The one-time link of the first start: whoever reads the console may make the administrator, nobody else.

Only the SHA-256 of the token is kept, in the state directory; every ``issue`` replaces the one before.
The link is dead as soon as an administrator exists, whatever the file says.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from agents.errors import Conflict
from agents.models import Role, User


def issue() -> str:
    """A new token, or "" when an administrator exists and nothing is left to do."""
    if administrator_exists():
        close()
        return ""
    token = secrets.token_urlsafe(32)
    partial = _path().with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(_digest(token))
    partial.replace(_path())
    return token


def is_open(token: str) -> bool:
    """Is this the token last issued, and is there still no administrator? Takes the same time for every wrong token."""
    try:
        expected = _path().read_text().strip()
    except OSError:
        return False
    return hmac.compare_digest(_digest(token), expected) and not administrator_exists()


@contextmanager
def taken() -> Iterator[None]:
    """The link is ours alone meanwhile, and used up afterwards; it opens again if what we do with it fails.

    Conflict when another request has it or has used it."""
    held = _path().with_suffix(f".taken.{secrets.token_hex(4)}")
    try:
        _path().rename(held)
    except OSError as error:
        raise Conflict("This link is being used already.", action="Reload the page.") from error
    try:
        yield
    except BaseException:
        held.rename(_path())
        raise
    held.unlink()


def close() -> None:
    """No token opens the page any more. Closing twice is not an error."""
    _path().unlink(missing_ok=True)


def administrator_exists() -> bool:
    """Is there anybody who may administer, suspended or not?"""
    return User.objects.filter(role=Role.ADMIN).exists()


def _path() -> Path:
    return settings.LOGOS_HOME / "first_run"


def _digest(token: str) -> str:
    # 256 random bits: a plain fast hash cannot be searched.
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
