"""The form of a new API token, for people and for the service accounts they keep."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from agents import scopes, tokens

CHOICES = ((7, "a week"), (30, "30 days"), (90, "90 days"), (180, "half a year"), (365, "a year"))
# Looking comes with every token.
MORE = [(scope.name, scope.sentence) for scope in scopes.SCOPES.values() if scope.name != "read"]


def lifetimes() -> list[tuple[int, str]]:
    """What one may choose: nothing longer than LOGOS_TOKEN_MAX_DAYS, which is always there itself."""
    longest = settings.LOGOS_TOKEN_MAX_DAYS
    fitting = [(days, word) for days, word in CHOICES if days <= longest]
    return fitting if longest in dict(fitting) else [*fitting, (longest, f"{longest} days")]


class NewToken(forms.Form):
    """What a token is for, what it may, and how long it lives."""

    name = forms.CharField(label="What it is for", max_length=80)
    days = forms.TypedChoiceField(label="Valid for", coerce=int, required=False, empty_value=None)
    scopes = forms.MultipleChoiceField(label="Besides looking it may", choices=MORE, required=False)

    use_required_attribute = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = lifetimes()
        self.fields["days"].choices = choices  # type: ignore[attr-defined]
        self.fields["days"].initial = min(tokens.DEFAULT_DAYS, settings.LOGOS_TOKEN_MAX_DAYS)

    def clean_scopes(self) -> list[str]:
        return self.cleaned_data["scopes"] or ["read"]

    @property
    def more(self) -> list[tuple[str, str, bool]]:
        """The scopes to tick: name, sentence, ticked."""
        ticked = self["scopes"].value() or []
        return [(name, sentence, name in ticked) for name, sentence in MORE]
