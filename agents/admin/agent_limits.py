"""What an agent's sandbox may use, as fields of its form in the console: one for each limit, empty for the site's."""

from __future__ import annotations

from typing import Any

from django import forms

from agents import permissions, sandbox_limits
from agents.admin_versions import VersionedForm
from agents.errors import Invalid
from agents.models import Agent, User

PREFIX = "limit_"
NAMES = tuple(f"{PREFIX}{name}" for name in sandbox_limits.LIMITS)


def may_limit(user: User, agent: Agent | None) -> bool:
    """A new agent has the site's limits; of another one, who manages it says them."""
    return agent is not None and bool(permissions.allows(user, "sandbox.limit", agent))


def with_limits(shown: list[Any]) -> list[Any]:
    """An agent's groups of fields with one for its limits after the first."""
    words = "They hold from the next start of its sandbox."
    return [*shown[:1], ("What its sandbox may use", {"fields": NAMES, "description": words}), *shown[1:]]


def _number(name: str) -> forms.IntegerField:
    limit = sandbox_limits.LIMITS[name]
    return forms.IntegerField(label=f"{limit.label} ({limit.unit})" if limit.unit else limit.label, required=False)


class LimitedForm(VersionedForm):
    """A form of an agent with its limits, for who may say them."""

    # Set per request by the admin.
    asker: User

    limit_memory_mb = _number("memory_mb")
    limit_cpu_percent = _number("cpu_percent")
    limit_processes = _number("processes")
    limit_open_files = _number("open_files")
    limit_disk_mb = _number("disk_mb")
    limit_file_mb = _number("file_mb")
    limit_tmp_mb = _number("tmp_mb")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_limit(self.asker, None if self.instance._state.adding else self.instance):
            for name in NAMES:
                self.fields.pop(name, None)
            return
        for name, limit in sandbox_limits.LIMITS.items():
            field = self.fields[f"{PREFIX}{name}"]
            field.initial = self.instance.limits.get(name)
            field.help_text = f"{limit.hint} Empty: the site's {limit.usual:,}."

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not set(NAMES) <= self.fields.keys() or set(NAMES) & self.errors.keys():
            return cleaned
        asked = {name: cleaned.get(f"{PREFIX}{name}") for name in sandbox_limits.LIMITS}
        try:
            self.instance.limits = sandbox_limits.check(self.asker, asked, self.instance.limits)
        except Invalid as error:
            self.add_error(f"{PREFIX}{error.field}", f"{error.message} {error.action}".strip())
        return cleaned
