"""Django's registration of the ``sandboxes`` app."""

from django.apps import AppConfig


class SandboxesConfig(AppConfig):
    name = "sandboxes"

    def ready(self) -> None:
        from agents import erasing
        from sandboxes import on_agents
        from sandboxes.erasing import erase

        on_agents.connect()
        erasing.PARTS.append(erase)
