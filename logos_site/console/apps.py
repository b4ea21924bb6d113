"""Django's admin with the console as its site."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AdminConfig):
    default_site = "logos_site.console.site.ConsoleSite"

    def ready(self) -> None:
        super().ready()
        from logos_site.console.unfolding import adapt

        adapt()
