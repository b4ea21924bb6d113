"""Template tags of the frame: icons, relative times."""

from __future__ import annotations

from django import template

register = template.Library()
