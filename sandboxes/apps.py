"""Django's registration of the ``sandboxes`` app."""

from django.apps import AppConfig


class SandboxesConfig(AppConfig):
    name = "sandboxes"
