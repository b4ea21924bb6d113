"""The pages of service accounts: those one looks after, and one of them with its tokens."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from agents import permissions, service_accounts, tokens
from agents.errors import Conflict, Invalid
from agents.models import ApiToken, User
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Filters
from agents.views.tokens import NewToken


class NewAccount(forms.Form):
    """What it is called and what it may at most."""

    name = forms.CharField(label="Name", max_length=service_accounts.LONGEST)
    role = forms.ChoiceField(label="Role", initial="viewer")
    team = forms.BooleanField(label="Kept by the team: every admin looks after it", required=False)

    use_required_attribute = False

    def for_maker(self, user: User) -> NewAccount:
        """With the roles ``user`` may give; the team is for admins."""
        self.fields["role"].choices = [(role.value, role.label) for role in service_accounts.roles_for(user)]  # type: ignore[attr-defined]
        if not permissions.may(user, "user.manage"):
            del self.fields["team"]
        return self


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def account_list(request: HttpRequest) -> HttpResponse:
    """Those one looks after, and the form for one more."""
    user = person(request)
    permissions.require(user, "service.create")
    form = NewAccount(request.POST or None).for_maker(user)
    if form.is_valid():
        given = form.cleaned_data
        try:
            made = service_accounts.make(user, given["name"], given["role"], for_team=given.get("team", False))
        except (Invalid, Conflict) as error:
            field = error.field if isinstance(error, Invalid) and error.field in form.fields else "name"
            form.add_error(field, f"{error.message} {error.action}".strip())
        else:
            messages.success(request, f"{made.username} is made. Give it a token.")
            return redirect("agents:service-account", made.pk)
    filters = Filters(request.GET, hint="Name")
    page = listing.page(filters.search(service_accounts.of(user), "username"), filters, order="username")
    context = {"form": form, "page": page, "filters": filters}
    return render(request, "service_accounts/list.html", context, status=400 if form.errors else 200)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@sensitive_variables("secret")
def account_detail(request: HttpRequest, account_id: int) -> HttpResponse:
    """One, and its tokens; posting makes a token and shows its secret once."""
    account = service_accounts.fetch(person(request), account_id)
    form, made, secret = NewToken(request.POST or None), None, ""
    if form.is_valid():
        given = form.cleaned_data
        made, secret = tokens.make(account, given["name"], given["days"], given["scopes"], maker=person(request))
        form = NewToken()
    return _page(request, account, form, made, secret)


@never_cache
@require_POST
@signed_in
@sensitive_variables("secret")
def rotate(request: HttpRequest, account_id: int, token_id: int) -> HttpResponse:
    """A new secret; the old one works another day."""
    account = service_accounts.fetch(person(request), account_id)
    made, secret = tokens.rotate(account, token_id)
    return _page(request, account, NewToken(), made, secret)


@require_POST
@signed_in
def revoke(request: HttpRequest, account_id: int, token_id: int) -> HttpResponse:
    """The token stops working at once."""
    tokens.revoke(service_accounts.fetch(person(request), account_id), token_id)
    messages.success(request, "The token is revoked.")
    return redirect("agents:service-account", account_id)


@require_POST
@signed_in
def suspend(request: HttpRequest, account_id: int) -> HttpResponse:
    """Suspend it, or let it work again."""
    suspended = request.POST.get("do") != "restore"
    account = service_accounts.suspend(person(request), account_id, suspended=suspended)
    messages.success(request, f"{account.username} {'is suspended' if suspended else 'works again'}.")
    return redirect("agents:service-account", account_id)


@require_POST
@signed_in
def give(request: HttpRequest, account_id: int) -> HttpResponse:
    """To another keeper; who gave it away does not see it any more."""
    user = person(request)
    to, revoke = request.POST.get("keeper", "").strip(), "revoke" in request.POST
    try:
        account = service_accounts.give(user, account_id, to, revoke=revoke)
    except Invalid as error:
        account = service_accounts.fetch(user, account_id)
        return _page(request, account, NewToken(), None, "", wrong=error.message, typed=to, revoke=revoke)
    which = "Its tokens are revoked." if revoke else "Its tokens go on working, whoever has them."
    messages.success(request, f"{account.username} is kept by {to or 'the team'} now. {which}")
    still = service_accounts.of(user).filter(pk=account_id).exists()
    return redirect("agents:service-account", account_id) if still else redirect("agents:service-accounts")


@sensitive_variables("secret")
def _page(
    request: HttpRequest,
    account: User,
    form: NewToken,
    made: ApiToken | None,
    secret: str,
    *,
    wrong: str = "",
    typed: str = "",
    revoke: bool = True,
) -> HttpResponse:
    context = {
        "account": account,
        "form": form,
        "made": made,
        "secret": secret,
        "now": timezone.now(),
        "tokens": tokens.of(account),
        "may_give_to_team": permissions.may(person(request), "user.manage"),
        "wrong": wrong,
        "typed": typed,
        "revoke": revoke,
    }
    return render(request, "service_accounts/detail.html", context, status=400 if form.errors or wrong else 200)
