"""The page that asks before something cannot be undone, and the way on once it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from agents.errors import LogosError, NotFound


def confirmed(
    request: HttpRequest, context: dict[str, Any], act: Callable[[], object], *, done: str, to: str
) -> HttpResponse:
    """Asks with ``context`` (see ``_confirm.html``); once that is posted, does ``act``, says ``done`` and goes on ``to``.

    What refuses is said on the page, with 409. Raises NotFound as ``act`` does.
    """
    if request.method != "POST":
        return render(request, "_confirm.html", context)
    try:
        act()
    except NotFound:
        raise
    except LogosError as error:
        return render(request, "_confirm.html", {**context, "error": error}, status=409)
    messages.success(request, done)
    return redirect(to)
