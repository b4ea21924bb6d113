"""Template tags of the frame: icons, faces, and a form field with its label and errors."""

from __future__ import annotations

from django import template
from django.db.models import Model
from django.forms import BoundField, Select
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from agents import sprites
from agents.models import Agent

register = template.Library()


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """A line icon of ``static/icons.svg``; decoration unless it has a label."""
    href = f"{static('icons.svg')}#{name}"
    if label:
        return format_html('<svg class="glyph" role="img" aria-label="{}"><use href="{}"/></svg>', label, href)
    return format_html('<svg class="glyph" aria-hidden="true"><use href="{}"/></svg>', href)


@register.simple_tag
def face(name: str, kind: str = "") -> SafeString:
    """The initial of an agent (square) or a person (``kind`` "round")."""
    letter = next((character for character in name if character.isalnum()), "?").upper()
    return format_html('<span class="face {}" aria-hidden="true">{}</span>', kind, letter)


@register.simple_tag
def sprite(agent: Agent, kind: str = "") -> SafeString:
    """An agent's character, as decoration beside its name; ``kind`` "large" or "huge"."""
    look = sprites.look(agent.pk, agent.sprite_shape, agent.sprite_palette)
    return format_html('<span class="sprite {}">{}</span>', kind, mark_safe(sprites.svg(look)))  # noqa: S308 (ours)


@register.inclusion_tag("_field.html")
def field(
    bound: BoundField, hint: str = "", label: str = "", needed: bool = False, first: str = ""
) -> dict[str, object]:
    """A form field: label, control, hint, errors, tied together for screen readers.

    ``needed`` marks a field that is required in some cases only, and shown in those only.
    ``first`` makes it the field one begins in, and says what browsers may fill in.
    With a ``label`` of our own the placeholder goes: allauth repeats its label there."""
    described = [f"{bound.id_for_label}-{part}" for part in ("hint", "errors")]
    attributes: dict[str, str | bool] = {"aria-describedby": " ".join(described)}
    if bound.errors:
        attributes["aria-invalid"] = "true"
    if label:
        attributes["placeholder"] = ""
    if first:
        attributes |= {"autofocus": True, "autocomplete": first}
    control = bound.as_widget(attrs=attributes)
    return {
        "bound": bound,
        "control": control,
        "hint": hint or bound.help_text,
        "label": label or bound.label,
        # In a list of choices something is chosen always.
        "optional": not (bound.field.required or needed or isinstance(bound.field.widget, Select)),
    }


@register.simple_tag
def console_url(row: Model) -> str:
    """The address of a row's page in the console."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
