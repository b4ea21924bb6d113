"""Django's registration of the ``agents`` app."""

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"

    def ready(self) -> None:
        from django.contrib.auth.models import Group
        from django.db.models.signals import post_delete, post_migrate
        from simple_history import register
        from simple_history.signals import pre_create_historical_record

        from agents import (
            badges,
            duplicating,
            four_eyes,
            halting,
            keeping,
            preset_library,
            privacy,
            registration,
            service_accounts,
            watching,
        )
        from agents.models.history import Changes, note_door
        from agents.models.people import User, keep_an_admin

        register(Group, app="agents", records_class=Changes)
        pre_create_historical_record.connect(note_door)
        watching.connect()
        four_eyes.connect()
        service_accounts.connect()  # before references to a keeper are emptied
        keeping.connect()
        post_delete.connect(keep_an_admin, sender=User)
        post_migrate.connect(preset_library.seed, sender=self)
        badges.register(halting.PAGE, "stopped", halting.counted)
        badges.register("/people/", "waiting for an answer", registration.waiting_for)
        duplicating.OBSTACLES.append(privacy.not_copied)
