"""The page of how one hears that something waits: which browsers are pushed to, whether mail comes, a try."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agents.errors import Conflict, Invalid
from agents.views.access import person, signed_in
from channels_app import confirming, devices, mailing, notices, pushing
from channels_app.models import Notices
from logos_site.account.devices import device

WORKER = Path(settings.BASE_DIR) / "static" / "js" / "push-worker.js"


class Ways(forms.ModelForm):
    """How one wants to be told."""

    class Meta:
        model = Notices
        fields = ("by_push", "by_mail")
        # The label says it; a field is described by what stands on the page only.
        help_texts: ClassVar[dict[str, str]] = {"by_push": ""}


@require_safe
def worker(request: HttpRequest) -> HttpResponse:
    """The script that shows a notice while no page is open. It lies at the top, because browsers let a worker look
    after the addresses below its own only."""
    return HttpResponse(WORKER.read_bytes(), content_type="text/javascript", headers={"Cache-Control": "no-cache"})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def notifications(request: HttpRequest) -> HttpResponse:
    """Show and set it."""
    user = person(request)
    form = Ways(request.POST or None, instance=notices.wants(user))
    if request.method == "POST" and form.is_valid():
        by_mail = form.cleaned_data["by_mail"] and mailing.is_set_up() and confirming.is_confirmed(user)
        notices.choose(user, by_push=form.cleaned_data["by_push"], by_mail=by_mail)
        messages.success(request, "Saved.")
        return redirect("account-notifications")
    context = {
        "form": form,
        "devices": devices.of(user),
        "key": pushing.public_key(),
        "sends_mail": mailing.is_set_up(),
        "is_confirmed": confirming.is_confirmed(user),
        "minutes": settings.LOGOS_MAIL_MINUTES,
    }
    return render(request, "account/notifications.html", context)


@require_POST
@signed_in
def confirm(request: HttpRequest) -> HttpResponse:
    """Send a code to one's address, or take the one that came."""
    user, code = person(request), request.POST.get("code", "").strip()
    try:
        if code:
            confirming.confirm(user, code)
            messages.success(request, f"{user.email} is confirmed.")
        else:
            confirming.send_code(user)
            messages.success(request, f"A code is on its way to {user.email}.")
    except (Conflict, Invalid) as error:
        messages.error(request, f"{error.message} {error.action}".strip())
    return redirect("account-notifications")


@require_POST
@signed_in
def device_add(request: HttpRequest) -> HttpResponse:
    """A browser says where it can be reached; called by the page's script."""
    endpoint, p256dh, auth = (request.POST.get(name, "") for name in ("endpoint", "p256dh", "auth"))
    devices.add(person(request), endpoint, p256dh, auth, device(request.headers.get("User-Agent", "")))
    messages.success(request, "This browser is told from now on.")
    return HttpResponse(status=204)


@require_POST
@signed_in
def device_remove(request: HttpRequest, device_id: int) -> HttpResponse:
    """A browser is told no longer."""
    name = devices.remove(person(request), device_id)
    messages.success(request, f"{name} is told no longer.")
    return redirect("account-notifications")


@require_POST
@signed_in
def try_out(request: HttpRequest) -> HttpResponse:
    """Send a push to every browser of one's own."""
    try:
        taken, _ = notices.try_out(person(request))
    except Conflict as error:
        messages.info(request, error.message)
    else:
        messages.info(request, f"Sent. Push services that took it: {taken}." if taken else "No push service took it.")
    return redirect("account-notifications")
