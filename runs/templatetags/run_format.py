"""Template filters that show durations, money, tokens and states the same way everywhere."""

from __future__ import annotations

from django import template

register = template.Library()
