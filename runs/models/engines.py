"""Which engines live: one row each, renewed every few seconds."""

from __future__ import annotations

from django.db import models


class EngineBeat(models.Model):
    """An engine that was alive at ``seen_at``; removed when it stops in good order."""

    owner = models.CharField(max_length=60, primary_key=True)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.owner
