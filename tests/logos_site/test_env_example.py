"""``.env.example`` mirrors the settings: every variable once, with its meaning and default."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings

from logos_site.env import REGISTRY

EXAMPLE = Path(settings.BASE_DIR) / ".env.example"


def test_every_variable_is_there_once_in_the_order_of_the_settings() -> None:
    named = re.findall(r"^#?(LOGOS_\w+)=", EXAMPLE.read_text(), re.MULTILINE)

    assert named == list(REGISTRY)


def test_meanings_and_defaults_are_those_of_the_settings() -> None:
    text = EXAMPLE.read_text()

    missing = [name for name, variable in REGISTRY.items() if f"# {variable.help}" not in text]
    # Where the state lies depends on who asks.
    wrong = [
        name
        for name, variable in REGISTRY.items()
        if name != "LOGOS_HOME" and f"\n#{name}={variable.default}\n" not in text
    ]
    assert not missing
    assert not wrong


def test_copied_as_it_is_it_changes_nothing() -> None:
    assert not re.search(r"^[^#\s]", EXAMPLE.read_text(), re.MULTILINE)
