"""The fields for a code of the authenticator app: one step of clock drift is forgiven, no code counts twice."""

from __future__ import annotations

from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms
from django.core.cache import cache

# allauth remembers a code for one step; with a step forgiven on either side it would be good for three.
REMEMBERED_S = 3 * 30


class _OnceOnly(forms.BaseAuthenticateForm):
    def clean_code(self) -> str:
        code: str = super().clean_code()
        digits = "".join(filter(str.isalnum, code))
        if not cache.add(f"second-factor:{self.user.pk}:{digits}", True, timeout=REMEMBERED_S):
            raise get_adapter().validation_error("incorrect_code")
        return code


class SignInCode(_OnceOnly, forms.AuthenticateForm):
    """Asked for after the password."""


class ConfirmCode(_OnceOnly, forms.ReauthenticateForm):
    """Asked for before the account's protection changes."""
