"""The form of a soul: every part with its sentence, one choice per toolset so that none can be in two lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from agents import souls, starters
from agents.errors import Invalid
from agents.invisible import spelled_out
from agents.models import Soul, SoulStatus, Visibility
from agents.soul_files import Sheet
from agents.toolsets import LISTS, TOOLSETS, ToolsetLists

PLACES = (
    ("", "Not listed: possible, not suggested"),
    ("enforced", "Enforced: always on"),
    ("default", "Default: on at first"),
    ("optional", "Optional: offered, off at first"),
    ("forbidden", "Forbidden: never on"),
)
_PARTS = ("name", "description", "category", "tags", "status", "text")
_STATUSES = (
    (SoulStatus.ACTIVE, "Active: offered to everyone who may see it"),
    (SoulStatus.DRAFT, "Draft: offered to those who may edit it"),
)


class SoulForm(forms.Form):
    """A new soul or a change of one. ``parts()`` is what ``agents.souls`` takes."""

    name = forms.CharField(label="Name", max_length=80)
    description = forms.CharField(label="Description", max_length=300, required=False)
    category = forms.CharField(label="Category", max_length=40, required=False)
    tags = forms.CharField(label="Tags", max_length=400, required=False)
    status = forms.ChoiceField(label="Status", choices=_STATUSES, initial=SoulStatus.ACTIVE)
    # The rule about its length is said in our own words, about the text with plain line ends.
    text = forms.CharField(label="Text", strip=False, required=False, widget=forms.Textarea(attrs={"rows": 22}))
    note = forms.CharField(label="What you changed", max_length=200, required=False)
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    # The warnings one has seen: agents.scanning.fingerprint.
    acknowledged = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)

    use_required_attribute = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["category"].widget.attrs["list"] = "categories"
        for name, sentence in TOOLSETS.items():
            field = forms.ChoiceField(label=name, choices=PLACES, required=False, help_text=sentence)
            self.fields[f"toolset-{name}"] = field

    @property
    def toolset_fields(self) -> list[forms.BoundField]:
        return [self[f"toolset-{name}"] for name in TOOLSETS]

    @property
    def has_lists(self) -> bool:
        return any(bound.value() for bound in self.toolset_fields)

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        for name in _PARTS:
            if name in given:
                try:
                    souls.cleaned(**{name: given[name]})
                except Invalid as error:
                    self.add_error(name, f"{error.message} {error.action}".strip())
        return given

    def parts(self) -> dict[str, Any]:
        """What was filled in."""
        given = self.cleaned_data
        lists = {kind: tuple(n for n in TOOLSETS if given.get(f"toolset-{n}") == kind) for kind in LISTS}
        return {name: given[name] for name in _PARTS} | {"toolsets": ToolsetLists(**lists)}


class NewSoulForm(SoulForm):
    """A soul that is not there yet: who may use it, and what it is made from."""

    visibility = forms.ChoiceField(
        label="Who may use it",
        choices=((Visibility.PRIVATE, "Only me, until I share it"), (Visibility.SHARED, "Everyone who may sign in")),
        initial=Visibility.PRIVATE,
    )
    starter = forms.CharField(required=False, max_length=80, widget=forms.HiddenInput)
    source = forms.CharField(required=False, max_length=120, widget=forms.HiddenInput)

    def made_from(self) -> dict[str, str]:
        """Origin and the note of the first revision, as ``agents.souls.create`` takes them."""
        slug, source = self.cleaned_data["starter"], self.cleaned_data["source"]
        if slug:
            starter = starters.get(slug)
            return {"origin": starter.origin, "note": f"From the starter soul {starter.sheet.name}"}
        return {"origin": f"file:{source}", "note": f"Imported from {source}"} if source else {}

    def clean_source(self) -> str:
        return spelled_out(" ".join(self.cleaned_data["source"].split()))


def values_of(sheet: Sheet) -> dict[str, Any]:
    """What the form holds for what a person or a file wrote."""
    texts = {name: getattr(sheet, name) for name in ("name", "description", "category", "text")}
    places = {f"toolset-{name}": kind for kind in LISTS for name in sheet.toolsets.of(kind)}
    return texts | {"tags": " ".join(sheet.tags)} | places


def texts_of(row: Any) -> Mapping[str, str]:
    """A soul, or a record of one in its history, as the texts its form posts."""
    values = {name: getattr(row, name) for name in ("name", "description", "category", "tags", "status", "text")}
    listed = {name: kind for kind in LISTS for name in getattr(row, f"{kind}_toolsets")}
    return values | {f"toolset-{name}": listed.get(name, "") for name in TOOLSETS}


def edit_values(soul: Soul) -> dict[str, Any]:
    """What the form of a stored soul begins with."""
    return {**texts_of(soul), "version": soul.version}
