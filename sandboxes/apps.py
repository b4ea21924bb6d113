"""Django's registration of the ``sandboxes`` app."""

from django.apps import AppConfig


class SandboxesConfig(AppConfig):
    name = "sandboxes"

    def ready(self) -> None:
        from agents import erasing, rotation
        from sandboxes import on_agents
        from sandboxes.erasing import erase
        from sandboxes.models import Sandbox

        on_agents.connect()
        erasing.PARTS.append(erase)
        rotation.SEALED.append(rotation.Sealed(Sandbox, "sealed_api_key"))
