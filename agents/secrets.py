"""Seal, open and redact credentials: nothing readable in a stolen database, nothing secret in a log or an event."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from agents.errors import LogosError

MASK = "••••••"

# Shapes that are secrets wherever they appear: bearer headers, common provider key prefixes, our own
# tokens, JSON web tokens, PEM private keys, and "password=…"-like assignments.
_SHAPES = re.compile(
    r"(?i:bearer\s+)[A-Za-z0-9._~+/=-]{12,}"
    r"|\b(?:sk|pk|rk)-(?:[A-Za-z0-9]+-)?[A-Za-z0-9_-]{16,}"
    r"|\blogos_[A-Za-z0-9_-]{20,}"
    r"|\b(?:gh[pousr]|github_pat|glpat|xox[abposr])[-_][A-Za-z0-9_-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
# Cheap look before the expensive one: text without any of these cannot hold a shape.
_HINTS = re.compile(r"(?i)bearer|sk-|pk-|rk-|logos_|gh[pousr]_|github_pat|glpat|xox|AKIA|eyJ|PRIVATE KEY")


def _box() -> MultiFernet:
    return MultiFernet([Fernet(key.strip()) for key in settings.LOGOS_SEAL_KEYS])


def seal(secret: str) -> str:
    """The secret, encrypted with the newest key; the empty string stays empty."""
    return _box().encrypt(secret.encode()).decode() if secret else ""


def unseal(sealed: str) -> str:
    """The secret again. LogosError(reason="seal_broken") when no configured key opens it."""
    if not sealed:
        return ""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise LogosError(
            "A stored secret cannot be opened with the configured seal keys.",
            reason="seal_broken",
            action="Restore the seal_keys file of this state directory, or enter the secret again.",
        ) from error


def redact(text: str, known: Iterable[str] = ()) -> str:
    """``text`` with every known secret and everything shaped like one masked."""
    for secret in known:
        if len(secret) >= 6:
            text = text.replace(secret, MASK)
    return _SHAPES.sub(MASK, text) if _HINTS.search(text) else text
