"""Duplicate an agent: its composition, and what of its sandbox one chooses and may copy."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agents import agent_pages, choosing, composed, duplicating, permissions
from agents.agent_forms import KEPT, Offered, soul_options
from agents.errors import LogosError
from agents.models import Agent, User
from agents.views.access import person, signed_in
from agents.views.agents import fetch


class CopyForm(forms.Form):
    """The name of the copy, a soul where the original's may not be seen, and the parts to copy."""

    name = forms.CharField(max_length=60, label="Name of the copy")
    soul_id = Offered(label="Soul")
    copy_parts = forms.MultipleChoiceField(required=False)
    prepare = forms.BooleanField(required=False, label="Prepare its sandbox now")

    use_required_attribute = False

    def __init__(self, user: User, source: Agent, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parts = [
            {"part": part, "obstacle": duplicating.obstacle(user, source, name)}
            for name, part in duplicating.PARTS.items()
        ]
        self.fields["copy_parts"].choices = [(name, name) for name in duplicating.PARTS]  # type: ignore[attr-defined]
        if not source.hides_soul:
            del self.fields["soul_id"]
        else:
            own = [option for option in soul_options(user, source) if option[0] != KEPT and ":" not in option[0]]
            self.fields["soul_id"].choices = own  # type: ignore[attr-defined]


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def agent_duplicate(request: HttpRequest, agent_id: str) -> HttpResponse:
    """The form, and the copy."""
    user = person(request)
    source = fetch(user, agent_id)
    permissions.require(user, "agent.create")
    composed.mark(user, [source])
    if request.method != "POST":
        initial = {"name": f"{source.name[:53]} (copy)", "prepare": settings.LOGOS_PREPARE_AGENTS}
        return _page(request, source, CopyForm(user, source, initial=initial))
    form = CopyForm(user, source, request.POST)
    if form.is_valid():
        data = form.cleaned_data
        try:
            agent = duplicating.duplicate(
                user,
                source,
                data["name"],
                soul=choosing.soul(user, data["soul_id"]) if "soul_id" in data else None,
                parts=data["copy_parts"],
                prepare=data["prepare"],
            )
            return redirect("agents:agent-detail", agent.pk)
        except LogosError as error:
            named = "name" if error.reason == "name_taken" else getattr(error, "field", "")
            form.add_error(named if named in form.fields else None, f"{error.message} {error.action}".strip())
    return _page(request, source, form, status=400)


def _page(request: HttpRequest, source: Agent, form: CopyForm, status: int = 200) -> HttpResponse:
    user = person(request)
    context = {
        **agent_pages.frame(user, source, "duplicate"),
        "form": form,
        "chosen": form["copy_parts"].value() or [],
        "omissions": duplicating.omissions(user, source),
    }
    return render(request, "agents/duplicate.html", context, status=status)
