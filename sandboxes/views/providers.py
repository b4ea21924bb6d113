"""The pages of providers: the list, a new one checked before it is stored, one with its key, and what models it has.

They live in this room because a provider is asked by what sandboxes call models with.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from agents import permissions, providers, routes
from agents.addresses import AddressField
from agents.editing import Stale
from agents.errors import LogosError
from agents.models import Provider, ProviderKind
from agents.views import conflicts
from agents.views.access import person, signed_in
from agents.views.confirming import confirmed
from agents.views.forms import complain, in_words
from agents.views.routes import tabs
from sandboxes import provider_models

SHOWN_MODELS = 200


class ProviderForm(forms.Form):
    """A provider's name, address and key. The key is never written back into a page."""

    name = forms.CharField(max_length=80)
    base_url = AddressField(label="Address", max_length=300, help_text="With or without /v1.")
    key = forms.CharField(
        required=False,
        max_length=providers.MAX_KEY,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    forget_key = forms.BooleanField(required=False, label="Forget the stored key")
    unchecked = forms.BooleanField(required=False, label="Save it although it does not answer")
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1, required=False)

    use_required_attribute = False

    @classmethod
    def of(cls, provider: Provider) -> ProviderForm:
        """The form with what is stored, but for the key."""
        return cls(initial={"name": provider.name, "base_url": provider.base_url, "version": provider.version})


class NewProvider(ProviderForm):
    """A provider that is not there yet, and how it is asked."""

    kind = forms.ChoiceField(
        choices=[(kind, ProviderKind(kind).label) for kind in providers.KINDS],
        initial=providers.KINDS[0],
        help_text="Most providers, and servers of your own, are OpenAI-compatible.",
    )


@require_safe
@signed_in
def provider_list(request: HttpRequest) -> HttpResponse:
    """Every provider, for admins and operators."""
    user = person(request)
    permissions.require(user, "provider.view")
    rows = permissions.visible(user, Provider.objects.annotate(model_count=Count("routes"))).order_by("name")
    context = {
        "providers": rows[:100],
        "tabs": tabs(user, "providers"),
        "may_add": permissions.may(user, "provider.edit"),
    }
    return render(request, "providers/list.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@sensitive_variables("form", "given")
def provider_new(request: HttpRequest) -> HttpResponse:
    """Add a provider: it is asked for its models before anything is stored."""
    user = person(request)
    permissions.require(user, "provider.edit")
    form = NewProvider(request.POST or None)
    if form.is_valid():
        given = form.cleaned_data
        try:
            if not given["unchecked"]:
                provider_models.check(given["base_url"], given["key"].strip(), given["kind"])
            provider = providers.create(user, given["name"], given["base_url"], given["key"], given["kind"])
        except LogosError as error:
            complain(form, error, api_key="key")
        else:
            messages.success(request, f"{provider.name} is added. Choose the models agents may use.")
            return redirect("sandboxes:provider-models", provider.pk)
    context = {"form": form, "may_skip": form.is_bound}
    return render(request, "providers/new.html", context, status=400 if form.is_bound else 200)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@sensitive_variables("form", "fields")
def provider_detail(request: HttpRequest, provider_id: str) -> HttpResponse:
    """One provider; admins change its name, address and key here."""
    user = person(request)
    provider = permissions.fetch(user, "provider.view", Provider.objects.all(), pk=provider_id)
    if request.method != "POST":
        return _detail(request, provider, ProviderForm.of(provider))
    permissions.require(user, "provider.edit", provider)
    form = _bound(provider, request.POST)
    if not form.is_valid():
        return _detail(request, provider, form, status=400)
    try:
        _change(request, provider, form)
    except Stale as stale:
        first = conflicts.for_form(stale, form, user)
        return _detail(request, stale.row, _bound(stale.row, first.data), status=409, conflict=first)
    except LogosError as error:
        complain(form, error, api_key="key")
        return _detail(request, provider, form, status=400, may_skip=True)
    messages.success(request, f"{form.cleaned_data['name']} is saved.")
    return redirect("sandboxes:provider-detail", provider_id)


def _bound(provider: Provider, data: Any) -> ProviderForm:
    form = ProviderForm(data)
    form.fields["version"].required = True
    if provider.kind == ProviderKind.REHEARSAL:
        form.fields["base_url"].required = False
    return form


@sensitive_variables("given", "fields", "key")
def _change(request: HttpRequest, provider: Provider, form: ProviderForm) -> None:
    """Save what differs; a new address or key is tried first."""
    given = form.cleaned_data
    fields: dict[str, Any] = {"name": given["name"]}
    if provider.kind != ProviderKind.REHEARSAL:
        key = given["key"].strip()
        if key or given["forget_key"]:
            fields["key"] = key
        is_elsewhere = given["base_url"] != provider.base_url
        if is_elsewhere:
            fields["base_url"] = given["base_url"]
        if key and not given["unchecked"]:
            provider_models.check(given["base_url"], key, provider.kind)
    providers.change(person(request), provider.pk, given["version"], **fields)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def provider_delete(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Asks, then deletes a provider without models."""
    user = person(request)
    provider = permissions.fetch(user, "provider.edit", Provider.objects.all(), pk=provider_id)
    context = {
        "question": f"Delete provider {provider.name}?",
        "words": "Its key is deleted with it.",
        "button": f"Delete provider {provider.name}",
        "back": reverse("sandboxes:provider-detail", args=[provider_id]),
    }
    return confirmed(
        request, context, partial(providers.remove, user, provider_id),
        done=f"{provider.name} is deleted.", to=reverse("sandboxes:provider-list"),
    )  # fmt: skip


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def provider_models_page(request: HttpRequest, provider_id: str) -> HttpResponse:
    """What the provider has, asked now; those chosen become models agents may use."""
    user = person(request)
    permissions.require(user, "route.create")
    provider = permissions.fetch(user, "provider.view", Provider.objects.all(), pk=provider_id)
    problem, found = "", []
    try:
        found = provider_models.offered(provider)
    except LogosError as error:
        problem = in_words(error)
    if request.method == "POST" and found:
        chosen = set(request.POST.getlist("model"))
        with transaction.atomic():
            new = [model for model in found if model.id in chosen and not model.is_added]
            for model in new:
                routes.add_route(provider, model.id, user, context_length=model.context_length)
        words = "1 model is" if len(new) == 1 else f"{len(new)} models are"
        messages.success(
            request, f"{words} added. Say what they cost, so that Logos can count." if new else "Nothing was chosen."
        )
        return redirect("agents:route-list")
    text = " ".join(request.GET.get("text", "").split())[:100]
    matching = [model for model in found if all(word in model.id.casefold() for word in text.casefold().split())]
    context = {
        "provider": provider,
        "problem": problem,
        "models": matching[:SHOWN_MODELS],
        "more": max(0, len(matching) - SHOWN_MODELS),
        "text": text,
        "total": len(found),
    }
    return render(request, "providers/models.html", context, status=502 if problem else 200)


def _detail(
    request: HttpRequest, provider: Provider, form: ProviderForm, status: int = 200, **extra: Any
) -> HttpResponse:
    user = person(request)
    shown = permissions.visible(user, provider.routes.all()).order_by("model")
    context = {
        "provider": provider,
        "form": form,
        "is_built_in": provider.kind == ProviderKind.REHEARSAL,
        "may_edit": permissions.may(user, "provider.edit"),
        "may_add_models": permissions.may(user, "route.create"),
        "routes": shown[:50],
        **extra,
    }
    return render(request, "providers/detail.html", context, status=status)
