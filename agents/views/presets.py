"""The pages of presets: the library by category, one with who uses it, a new one, and what came with Logos."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Case, CharField, Value, When
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agents import permissions, policies, preset_library, presets, rule_lines
from agents.diffing import words
from agents.editing import Stale
from agents.errors import LogosError
from agents.models import Preset, PresetCategory, User
from agents.numbers import whole
from agents.views import conflicts, deciding, listing
from agents.views.access import person, signed_in
from agents.views.confirming import confirmed
from agents.views.forms import complain
from agents.views.listing import Choice, Filters

PAGE_SIZE = 50
SHOWN = 12


class PresetForm(forms.Form):
    """What may change of a preset."""

    name = forms.CharField(max_length=80)
    category = forms.ChoiceField(choices=PresetCategory.choices)
    description = forms.CharField(required=False, max_length=300)
    rules = policies.RuleLines(
        required=False,
        help_text="One rule a line, as in a policy.",
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "autocapitalize": "none", "class": "mono"}),
    )
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)

    use_required_attribute = False

    @classmethod
    def of(cls, preset: Preset) -> PresetForm:
        """The form with what is stored."""
        return cls(initial={name: getattr(preset, name) for name in (*preset_library.FIELDS, "version")})


class NewPreset(PresetForm):
    """A preset that is not there yet."""

    version = None  # type: ignore[assignment]  # how Django is told to leave a field out


def tabs(user: User, current: str) -> list[dict[str, Any]]:
    """Policies and, for whoever may see them, presets."""
    known = [("policies", "Policies", "agents:policy-list", "policy.view")]
    known.append(("presets", "Presets", "agents:preset-list", "preset.view"))
    return [
        {"url": reverse(url), "label": label, "current": name == current}
        for name, label, url, action in known
        if permissions.may(user, action)
    ]


@require_safe
@signed_in
def preset_list(request: HttpRequest) -> HttpResponse:
    """The library, by category."""
    user = person(request)
    filters = Filters(
        request.GET, Choice("category", "Category", PresetCategory.choices), hint="Name, host or description"
    )
    rows = permissions.visible(user, Preset.objects.all())
    if category := filters.chosen("category"):
        rows = rows.filter(category=category)
    order = [When(category=each, then=Value(str(number))) for number, each in enumerate(PresetCategory.values)]
    rows = rows.annotate(place=Concat(Case(*order, default=Value("9")), "name", output_field=CharField()))
    page = listing.page(filters.search(rows, "name", "description", "rules"), filters, "place", PAGE_SIZE)
    may_edit = permissions.may(user, "preset.edit")
    for preset in page.items:
        preset.is_edited = preset_library.is_edited(preset)  # type: ignore[attr-defined]
    context = {
        "filters": filters,
        "page": page,
        "tabs": tabs(user, "presets"),
        "may_edit": may_edit,
        "missing": preset_library.missing() if may_edit and not filters.any and not filters.after else [],
    }
    return render(request, "presets/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def preset_detail(request: HttpRequest, preset_id: str) -> HttpResponse:
    """One preset; admins change it here, for every agent that has it."""
    user = person(request)
    preset = permissions.fetch(user, "preset.view", Preset.objects.all(), pk=preset_id)
    if request.method != "POST":
        return _detail(request, preset, PresetForm.of(preset))
    form = PresetForm(request.POST)
    if not form.is_valid():
        permissions.require(user, "preset.edit", preset)
        return _detail(request, preset, form, status=400)
    fields = dict(form.cleaned_data)
    try:
        preset_library.change(user, preset_id, fields.pop("version"), **fields)
    except Stale as stale:
        first = conflicts.for_form(stale, form, user)
        return _detail(request, stale.row, PresetForm(first.data), status=409, conflict=first)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        complain(form, error)
        return _detail(request, preset, form, status=400)
    messages.success(request, f"{fields['name']} is saved, and counts from now on.")
    return redirect("agents:preset-detail", preset_id)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def preset_new(request: HttpRequest) -> HttpResponse:
    """Write a preset."""
    user = person(request)
    permissions.require(user, "preset.edit")
    form = NewPreset(request.POST or None, initial={"category": PresetCategory.OTHER})
    if form.is_valid():
        try:
            preset = preset_library.create(user, **form.cleaned_data)
        except LogosError as error:
            complain(form, error)
        else:
            messages.success(request, f"{preset.name} is written. It does nothing until a policy includes it.")
            return redirect("agents:preset-detail", preset.pk)
    return render(request, "presets/new.html", {"form": form}, status=400 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def preset_shipped(request: HttpRequest, preset_id: str) -> HttpResponse:
    """How it differs from what came with Logos, and the way back."""
    user = person(request)
    preset = permissions.fetch(user, "preset.edit", Preset.objects.all(), pk=preset_id)
    came, error = presets.get(preset_id), None
    if request.method == "POST":
        try:
            preset_library.restore(user, preset_id, whole(request.POST.get("version", "")) or 0)
        except Stale as stale:
            preset, error = stale.row, stale
        else:
            messages.success(request, f"{came.name} is what came with Logos again.")
            return redirect("agents:preset-detail", preset_id)
    context = {
        "preset": preset,
        "came": came,
        "error": error,
        "is_edited": preset_library.is_edited(preset),
        "pieces": words(_text(preset, preset.rules), _text(came, list(came.rules))),
    }
    return render(request, "presets/shipped.html", context, status=409 if error else 200)


@require_POST
@signed_in
def preset_back(request: HttpRequest) -> HttpResponse:
    """Add one again that comes with Logos and was deleted."""
    preset = preset_library.bring_back(person(request), request.POST.get("slug", ""))
    messages.success(request, f"{preset.name} is back.")
    return redirect("agents:preset-detail", preset.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def preset_delete(request: HttpRequest, preset_id: str) -> HttpResponse:
    """Asks, then deletes; says whose it is when it has to stay."""
    user = person(request)
    preset = permissions.fetch(user, "preset.edit", Preset.objects.all(), pk=preset_id)
    context = {
        "question": f"Delete preset {preset.name}?",
        "words": "No policy can include it any more. Runs keep a copy of what was allowed to them.",
        "button": f"Delete preset {preset.name}",
        "back": reverse("agents:preset-detail", args=[preset_id]),
    }
    return confirmed(
        request, context, partial(preset_library.remove, user, preset_id),
        done=f"{preset.name} is deleted.", to=reverse("agents:preset-list"),
    )  # fmt: skip


def _text(each: Any, rules: list[dict[str, Any]]) -> str:
    """All that it says, as lines that can be compared."""
    head = [each.name, PresetCategory(each.category).label, each.description]
    return "\n".join([*filter(None, head), "", rule_lines.write(rules), ""])


def _detail(request: HttpRequest, preset: Preset, form: PresetForm, status: int = 200, **extra: Any) -> HttpResponse:
    user = person(request)
    use = preset_library.use_of(user, preset)
    context = {
        "preset": preset,
        "lines": rule_lines.write(preset.rules).splitlines(),
        "form": form,
        "may": deciding.offers(user, preset),
        "use": use,
        "is_used": bool(use.sentence),
        "shown": SHOWN,
        "came": preset_library.shipped(preset),
        "is_edited": preset_library.is_edited(preset),
        "tabs": tabs(user, "presets"),
        **extra,
    }
    return render(request, "presets/detail.html", context, status=status)
