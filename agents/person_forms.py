"""What every form with a person's name keeps: the rule of ``agents.people``, said beside the field."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

from agents import people
from agents.errors import Invalid


class NameRules:
    """For forms with ``first_name`` and ``last_name``."""

    cleaned_data: dict[str, Any]

    def clean_first_name(self) -> str:
        return self._name("first_name")

    def clean_last_name(self) -> str:
        return self._name("last_name")

    def _name(self, field: str) -> str:
        try:
            return people.clean_name(self.cleaned_data[field])
        except Invalid as error:
            raise ValidationError(error.message) from error
