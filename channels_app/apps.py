"""Django's registration of the ``channels_app`` app."""

from django.apps import AppConfig


class ChannelsAppConfig(AppConfig):
    name = "channels_app"
