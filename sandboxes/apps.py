"""Django's registration of the ``sandboxes`` app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SandboxesConfig(AppConfig):
    name = "sandboxes"

    def ready(self) -> None:
        from agents import erasing, policies, rotation
        from sandboxes import on_agents, schedules, what_if
        from sandboxes.egress import on_rules
        from sandboxes.erasing import erase
        from sandboxes.models import Sandbox

        on_agents.connect()
        policies.FORESEEN.append(what_if.figures)
        post_migrate.connect(schedules.make, sender=self)
        on_rules.connect()
        erasing.PARTS.append(erase)
        rotation.SEALED.append(rotation.Sealed(Sandbox, "sealed_api_key"))
