"""Which OpenID Connect providers people may sign in with, read from LOGOS_OIDC_* and refused when it is not sound."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from logos_site import env

ROLES = ("operator", "user", "viewer")


@dataclass(frozen=True, slots=True)
class Issuer:
    """One provider, and how far the operator trusts it."""

    name: str
    title: str
    issuer: str
    client_id: str
    secret: str
    domains: frozenset[str] = frozenset()
    trusts_email: bool = False
    makes_people: bool = False
    role: str = "viewer"
    claim: str = "groups"
    roles: tuple[tuple[str, str], ...] = ()
    groups: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"<{self.name}: {self.issuer}>"  # never the secret


def read() -> dict[str, Issuer]:
    """Every provider LOGOS_OIDC_PROVIDERS names, in its order. The settings of one are documented for "NAME"."""
    names = env.words("LOGOS_OIDC_PROVIDERS", "", "OpenID Connect providers people may sign in with, comma separated.")
    _one("NAME")  # so that the documentation knows them without any provider
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9]{0,29}", name):
            raise env.ConfigurationError(
                f"LOGOS_OIDC_PROVIDERS: {name!r} is no name for a provider; take small letters and digits."
            )
    return {name: _checked(_one(name.upper(), name)) for name in names}


def _one(key: str, name: str = "") -> Issuer:
    with env.sample("NAME", key):
        return Issuer(
            name=name,
            title=env.text(f"LOGOS_OIDC_{key}_TITLE", "", "What the button says; empty is the provider's name.")
            or name.capitalize(),
            issuer=env.text(f"LOGOS_OIDC_{key}_ISSUER", "", "The provider's issuer address, https.").rstrip("/"),
            client_id=env.text(f"LOGOS_OIDC_{key}_CLIENT_ID", "", "The client id the provider gave to this Logos."),
            secret=env.text(f"LOGOS_OIDC_{key}_CLIENT_SECRET", "", "Its client secret; better as a file."),
            domains=frozenset(
                word.lower().lstrip("@")
                for word in env.words(
                    f"LOGOS_OIDC_{key}_DOMAINS", "", "Only verified e-mail addresses of these domains; empty is any."
                )
            ),
            trusts_email=env.flag(
                f"LOGOS_OIDC_{key}_TRUST_EMAIL",
                False,
                "A verified e-mail address opens the account an admin gave that address to; never an admin's.",
            ),
            makes_people=env.flag(
                f"LOGOS_OIDC_{key}_MAKE_PEOPLE", False, "Make an account for whoever has none here yet."
            ),
            role=env.text(f"LOGOS_OIDC_{key}_ROLE", "viewer", "The role of people it makes: viewer, user or operator."),
            claim=env.text(f"LOGOS_OIDC_{key}_CLAIM", "groups", "The claim that the next two look at."),
            roles=_pairs(
                f"LOGOS_OIDC_{key}_ROLES", "value:role pairs; the first that fits is the role of people it made."
            ),
            groups=_pairs(
                f"LOGOS_OIDC_{key}_GROUPS", "value:group pairs; people it made are in just those of these groups."
            ),
        )


def _pairs(name: str, help: str) -> tuple[tuple[str, str], ...]:
    found = []
    for word in env.words(name, "", help):
        value, colon, ours = word.rpartition(":")
        if not (colon and value.strip() and ours.strip()):
            raise env.ConfigurationError(f"{name} holds value:name pairs, not {word!r}.")
        found.append((value.strip(), ours.strip()))
    return tuple(found)


def _checked(one: Issuer) -> Issuer:
    prefix = f"LOGOS_OIDC_{one.name.upper()}"
    for setting, value in (("ISSUER", one.issuer), ("CLIENT_ID", one.client_id), ("CLIENT_SECRET", one.secret)):
        if not value:
            raise env.ConfigurationError(f"{prefix}_{setting} is missing; LOGOS_OIDC_PROVIDERS names {one.name}.")
    if not is_safe(one.issuer):
        raise env.ConfigurationError(f"{prefix}_ISSUER must be an https address, not {one.issuer!r}.")
    for setting, role in (("ROLE", one.role), *(("ROLES", role) for _, role in one.roles)):
        if role not in ROLES:
            raise env.ConfigurationError(
                f"{prefix}_{setting} knows {', '.join(ROLES)}, not {role!r}; only people make admins."
            )
    return one


def is_safe(address: str) -> bool:
    """Can nobody between us and this address read or change what is said? https, or this machine."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if parts.scheme == "http":
        return parts.hostname in {"localhost", "127.0.0.1", "::1"}
    return parts.scheme == "https" and bool(parts.hostname)
