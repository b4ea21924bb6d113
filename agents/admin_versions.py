"""Two who save one row in the console: the second is told, keeps the draft, and overwrites only by saving again."""

from __future__ import annotations

from typing import Any

from django import forms

WRITTEN_FROM = "written_from"


class VersionedForm(forms.ModelForm):
    """A form that knows which version of its row it was filled from."""

    written_from = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            self.fields[WRITTEN_FROM].initial = self.instance.version

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.instance._state.adding and cleaned.get(WRITTEN_FROM) not in (None, self.instance.version):
            self.add_error(
                None,
                "Somebody saved this first. What you typed is still here: look at the history for what they changed; "
                "saving again overwrites it.",
            )
            data: Any = self.data
            data = data.copy()
            data[self.add_prefix(WRITTEN_FROM)] = str(self.instance.version)
            self.data = data
        return cleaned
