"""The rules at hand: a change bites with the next look, nothing is parsed while nothing changed, doubt is closed."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from agents.models import Agent, Policy
from sandboxes.egress import reaches
from sandboxes.egress.reaches import Reaches
from tests.rules import rules

pytestmark = pytest.mark.django_db(transaction=True)


class Db:
    """Runs functions in a thread, counts, and may break."""

    def __init__(self) -> None:
        self.asked, self.is_broken, self.answers = 0, False, list[Any]()

    async def __call__(self, function: Any, *args: Any) -> Any:
        self.asked += 1
        if self.is_broken:
            raise OSError
        found = await sync_to_async(function)(*args)
        self.answers.append(found)
        return found


async def allow(agent: Agent, *lines: str) -> Policy:
    policy = await Policy.objects.acreate(name="Web", rules=rules(*lines))
    await agent.policies.aadd(policy)
    return policy


async def test_a_change_made_here_counts_at_once(atlas: Agent) -> None:
    known = Reaches(Db())
    assert not (await known.of(atlas.pk)).decide("a.example", 443)
    policy = await allow(atlas, "a.example")
    assert (await known.of(atlas.pk)).decide("a.example", 443)

    policy.rules = []
    await policy.asave()

    assert not (await known.of(atlas.pk)).decide("a.example", 443)


async def test_a_change_made_by_another_process_counts_soon(atlas: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaches, "BELIEVED_S", 0.0)
    monkeypatch.setattr(reaches, "_count", lambda: None)
    known = Reaches(Db())
    await known.of(atlas.pk)

    await allow(atlas, "a.example")

    assert (await known.of(atlas.pk)).decide("a.example", 443)


async def test_what_is_fresh_is_not_asked_for_again_and_what_did_not_change_is_not_read(
    atlas: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    await allow(atlas, "a.example")
    db = Db()
    known = Reaches(db)

    first = await known.of(atlas.pk)
    assert await known.of(atlas.pk) is first
    assert db.asked == 1

    monkeypatch.setattr(reaches, "BELIEVED_S", 0.0)
    assert await known.of(atlas.pk) is first
    assert db.answers[1] is None


async def test_rules_that_cannot_be_read_let_nothing_through_until_they_can(
    atlas: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaches, "BELIEVED_S", 0.0)
    await allow(atlas, "a.example")
    db = Db()
    known = Reaches(db)
    assert (await known.of(atlas.pk)).decide("a.example", 443)

    db.is_broken = True
    verdict = (await known.of(atlas.pk)).decide("a.example", 443)
    assert (verdict.allowed, "cannot be read" in verdict.reason) == (False, True)

    db.is_broken = False
    assert (await known.of(atlas.pk)).decide("a.example", 443)


async def test_an_agent_that_is_gone_reaches_nothing() -> None:
    assert not (await Reaches(Db()).of("agent_gone")).decide("a.example", 443)
