"""The first-run page: administrator, model, soul, agent and first message, all made together or not at all.

Open only with the one-time link of the console and only while no administrator exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import async_to_sync
from django import forms
from django.contrib.auth import login
from django.contrib.auth.password_validation import password_validators_help_texts, validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from agents import composition, routes, secrets, souls
from agents.addresses import AddressField
from agents.errors import LogosError
from agents.models import ModelRoute, Provider, ProviderKind, Role, User
from agents.views.access import is_htmx, leave_to
from logos_site.up import first_link
from runs import dispatch
from runs.models import Run
from sandboxes.inference.listing import ModelInfo, list_models

LOGIN_BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
FIRST_MESSAGE = "Hello! Look around and tell me where you live.\nrun: uname -sr && id && pwd"
_KEPT = "first_run_key"


class FirstRun(forms.Form):
    """Everything the page asks for. Passwords and the key are never written back into the page."""

    username = forms.CharField(label="User name", max_length=150, validators=[User.username_validator])
    email = forms.EmailField(label="E-mail", required=False)
    password1 = forms.CharField(label="Password", strip=False, widget=forms.PasswordInput)
    password2 = forms.CharField(label="Password again", strip=False, widget=forms.PasswordInput)
    kind = forms.ChoiceField(choices=ProviderKind.choices, initial=ProviderKind.REHEARSAL)
    base_url = AddressField(label="Address", required=False, max_length=300)
    api_key = forms.CharField(label="Key", required=False, widget=forms.PasswordInput, max_length=1000)
    model = forms.CharField(label="Model", required=False, max_length=200)
    soul = forms.CharField(label="Soul", initial=souls.STARTER_TEXT, strip=False, widget=forms.Textarea)
    name = forms.CharField(label="Agent's name", max_length=60, initial="Atlas")
    message = forms.CharField(label="First message", initial=FIRST_MESSAGE, widget=forms.Textarea)

    use_required_attribute = False  # the server's sentences are better than the browser's

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, attributes in _ATTRIBUTES.items():
            self.fields[name].widget.attrs.update(attributes)
        self.models: Sequence[ModelInfo] = ()

    @property
    def uses_own_model(self) -> bool:
        return self["kind"].value() == ProviderKind.OPENAI_COMPATIBLE

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=username).exists():
            raise ValidationError("Somebody has this user name already.")
        return username

    def clean_soul(self) -> str:
        return _checked(souls.check, self.cleaned_data["soul"])

    def clean_name(self) -> str:
        return _checked(composition.clean_name, self.cleaned_data["name"])

    def clean_message(self) -> str:
        return _checked(dispatch.clean_text, self.cleaned_data["message"])

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        password = data.get("password1", "")
        if password and "password2" in data and password != data["password2"]:
            self.add_error("password2", "The two passwords differ.")
        elif password:
            person = User(username=data.get("username", ""), email=data.get("email", ""))
            try:
                validate_password(password, person)
            except ValidationError as error:
                self.add_error("password1", error)
        if data.get("kind") == ProviderKind.OPENAI_COMPATIBLE:
            self._check_model()
        return data

    def _check_model(self) -> None:
        """The provider answers and has the chosen model; what it has is offered where it does not."""
        if "base_url" not in self.cleaned_data:
            return
        self.models, problem = offered_models(self.cleaned_data["base_url"], self.cleaned_data.get("api_key", ""))
        chosen = self.cleaned_data.get("model", "")
        if problem:
            self.add_error("base_url", problem)
        elif not chosen:
            self.add_error("model", "Choose one of the models the provider has.")
        elif chosen not in {model.id for model in self.models}:
            self.add_error("model", "The provider does not have this model.")

    @property
    def context_length(self) -> int | None:
        """The chosen model's context, where the provider tells it."""
        return next((m.context_length for m in self.models if m.id == self.cleaned_data["model"]), None)


