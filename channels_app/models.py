"""How people hear that something waits for them: the browsers that are pushed to, and what each person wants."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.db import models


class PushDevice(models.Model):
    """One browser of one person that takes push messages. The address and the keys are of its own making."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="push_devices")
    # An address is too long for an index of some databases.
    digest = models.CharField(max_length=64, unique=True, editable=False)
    endpoint = models.TextField(editable=False)
    p256dh = models.CharField(max_length=120, editable=False)
    auth = models.CharField(max_length=40, editable=False)
    name = models.CharField(max_length=120, help_text="The browser and where it runs, as it said itself.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="How often in a row it could not be reached.")
    created_at = models.DateTimeField(auto_now_add=True)
    reached_at = models.DateTimeField(null=True, help_text="When its push service last took a message.")

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def digest_of(endpoint: str) -> str:
        return hashlib.sha256(endpoint.encode()).hexdigest()


class Notices(models.Model):
    """What one person wants to be told, and when they last were."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="notices")
    by_push = models.BooleanField("push", default=True, help_text="To every browser that was switched on.")
    by_mail = models.BooleanField("e-mail", default=False, help_text="To the address of the account.")
    pushed_at = models.DateTimeField(null=True, editable=False)
    mailed_at = models.DateTimeField(null=True, editable=False)
    # Something came while it was too early for another mail.
    owes_mail = models.BooleanField(default=False, editable=False)

    class Meta:
        verbose_name = "notices"
        verbose_name_plural = "notices"

    def __str__(self) -> str:
        return f"Notices of {self.user}"
