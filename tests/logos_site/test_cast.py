"""The cast itself: what conftest promises about the people every other test relies on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from agents import permissions
from agents.models import Agent, User


@pytest.mark.parametrize(
    ("name", "may_chat"), [("ada", True), ("alice", True), ("bob", True), ("mallory", False), ("viewer", False)]
)
def test_who_of_the_cast_may_chat_with_atlas(
    request: pytest.FixtureRequest, atlas: Agent, name: str, may_chat: bool
) -> None:
    verdict = permissions.allows(request.getfixturevalue(name), "agent.chat", atlas)

    assert verdict.allowed is may_chat, verdict.reason


def test_the_state_directory_of_tests_is_their_own(home: Path, walkable_dir: Path) -> None:
    assert home.name.startswith("logos-test-")
    assert (home.stat().st_mode & 0o777, walkable_dir.stat().st_mode & 0o777) == (0o755, 0o755)
    assert str(home) in settings.DATABASES["default"]["NAME"] or "postgresql" in settings.DATABASES["default"]["ENGINE"]


def test_a_browser_is_signed_in_as_who_it_was_given(browser: Callable[..., Client], alice: User) -> None:
    assert browser(alice).session["_auth_user_id"] == str(alice.pk)
    assert "_auth_user_id" not in browser().session
