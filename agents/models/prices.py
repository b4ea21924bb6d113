"""Lists of prices that were read from files: what each said, what it changed, and who had it applied or undone."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

from agents import ids

CURRENCY = "USD"


class PriceList(models.Model):
    """One file of prices. It is proposed until somebody applies it; what it changed can be put back.

    A route names the list its prices are from (``ModelRoute.price_list``), or none when somebody set them by hand."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.price_list_id, editable=False)
    source = models.CharField(max_length=120, help_text="The name of the file.")
    currency = models.CharField(max_length=3, default=CURRENCY)
    sha256 = models.CharField("SHA-256 of the file", max_length=64)
    count = models.PositiveIntegerField(help_text="Models the file has a price for.")
    # model → [input, output, cached or null], USD a million tokens, as texts
    prices = models.JSONField()
    # What it changed: {"route", "model", "before": [input, output, cached, list], "after": [input, output, cached]}
    changed = models.JSONField(default=list)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    applied_at = models.DateTimeField(null=True)
    applied_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    undone_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.source

    @property
    def state(self) -> str:
        return "undone" if self.undone_at else "applied" if self.applied_at else "proposed"

    @property
    def changes(self) -> list[dict[str, Any]]:
        return list(self.changed)
