"""Django's registration of the ``channels_app`` app."""

from django.apps import AppConfig


class ChannelsAppConfig(AppConfig):
    name = "channels_app"

    def ready(self) -> None:
        from agents import erasing, exporting
        from channels_app import keeping, receivers

        receivers.connect(self)
        erasing.PARTS.append(keeping.erase)
        exporting.PARTS.extend(keeping.PARTS)
