"""The page of one's own name and e-mail address."""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from agents.models import User
from agents.person_forms import NameRules
from agents.views.access import person, signed_in


class Profile(NameRules, forms.ModelForm):
    """How others see one's name, and the address one may sign in with."""

    use_required_attribute = False

    class Meta:
        model = User
        fields = ("first_name", "last_name", "email")
        labels = {"email": "E-mail"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, word in (("first_name", "given-name"), ("last_name", "family-name"), ("email", "email")):
            self.fields[name].widget.attrs["autocomplete"] = word

    def clean_email(self) -> str:
        """One address, one person: two could not sign in with it."""
        email: str = self.cleaned_data["email"].strip()
        others = User.objects.exclude(pk=self.instance.pk).filter(Q(email__iexact=email) | Q(username__iexact=email))
        if email and others.exists():
            raise ValidationError("This address cannot be used here.")
        return email


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def profile(request: HttpRequest) -> HttpResponse:
    """Show and change them. Another address needs the password again: whoever holds it can reset the password."""
    # A row of its own: the form writes what was typed into it, and the frame shows the person who is signed in.
    form = Profile(request.POST or None, instance=User.objects.get(pk=person(request).pk))
    if form.is_bound and form.is_valid():
        if "email" in form.changed_data:
            return _save_after_password(request, form=form)
        return _save(request, form)
    return render(request, "account/profile.html", {"form": form}, status=400 if form.errors else 200)


@reauthentication_required
def _save_after_password(request: HttpRequest, form: Profile) -> HttpResponse:
    return _save(request, form)


def _save(request: HttpRequest, form: Profile) -> HttpResponse:
    form.save()
    messages.success(request, "Saved.")
    return redirect("account")
