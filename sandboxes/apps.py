"""Django's registration of the ``sandboxes`` app."""

from django.apps import AppConfig


class SandboxesConfig(AppConfig):
    name = "sandboxes"

    def ready(self) -> None:
        from sandboxes import on_agents

        on_agents.connect()
