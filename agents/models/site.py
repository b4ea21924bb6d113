"""What admins decide for the whole site while it runs; each decision stays in its history."""

from __future__ import annotations

from django.db import models

from agents.models.history import Changes
from agents.models.shared import Versioned


class SiteSettings(Versioned):
    """The one row of them; ``agents.privacy`` and ``agents.four_eyes`` read and change it."""

    private_chats = models.BooleanField(
        default=False, help_text="Admins and operators see that others chat, not what is said."
    )

    four_eyes = models.BooleanField(
        default=False, help_text="A change of a policy that allows more waits until a second person agrees."
    )

    history = Changes()

    class Meta:
        verbose_name = "site settings"
        verbose_name_plural = "site settings"

    def __str__(self) -> str:
        return "Site settings"

    @classmethod
    def turn(cls, name: str, on: bool) -> bool:
        """Set one of them, inside a transaction; whether that changed anything."""
        # A row of a fixed key: two who switch at once meet here.
        row, _ = cls.objects.select_for_update().get_or_create(pk=1)
        if getattr(row, name) == on:
            return False
        setattr(row, name, on)
        row.save()
        return True
