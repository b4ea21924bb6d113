"""Notes of agents in the console, by the same rules as on their pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from agents import notes
from agents.admin.agent_parts import PartAdmin, PartForm
from agents.models import AgentNote, User


class NoteForm(PartForm):
    """The words of one note."""

    action = "note.edit"

    class Meta:
        model = AgentNote
        fields = ("agent", "text")
        widgets = {"text": forms.Textarea(attrs={"rows": 4, "cols": 100})}

    def check(self, cleaned: dict[str, Any]) -> None:
        cleaned["text"] = notes.clean(cleaned.get("text", ""))


@admin.register(AgentNote)
class AgentNoteAdmin(PartAdmin):
    """What agents keep for later; new ones are written on the agent's page."""

    view_action = "note.view"
    change_action = "note.edit"
    delete_action = "note.edit"

    form = NoteForm
    list_display = ("__str__", "agent", "is_own", "written_by", "updated_at")
    list_select_related = ("agent", "written_by")
    search_fields = ("text", "agent__name")
    readonly_fields = ("is_own", "written_by", "run_id")

    def save_model(self, request: HttpRequest, obj: AgentNote, form: Any, change: bool) -> None:
        assert isinstance(request.user, User)  # noqa: S101 (narrows the type)
        notes.change(request.user, obj.agent_id, obj.pk, obj.text, None)

    def delete_model(self, request: HttpRequest, obj: AgentNote) -> None:
        assert isinstance(request.user, User)  # noqa: S101 (narrows the type)
        notes.remove(request.user, obj.agent_id, obj.pk)
