"""What the objects that people share have in common: an owner, a visibility, and four grantable levels."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models


class Visibility(models.TextChoices):
    """Who may use a row without a grant of their own."""

    PRIVATE = "private", "Private: its owner and those with a grant"
    SHARED = "shared", "Shared: everyone who may sign in"


def levels(noun: str) -> tuple[tuple[str, str], ...]:
    """The grantable permissions of a model beside Django's own ``view_``: chat, edit and manage."""
    return (
        (f"chat_{noun}", f"Can use the {noun} in a chat"),
        (f"edit_{noun}", f"Can edit the {noun}"),
        (f"manage_{noun}", f"Can manage the {noun}, its grants included"),
    )


class Versioned(models.Model):
    """A row that counts its saves, so that two people who edit it at once notice (``agents.editing``).

    ``QuerySet.update`` must raise ``version`` itself."""

    version = models.PositiveIntegerField(default=1, editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            self.version += 1
            if (fields := kwargs.get("update_fields")) is not None:
                kwargs["update_fields"] = {*fields, "version"}
        super().save(*args, **kwargs)


class Shareable(Versioned):
    """A root object of row-level permissions: everything else asks one of these."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    visibility = models.CharField(max_length=10, choices=Visibility.choices, default=Visibility.PRIVATE)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True
