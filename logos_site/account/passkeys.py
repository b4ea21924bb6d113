"""A passkey whose stored row holds no credential (it was cut short, or brought from elsewhere) is said, not a fault."""

from __future__ import annotations

from collections.abc import Callable

from allauth.mfa.models import Authenticator
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from agents.errors import Conflict
from agents.models import User

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, ValidationError)


class DamagedPasskeys:
    """Middleware: the pages that read every passkey of a person answer calmly when one of them cannot be read."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, UNREADABLE) or not request.path.startswith(reverse("mfa_index")):
            return None
        stage = getattr(request, "_login_stage", None)
        user = request.user if isinstance(request.user, User) else stage.login.user if stage else None
        names = damaged(user) if user else []
        if not names:
            return None
        said = Conflict(
            f"The passkey {names[0]} cannot be used: what is stored of it is damaged.",
            reason="passkey_damaged",
            action="Confirm with your password or another second factor, and remove it there; or ask an admin to.",
        )
        return render(request, "error.html", {"error": said, "status": 409}, status=409)


def damaged(user: User) -> list[str]:
    """The names of the person's passkeys that cannot be read."""
    found = []
    for row in Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN):
        try:
            row.wrap().authenticator_data  # noqa: B018 (reading is the trial)
        except Exception:  # whatever a stored text may hold
            found.append(str(row.data.get("name") or "without a name")[:60])
    return found
