"""Django's registration of the ``logos_site`` app."""

from django.apps import AppConfig


class LogosSiteConfig(AppConfig):
    name = "logos_site"
