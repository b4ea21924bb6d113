"""Seal, open and redact credentials: nothing readable in a stolen database, nothing secret in a log or an event."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from agents.errors import LogosError

MASK = "••••••"

# Shapes that are secrets wherever they appear. Tool output decides what this runs over, so every piece begins
# where a word begins and repeats without going back: the time stays linear in the text. Words of prose look like
# some shapes ("bearer authentication", "sk-learn-…"); what is hidden must look random: a digit, a capital in the
# middle, or twenty letters without a break.
_RANDOM = r"(?=[A-Za-z._-]{0,80}(?:[0-9]|[a-z][A-Z])|[A-Za-z_-]{0,20}[A-Za-z]{20})"
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?i:authorization[\"']?[ \t]{0,3}[:=][ \t]{0,3}[\"']?(?:bearer|basic|token)[ \t]{1,8})[A-Za-z0-9._~+/=-]++"
    rf"|(?i:bearer[ \t]{{1,8}}){_RANDOM}[A-Za-z0-9._~+/=-]{{12,}}+"
    rf"|(?:sk|pk|rk)-{_RANDOM}[A-Za-z0-9_-]{{16,}}+"
    r"|(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{16,}+"
    r"|logos_[A-Za-z0-9_-]{40,}+"
    r"|gh[pousr]_[A-Za-z0-9]{16,}+"
    r"|(?:github_pat_|glpat-|xox[abeposr]-|xapp-)[A-Za-z0-9_-]{16,}+"
    r"|(?:hf|gsk|npm)_[A-Za-z0-9]{30,}+"
    r"|AIza[A-Za-z0-9_-]{35}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Za-z])"
    r"|eyJ[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{5,}+"
    r")"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)"
    # the name and password in an address
    r"|(?<=://)[^\s/:@\"'<>]{0,80}:[^\s/:@\"'<>]{3,200}(?=@)",
    re.DOTALL,
)
# Cheap look before the expensive one: text without any of these cannot hold a shape.
_HINTS = (
    *("sk-", "pk-", "rk-", "sk_", "pk_", "rk_", "logos_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    *("glpat-", "xox", "xapp-", "hf_", "gsk_", "npm_", "AIza", "AKIA", "ASIA", "eyJ", "PRIVATE KEY", "://"),
)
_WORD_HINTS = ("bearer", "authorization")

# How secrets begin, for text that still grows: a beginning at its end, whole or in part, may become one.
_BEGINNINGS = _HINTS[: _HINTS.index("PRIVATE KEY")]


def _parts(words: tuple[str, ...]) -> str:
    return "|".join(re.escape(word[:length]) for word in words for length in range(len(word), 0, -1))


_HALF = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    rf"(?:{'|'.join(_BEGINNINGS)})[A-Za-z0-9._-]*+"
    rf"|{_parts(_BEGINNINGS)}|(?i:{_parts(_WORD_HINTS)})"
    r"|(?i:bearer)[ \t]{1,8}[A-Za-z0-9._~+/=-]*+"
    r"|(?i:authorization)[\"']?[ \t]{0,3}(?:[:=][^\n]{0,400}+)?"
    r")\Z"
    rf"|(?:{_parts(('-----BEGIN',))})\Z|-----BEGIN[A-Z ]{{0,50}}-{{0,5}}\Z"
    # No possessive group here: Python 3.11.0 to 3.11.2 (Debian 12) match those wrongly.
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?!.*?-----END [A-Z ]{0,40}PRIVATE KEY-----)"
    r"|:/?\Z|(?<=:)//[^\s/@\"'<>]*+\Z",
    re.DOTALL,
)
_LONGEST = 16_000


def _box() -> MultiFernet:
    return MultiFernet([Fernet(key.strip()) for key in settings.LOGOS_SEAL_KEYS if key.strip()])


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


def forms(values: Iterable[str]) -> frozenset[str]:
    """The ways in which these secrets may stand in a record: as they are, quoted, encoded, and line by line."""
    found: set[str] = set()
    for value in values:
        raw = value.encode()
        found |= {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], quote(value, safe="")}
        found |= {base64.b64encode(raw).decode().rstrip("="), raw.hex()}
        lines = value.split("\n")
        found |= {line.strip() for line in lines if len(line.strip()) >= 12} if len(lines) > 1 else set()
    return frozenset(form for form in found if len(form) >= 6)


def redact(text: str, known: Iterable[str] = ()) -> str:
    """``text`` with every known secret and everything shaped like one masked."""
    for secret in sorted(known, key=len, reverse=True):
        if len(secret) >= 6:
            text = text.replace(secret, MASK)
    return _SHAPES.sub(MASK, text) if _may_hold_one(text) else text


def _may_hold_one(text: str) -> bool:
    # Twenty plain searches cost a twentieth of one search for twenty alternatives.
    if any(hint in text for hint in _HINTS):
        return True
    lower = text.lower()
    return any(hint in lower for hint in _WORD_HINTS)


def settled(text: str, known: Iterable[str] = ()) -> int:
    """How much of a text that still grows can be redacted and shown: what follows may be half a secret."""
    tail = _HALF.search(text, max(0, len(text) - _LONGEST))
    return min((tail.start() if tail else len(text)), *(_before_half(text, secret) for secret in known), len(text))


def _before_half(text: str, secret: str) -> int:
    """Where the beginning of ``secret`` with which ``text`` ends, begins; the length of the text when there is none."""
    at = text.find(secret[0], max(0, len(text) - len(secret) + 1))
    while at >= 0:
        if secret.startswith(text[at:]):
            return at
        at = text.find(secret[0], at + 1)
    return len(text)
