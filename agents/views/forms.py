"""Tell a form what a story refused: beside the field it is about, else above all of them."""

from __future__ import annotations

from django import forms

from agents.errors import LogosError


def complain(form: forms.BaseForm, error: LogosError, **fields: str) -> None:
    """Put ``error`` into ``form``; ``fields`` renames the story's fields to the form's."""
    name = getattr(error, "field", "")
    name = fields.get(name, name) or ("name" if error.reason == "name_taken" else "")
    form.add_error(name if name in form.fields else None, in_words(error))


def in_words(error: LogosError) -> str:
    """The refusal and the way forward, as one text."""
    sentence = error.message if error.message.endswith((".", "!", "?")) else f"{error.message}."
    return f"{sentence} {error.action}".strip()