_ATTRIBUTES: dict[str, dict[str, str | int]] = {
    "username": {"autocomplete": "username", "autocapitalize": "none", "autofocus": ""},
    "email": {"autocomplete": "email"},
    "password1": {"autocomplete": "new-password"},
    "password2": {"autocomplete": "new-password"},
    "base_url": {"placeholder": "http://127.0.0.1:11434/v1", "autocomplete": "off", "inputmode": "url"},
    "api_key": {"autocomplete": "off"},
    "soul": {"rows": 9},
    "message": {"rows": 3},
}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest, token: str) -> HttpResponse:
    """The page behind the first-run link; 404 for a wrong or used link, or once there is an administrator."""
    if not first_link.is_open(token):
        raise Http404
    if request.method != "POST":
        return _page(request, FirstRun())
    form = FirstRun(_with_kept_key(request))
    if request.POST.get("step") == "models":
        return _models(request, form)
    if not form.is_valid():
        return _refused(request, form)
    try:
        with first_link.taken():
            run = _make(form)
    except LogosError as error:
        form.add_error(None, _in_words(error))
        return _refused(request, form)
    request.session.pop(_KEPT, None)
    login(request, run.conversation.owner, backend=LOGIN_BACKEND)
    return leave_to(request, reverse("runs:chat-conversation", args=[run.conversation_id]))


def offered_models(base_url: str, api_key: str) -> tuple[Sequence[ModelInfo], str]:
    """The provider's models, or why there are none, as a sentence."""
    if not base_url:
        return (), "Enter the provider's address, for instance http://127.0.0.1:11434/v1."
    try:
        return async_to_sync(list_models)(base_url, api_key), ""
    except LogosError as error:
        return (), _in_words(error)


@transaction.atomic
def _make(form: FirstRun) -> Run:
    """Everything in one transaction: a failure leaves no half of it behind."""
    data = form.cleaned_data
    person = User.objects.create_user(data["username"], data["email"], data["password1"], role=Role.ADMIN)
    soul = souls.from_starter(souls.STARTER, person, text=data["soul"])
    route = _route(form, person)
    routes.make_default(route)
    agent = composition.create(person, data["name"], soul)
    return dispatch.start(person, data["message"], agent=agent, origin="web").run


def _route(form: FirstRun, person: User) -> ModelRoute:
    data = form.cleaned_data
    if not form.uses_own_model:
        return routes.rehearsal_route(person)
    provider, _ = Provider.objects.get_or_create(
        name=urlsplit(data["base_url"]).netloc[:80],
        defaults={"kind": ProviderKind.OPENAI_COMPATIBLE, "base_url": data["base_url"]},
    )
    provider.kind, provider.base_url = ProviderKind.OPENAI_COMPATIBLE, data["base_url"]
    provider.set_key(data["api_key"])
    provider.save()
    return routes.add_route(provider, data["model"], person, context_length=form.context_length)


def _models(request: HttpRequest, form: FirstRun) -> HttpResponse:
    """The list of models to choose from, or why there is none; the rest of the form stays as it is."""
    given = form.data
    # An unbound form has no complaints: the person is not done yet.
    unfinished = FirstRun(initial={name: given.get(name, "") for name in form.fields})
    unfinished.models, problem = offered_models(given.get("base_url", "").strip(), given.get("api_key", ""))
    if is_htmx(request):
        return render(request, "first_run/_models.html", {"form": unfinished, "problem": problem})
    return _page(request, unfinished, problem)


def _page(request: HttpRequest, form: FirstRun, problem: str = "", status: int = 200) -> HttpResponse:
    context = {
        "form": form,
        "problem": problem,
        "rules": password_validators_help_texts(),
        "has_kept_key": bool(request.session.get(_KEPT)),
    }
    return render(request, "first_run/start.html", context, status=status)


def _refused(request: HttpRequest, form: FirstRun) -> HttpResponse:
    if is_htmx(request):
        return render(request, "first_run/_errors.html", {"form": form}, status=422)
    return _page(request, form, status=422)


def _with_kept_key(request: HttpRequest) -> Any:
    """What was posted, with the key of an earlier try filled in: pages never carry a key back to the browser.

    The key is kept sealed in the session, together with the address it was meant for.
    """
    data = request.POST.copy()
    address, key = data.get("base_url", "").strip(), data.get("api_key", "").strip()
    if key:
        request.session[_KEPT] = secrets.seal(f"{address}\n{key}")
    elif kept := request.session.get(_KEPT):
        kept_address, _, kept_key = secrets.unseal(kept).partition("\n")
        if kept_address == address:
            data["api_key"] = kept_key
    return data


def _checked(check: Any, text: str) -> str:
    try:
        return check(text)
    except LogosError as error:
        raise ValidationError(_in_words(error)) from error


def _in_words(error: LogosError) -> str:
    sentence = error.message if error.message.endswith((".", "!", "?")) else f"{error.message}."
    return f"{sentence} {error.action}".strip()
