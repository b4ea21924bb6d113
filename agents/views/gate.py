"""The page on which a command is tried against the command gate: nothing is run, nothing is kept."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from agents.gate import judge
from agents.gate.rules import shipped
from agents.views.access import signed_in

LONGEST = 65_536


class CommandForm(forms.Form):
    """The command to try."""

    command = forms.CharField(
        max_length=LONGEST,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false", "autocapitalize": "off"}),
        error_messages={"required": "Write a command to try.", "max_length": "A command may have 65,536 characters."},
    )

    use_required_attribute = False


@signed_in
def gate_check(request: HttpRequest) -> HttpResponse:
    """Try a command, and read the rules."""
    form = CommandForm(request.POST if request.method == "POST" else None)
    said = judge(form.cleaned_data["command"]) if form.is_bound and form.is_valid() else None
    wrong = form.is_bound and said is None
    context = {"form": form, "said": said, "rules": shipped().all, "tab": "gate"}
    return render(request, "gate/check.html", context, status=400 if wrong else 200)
