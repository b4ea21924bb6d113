"""What a provider says about itself, fetched and held to what we were told: its issuer, its addresses, its keys."""

from __future__ import annotations

from typing import Any

import requests
from allauth.socialaccount.providers.oauth2.client import OAuth2Error

from logos_site.oidc.configuration import Issuer, is_safe

WELL_KNOWN = "/.well-known/openid-configuration"
TIMEOUT_S = 5
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class Unusable(OAuth2Error):
    """The provider cannot be reached, or what it says does not fit; the text is for the operator."""


def document(one: Issuer) -> dict[str, Any]:
    """The discovery document of ``one``. Raises Unusable."""
    found = fetch(one.issuer + WELL_KNOWN)
    if str(found.get("issuer", "")).rstrip("/") != one.issuer:
        raise Unusable(f"it calls itself {str(found.get('issuer'))[:200]!r}, not {one.issuer!r}")
    for name in NEEDED:
        if not is_safe(str(found.get(name, ""))):
            raise Unusable(f"its {name} is missing or no https address")
    return found


def fetch(address: str, **headers: str) -> dict[str, Any]:
    """The JSON object at ``address``. Raises Unusable."""
    try:
        # Followed elsewhere, a redirect could lead an answer we trust to come from anybody.
        answer = requests.get(address, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
        found = answer.json() if answer.status_code == 200 else None
    except requests.JSONDecodeError as error:
        raise Unusable(f"{address} does not answer with JSON") from error
    except requests.RequestException as error:
        raise Unusable(f"{address} cannot be reached ({type(error).__name__})") from error
    if not isinstance(found, dict):
        raise Unusable(f"{address} answered with {answer.status_code} and no JSON object")
    return found
