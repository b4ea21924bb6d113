"""What one person sees is kept out of caches."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from agents.models import Agent, User


@pytest.mark.parametrize("path", ["/", "/runs/", "/chat/", "/api/me", "/admin/"])
def test_private_answers_are_never_stored(browser: Callable[..., Client], ada: User, atlas: Agent, path: str) -> None:
    response = browser(ada).get(path, follow=True)

    assert "no-store" in response["Cache-Control"] or "no-cache" in response["Cache-Control"]
    assert "private" in response["Cache-Control"]
