"""Django's registration of the ``runs`` app."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "runs"

    def ready(self) -> None:
        from agents import badges
        from runs import approvals, on_agents

        badges.register("/runs/", "waiting for you", approvals.waiting_for)
        on_agents.connect()
