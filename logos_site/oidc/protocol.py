"""The exchange with a provider, stricter than allauth's own: PKCE and a nonce always, the ID token's signature always
checked, userinfo only of the same subject, and nothing in our address decides what is asked for."""

from __future__ import annotations

import hashlib
from typing import Any

import jwt
from allauth.socialaccount.models import SocialAccount, SocialLogin, SocialToken
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.utils import generate_code_challenge
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest

from logos_site.oidc import discovery
from logos_site.oidc.configuration import Issuer, is_safe
from logos_site.oidc.people import MADE_HERE

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
LEEWAY_S = 30


def nonce_for(code_verifier: str) -> str:
    """What must come back inside the ID token: made from the secret that stays in this browser's session."""
    return hashlib.sha256(f"nonce {code_verifier}".encode()).hexdigest()


class Exchange(OpenIDConnectOAuth2Adapter):
    """One sign-in's requests to the provider. Everything that does not fit raises OAuth2Error."""

    _code_verifier = ""

    @property
    def issuer(self) -> Issuer:
        return settings.LOGOS_OIDC[self.provider_id]

    @property
    def openid_config(self) -> dict[str, Any]:
        if not hasattr(self, "_openid_config"):
            self._openid_config = discovery.document(self.issuer)
        return self._openid_config

    def get_access_token_data(
        self, request: HttpRequest, app: Any, client: Any, pkce_code_verifier: str | None = None
    ) -> Any:
        self._code_verifier = pkce_code_verifier or ""
        return super().get_access_token_data(request, app, client, pkce_code_verifier=pkce_code_verifier)

    def complete_login(self, request: HttpRequest, app: Any, token: SocialToken, **kwargs: Any) -> SocialLogin:
        claims = self._verified(str(kwargs["response"].get("id_token", "")))
        address = self.openid_config.get("userinfo_endpoint")
        if "email" not in claims and address and is_safe(address):
            more = discovery.fetch(address, Authorization=f"Bearer {token.token}")
            if more.get("sub") != claims["sub"]:
                raise OAuth2Error("userinfo tells of somebody else")
            claims = {**more, **claims}
        return self.get_provider().sociallogin_from_response(request, {"id_token": claims})

    def _verified(self, id_token: str) -> dict[str, Any]:
        client_id = self.issuer.client_id
        try:
            key = self._key(jwt.get_unverified_header(id_token).get("kid"))
            claims: dict[str, Any] = jwt.decode(
                id_token,
                key,
                algorithms=ALGORITHMS,
                issuer=[self.issuer.issuer, f"{self.issuer.issuer}/"],
                audience=client_id,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise OAuth2Error(f"the ID token is not valid ({type(error).__name__})") from error
        if claims.get("nonce") != nonce_for(self._code_verifier):
            raise OAuth2Error("the ID token answers another sign-in")
        if claims.get("azp", client_id) != client_id:
            raise OAuth2Error("the ID token is for another client")
        return claims

    def _key(self, kid: str | None) -> jwt.PyJWK:
        keys = jwt.PyJWKSet.from_dict(discovery.fetch(self.openid_config["jwks_uri"])).keys
        fits = [key for key in keys if key.public_key_use in (None, "sig") and kid in (None, key.key_id)]
        if len(fits) != 1:
            raise OAuth2Error("the provider has no key for this ID token")
        return fits[0]


class Provider(OpenIDConnectProvider):
    """A provider of LOGOS_OIDC_PROVIDERS."""

    oauth2_adapter_class = Exchange

    def get_pkce_params(self) -> dict[str, str]:
        # Whatever is not the verifier goes into the address of the provider, and the verifier into the session.
        made: dict[str, str] = generate_code_challenge()
        return {**made, "nonce": nonce_for(made["code_verifier"])}

    def get_scope_from_request(self, request: HttpRequest) -> list[str]:
        return self.get_scope()

    def get_auth_params_from_request(self, request: HttpRequest, action: str) -> dict[str, str]:
        return {}

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """No more of a person than what tells them which account it is."""
        claims = data["id_token"]
        kept = {name: str(claims[name])[:200] for name in ("email", "name") if claims.get(name)}
        known = SocialAccount.objects.filter(provider=self.sub_id, uid=self.extract_uid(data)).first()
        was_made_here = known is not None and known.extra_data.get(MADE_HERE, False)
        return {"userinfo": kept, MADE_HERE: was_made_here}

    def sociallogin_from_response(self, request: HttpRequest, response: dict[str, Any]) -> SocialLogin:
        login = super().sociallogin_from_response(request, response)
        login.claims = response["id_token"]
        return login
