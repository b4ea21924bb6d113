"""Django's registration of the ``agents`` app."""

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"
