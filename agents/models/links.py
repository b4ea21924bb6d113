"""One-time links an admin hands to somebody: to join, or to set a password. Logos does not mail them."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone

from agents.models.people import Role


class Purpose(models.TextChoices):
    """What a link is good for."""

    INVITE = "invite", "Join"
    PASSWORD = "password", "Set a password"


class OneTimeLink(models.Model):
    """Only the SHA-256 of the link's secret is kept. ``agents.invitations`` makes, opens and uses them."""

    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    # Whose password it sets; who joined by it.
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="links")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.USER)
    email = models.EmailField(blank=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.get_purpose_display()}, until {self.expires_at:%Y-%m-%d %H:%M}"

    @classmethod
    def make(cls, lifetime: timedelta, **fields: object) -> tuple[OneTimeLink, str]:
        """A new link and its secret, which cannot be read again."""
        secret = secrets.token_urlsafe(32)
        row = cls(digest=cls.digest_of(secret), expires_at=timezone.now() + lifetime, **fields)
        row.save()
        return row, secret

    @staticmethod
    def digest_of(secret: str) -> str:
        # 256 random bits: a plain fast hash cannot be searched.
        return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
