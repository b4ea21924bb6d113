"""Django's registration of the ``logos_site`` app."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.core.management import call_command
from django.db.models.signals import post_migrate


class LogosSiteConfig(AppConfig):
    name = "logos_site"

    def ready(self) -> None:
        from allauth.mfa.models import Authenticator

        from agents import rotation
        from logos_site.account import signals
        from logos_site.oidc import signals as oidc

        # The signal is not sent for an app without models, such as this one.
        post_migrate.connect(_make_cache_table, sender=apps.get_app_config("agents"))
        signals.connect()
        oidc.connect()
        rotation.SEALED.append(rotation.Sealed(Authenticator, "data"))


def _make_cache_table(using: str, **rest: Any) -> None:
    """The table of the shared cache is no model, so migrations do not make it; nothing happens if it is there."""
    call_command("createcachetable", database=using, verbosity=0)
