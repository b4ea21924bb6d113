"""Who gave somebody their e-mail address, noted whenever it changes; and that a provider was connected."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.signals import social_account_added
from django.db import transaction
from django.db.models.signals import post_save, pre_save
from django.http import HttpRequest

from agents import acting, audit
from agents.models import User
from logos_site.oidc import people


def connect() -> None:
    """Listen for both."""
    pre_save.connect(_before_saving, sender=User)
    post_save.connect(_when_saved, sender=User)
    social_account_added.connect(_when_connected)


def _before_saving(instance: User, update_fields: Any = None, **rest: Any) -> None:
    says = update_fields is None or "email" in update_fields
    before = User.objects.filter(pk=instance.pk).values_list("email", flat=True).first() if says else instance.email
    instance._has_new_email = (before or "") != instance.email  # type: ignore[attr-defined]


def _when_saved(instance: User, **rest: Any) -> None:
    """Addresses allauth keeps beside the person's own go, or the old one would still open the account."""
    if not instance._has_new_email:  # type: ignore[attr-defined]
        return
    actor = acting.actor()
    # Nobody at a page is somebody who registers.
    alone = actor is None and acting.door() in ("page", "api")
    with transaction.atomic():
        people.note_who_typed(instance, by_themselves=alone or (actor is not None and actor.pk == instance.pk))


def _when_connected(request: HttpRequest, sociallogin: Any, **rest: Any) -> None:
    audit.note("sign_in_connected", person=sociallogin.user, provider=sociallogin.account.provider)
