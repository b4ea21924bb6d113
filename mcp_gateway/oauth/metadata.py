"""What servers and sign-ins publish about themselves, and what of it we believe (pure).

RFC 9728 (which sign-in a server trusts), RFC 8414 and OpenID Connect Discovery (how that sign-in is used), RFC 7591
(registering), RFC 9207 (who answered).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from agents.errors import LogosError
from mcp_gateway.remote.places import origin


class Unusable(LogosError):
    """What was published cannot be used; the message says why."""

    def __init__(self, sentence: str, action: str = "") -> None:
        super().__init__(sentence, reason="sign_in_unusable", action=action or "Tell whoever runs the server.")


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in (authorization server), as its own metadata describes it."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str = ""
    revocation_endpoint: str = ""
    auth_methods: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    reads_documents: bool = False
    says_who_answers: bool = False


def resource_addresses(url: str) -> list[str]:
    """Where a server that did not say it may publish which sign-in it trusts."""
    return _well_known(url, "oauth-protected-resource")


def sign_in_addresses(issuer: str) -> list[str]:
    """Where the metadata of a sign-in may be, in the order to ask."""
    path = urlsplit(issuer).path.rstrip("/")
    found = [_well_known(issuer, "oauth-authorization-server")[0], _well_known(issuer, "openid-configuration")[0]]
    if path:
        parts = urlsplit(issuer)
        found.append(urlunsplit((parts.scheme, parts.netloc, f"{path}/.well-known/openid-configuration", "", "")))
    return found


def _well_known(url: str, name: str) -> list[str]:
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    found = [urlunsplit((parts.scheme, parts.netloc, f"/.well-known/{name}{path}", "", ""))]
    return found if not path else [*found, urlunsplit((parts.scheme, parts.netloc, f"/.well-known/{name}", "", ""))]


def resource(url: str, said: Mapping[str, Any]) -> str:
    """What tokens are for: the server itself, or what it says it belongs to. Raises Unusable when it names another:
    a token for somebody else must not end up here."""
    named = said.get("resource")
    if not isinstance(named, str):
        raise Unusable("The server does not say what its tokens are for.")
    try:
        same = origin(named) == origin(url)
    except ValueError as error:
        raise Unusable("The server does not say what its tokens are for.") from error
    above, path = urlsplit(named).path.rstrip("/"), urlsplit(url).path
    if not same or not (path.rstrip("/") == above or path.startswith(f"{above}/")):
        raise Unusable(f"The server says its tokens are for {named[:200]}, which it is not.")
    return named


def issuers(said: Mapping[str, Any]) -> list[str]:
    """The sign-ins a server trusts."""
    named = said.get("authorization_servers")
    return [each for each in named if isinstance(each, str) and len(each) <= 500] if isinstance(named, list) else []


def words(value: Any) -> tuple[str, ...]:
    """A list of short texts, whatever was sent."""
    found = value if isinstance(value, list) else []
    return tuple(each for each in found if isinstance(each, str) and 0 < len(each) <= 200)[:100]


def sign_in(issuer: str, said: Mapping[str, Any]) -> SignIn:
    """The sign-in ``issuer`` from its metadata. Raises Unusable."""
    if said.get("issuer") != issuer:
        raise Unusable(f"What is published about the sign-in {issuer[:200]} is about another one.")
    addresses = {
        name: said.get(name) or ""
        for name in (
            "authorization_endpoint",
            "token_endpoint",
            "registration_endpoint",
            "revocation_endpoint",
        )
    }
    for name, value in addresses.items():
        if not isinstance(value, str) or len(value) > 500 or (not value and name in _NEEDED):
            raise Unusable(f"The sign-in {issuer[:200]} does not say its {name.replace('_', ' ')}.")
    if "S256" not in words(said.get("code_challenge_methods_supported")):
        # Without it whoever catches the answer can use it; the protocol says to go no further.
        raise Unusable(f"The sign-in {issuer[:200]} does not protect what it answers (PKCE with S256).")
    kinds = said.get("response_types_supported")
    if isinstance(kinds, list) and "code" not in kinds:
        raise Unusable(f"The sign-in {issuer[:200]} does not answer with codes.")
    return SignIn(
        issuer=issuer,
        **addresses,
        auth_methods=words(said.get("token_endpoint_auth_methods_supported")) or ("client_secret_basic",),
        scopes=words(said.get("scopes_supported")),
        reads_documents=said.get("client_id_metadata_document_supported") is True,
        says_who_answers=said.get("authorization_response_iss_parameter_supported") is True,
    )


_NEEDED = ("authorization_endpoint", "token_endpoint")


def scope(wanted: str, challenged: str, resource_says: Mapping[str, Any], found: SignIn) -> str:
    """What to ask for: what the server's row says, else what the server asks for, else what it knows; and, where the
    sign-in knows that, to stay connected."""
    asked = wanted or challenged or " ".join(words(resource_says.get("scopes_supported")))
    parts = list(dict.fromkeys(asked.split()))[:50]
    if "offline_access" in found.scopes and "offline_access" not in parts:
        parts.append("offline_access")
    return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a sign-in gave."""

    access: str
    refresh: str = ""
    expires_in: int | None = None
    scope: str = ""


def tokens(said: Mapping[str, Any]) -> Tokens:
    """The tokens in an answer of a token endpoint. Raises Unusable."""
    access, kind = said.get("access_token"), said.get("token_type")
    if not isinstance(access, str) or not access.isascii() or not access.isprintable() or " " in access:
        raise Unusable("The sign-in gave no token.")
    if not isinstance(kind, str) or kind.lower() != "bearer" or not 0 < len(access) <= 16_000:
        raise Unusable("The sign-in gave a token that Logos cannot show.")
    refresh, lasts, granted = said.get("refresh_token"), said.get("expires_in"), said.get("scope")
    if isinstance(lasts, str) and lasts.isdigit():
        lasts = int(lasts[:12])
    has_end = isinstance(lasts, int | float) and not isinstance(lasts, bool) and 0 <= lasts < 10**10
    return Tokens(
        access=access,
        refresh=refresh if isinstance(refresh, str) and len(refresh) <= 16_000 else "",
        expires_in=int(lasts) if has_end else None,  # type: ignore[arg-type]
        scope=granted[:1000] if isinstance(granted, str) and granted.isprintable() else "",
    )
