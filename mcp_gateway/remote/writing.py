"""What may be written down about a server elsewhere, and what becomes of ``${NAME}`` in its headers (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agents.errors import Invalid
from agents.secrets import redact
from mcp_gateway import launching

MAX_HEADERS, MAX_VALUE = 30, 2_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SCOPES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e ]{0,500}")
_VALUE = re.compile(r"[\x20-\x7e]{0,4096}")
# What we say ourselves, or what belongs to the connection.
_OURS = frozenset(
    {
        *("host", "content-length", "content-type", "content-encoding", "accept", "accept-encoding", "connection"),
        *("transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "expect", "proxy-authorization"),
        *("proxy-connection", "last-event-id", "origin", "forwarded", "x-forwarded-for", "x-forwarded-host"),
    }
)
_SECRETIVE = re.compile(r"(?i)(?:authorization|cookie|token|secret|password|key|credentials?|signature)$")


def clean_headers(headers: Any) -> dict[str, str]:
    """The headers every request carries; what their names say is secret must be a reference."""
    if not isinstance(headers, dict) or len(headers) > MAX_HEADERS:
        raise Invalid(f"Headers are an object of at most {MAX_HEADERS} texts.", field="headers")
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise Invalid(f"{str(name)[:60]!r} is no name of a header.", field="headers")
        if name.lower() in _OURS or name.lower().startswith("mcp-"):
            raise Invalid(f"{name} is a header that Logos itself sends.", field="headers", reason="reserved_name")
        if not isinstance(value, str) or len(value) > MAX_VALUE or not _VALUE.fullmatch(value):
            raise Invalid(f"{name} is one line of at most {MAX_VALUE:,} plain characters.", field="headers")
        bare = launching.REFERENCE.sub("", value)
        if redact(bare) != bare or (_SECRETIVE.search(name) and bare == value and value):
            raise Invalid(
                f"{name} holds a secret, and everybody who sees the server reads headers.",
                field="headers",
                reason="secret_in_headers",
                action="Name it ${NAME} in the header and set the secret NAME.",
            )
    if len({name.lower() for name in headers}) != len(headers):
        raise Invalid("A header stands twice.", field="headers")
    return dict(headers)


def clean_account(use: Any) -> str:
    """Whose account is used."""
    if use not in ("none", "shared", "person"):
        raise Invalid("An account is one of: none, shared, person.", field="account")
    return str(use)


def clean_client_id(text: Any) -> str:
    """What a sign-in knows Logos as: no secret."""
    text = str(text).strip()
    if len(text) > 300 or not _VALUE.fullmatch(text) or redact(text) != text:
        raise Invalid("A client id has at most 300 plain characters, and is no secret.", field="client_id")
    return text


def clean_scopes(text: Any) -> str:
    """Scopes with one blank between them."""
    text = " ".join(str(text).split())
    if len(text) > 500 or not _SCOPES.fullmatch(text):
        raise Invalid("Scopes are words with blanks between them.", field="scopes")
    return text


def resolved(headers: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """``headers`` with every reference replaced. Raises Invalid naming a secret that is not set or that no header can
    hold."""
    for name in launching.references(headers):
        if name in values and not _VALUE.fullmatch(values[name]):
            raise Invalid(f"The secret {name} has characters that no header can hold.", field="headers")
    return launching.resolved(headers, values)
