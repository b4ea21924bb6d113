"""Background work in the console: what waits, what was done, what failed and can be asked for again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django_q.models import Failure, OrmQ, Schedule, Success
from django_q.tasks import async_task

from agents.admin_acting import bulk
from agents.admin_base import RecordAdmin
from agents.admin_filters import TypedFilter
from agents.admin_words import ago
from agents.errors import NotFound
from agents.permissions import may
from agents.secrets import redact

for _theirs in (Success, Failure, OrmQ, Schedule):
    admin.site.unregister(_theirs)


class BackgroundAdmin(RecordAdmin):
    """Rows of the task queue, for admins."""

    view_action = "user.manage"

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows: QuerySet = admin.ModelAdmin.get_queryset(self, request)
        return rows if may(request.user, self.view_action) else rows.none()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, self.view_action)


class TaskAdmin(BackgroundAdmin):
    """A task that ended. Its arguments and its result went through the same mask as the log."""

    fields = ("name", "func", "group", "given", "came", "attempt_count", "started", "stopped")
    list_display = ("func", "group", "began", "took", "attempt_count", "short")
    list_filter = (("func", TypedFilter), ("group", TypedFilter), ("started", admin.DateFieldListFilter))
    search_fields = ("=name", "func", "=group")
    search_help_text = "The name of a task, words of its function, or a group (the id of an agent)"
    ordering = ("-stopped", "pk")

    @admin.display(description="arguments")
    def given(self, task: Any) -> str:
        return redact(f"{task.args or ''} {task.kwargs or ''}".strip())[:2000]

    @admin.display(description="result")
    def came(self, task: Any) -> str:
        return redact(str(task.result or ""))[:4000]

    @admin.display(description="result")
    def short(self, task: Any) -> str:
        return redact(str(task.result or ""))[:100]

    @admin.display(description="began", ordering="started")
    def began(self, task: Any) -> SafeString | str:
        return ago(task.started)

    @admin.display(description="took")
    def took(self, task: Any) -> str:
        return f"{task.time_taken():.1f} s"


@admin.register(Success)
class SuccessAdmin(TaskAdmin):
    """Done."""


@admin.register(Failure)
class FailureAdmin(TaskAdmin):
    """Not done; asking again makes a new task and removes the row."""

    actions = ("again",)

    @bulk("Do again", needs="user.manage", done="Asked for again", of=lambda task: None)
    def again(self, request: HttpRequest, task: Any) -> None:
        with transaction.atomic():
            # Whoever deletes the row asks again, so that two clicks are one task.
            if not Failure.objects.filter(pk=task.pk).delete()[0]:
                raise NotFound("Task")
            async_task(task.func, *(task.args or ()), hook=task.hook, group=task.group, **(task.kwargs or {}))


@admin.register(OrmQ)
class QueueAdmin(BackgroundAdmin):
    """Waiting, or being done. What is done and acknowledged is no longer here."""

    fields = ("func", "group", "held")
    list_display = ("func", "group", "held")
    ordering = ("pk",)

    @admin.display(description="function")
    def func(self, task: Any) -> str:
        return str(task.func())

    @admin.display(description="group")
    def group(self, task: Any) -> str:
        return str(task.group() or "")

    @admin.display(description="held until", ordering="lock")
    def held(self, task: Any) -> SafeString | str:
        return ago(task.lock)


@admin.register(Schedule)
class ScheduleAdmin(BackgroundAdmin):
    """What the task queue does by itself."""

    fields = ("name", "func", "schedule_type", "minutes", "repeats", "next_run", "cron")
    list_display = ("name", "func", "schedule_type", "next_at", "repeats")
    list_filter = ("schedule_type",)
    search_fields = ("name", "func")
    ordering = ("next_run", "pk")

    @admin.display(description="next", ordering="next_run")
    def next_at(self, schedule: Any) -> SafeString | str:
        return ago(schedule.next_run)
