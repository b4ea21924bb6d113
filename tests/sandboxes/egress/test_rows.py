"""Decisions as rows: one for each connection, completed when it is over, forgotten when it is old."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from agents import ids
from agents.models import Agent
from sandboxes.egress import rows
from sandboxes.egress.proxy import Decision
from sandboxes.egress.rows import Noted, store, sweep
from sandboxes.models import EgressDecision

ALLOWED = Decision("conn_1", "a.example", 443, "/usr/bin/curl", True, "policy_1/a.example", "It is.", "CONNECT", "ab")


def noted(agent: Agent, decision: Decision = ALLOWED, run_id: str = "run_1") -> Noted:
    return Noted(agent.pk, run_id, decision, timezone.now())


def test_a_decision_is_a_row_and_its_end_completes_it(atlas: Agent) -> None:
    store([noted(atlas)])
    row = EgressDecision.objects.get()
    assert (row.host, row.port, row.binary, row.sha256) == ("a.example", 443, "/usr/bin/curl", "ab")
    assert (row.run_id, row.method, row.allowed, row.duration_ms) == ("run_1", "CONNECT", True, None)

    store([noted(atlas, replace(ALLOWED, sent=5, received=7, duration_ms=3.5, is_over=True))])

    after = EgressDecision.objects.get()
    assert (after.sent, after.received, after.duration_ms, after.at) == (5, 7, 3.5, row.at)


def test_both_in_one_batch_and_a_batch_written_twice_are_one_row(atlas: Agent) -> None:
    batch = [noted(atlas), noted(atlas, replace(ALLOWED, sent=5, is_over=True))]

    store(batch)
    store(batch)

    assert EgressDecision.objects.get().sent == 5


def test_a_strangers_text_never_breaks_a_batch(atlas: Agent) -> None:
    odd = replace(ALLOWED, id="conn_2", host="h\0" * 400, reason="r" * 900, rule="x" * 500, method="M" * 30)
    gone = Noted("agent_gone", "", replace(ALLOWED, id="conn_3"), timezone.now())

    store([noted(atlas), noted(atlas, odd), gone])

    assert EgressDecision.objects.count() == 2
    assert "\0" not in EgressDecision.objects.get(pk="conn_2").host


def test_old_ones_are_forgotten_some_at_a_time(atlas: Agent, settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "SWEPT", 3)
    old = timezone.now() - timedelta(days=31)
    for at in [old] * 5 + [timezone.now()]:
        EgressDecision.objects.create(id=ids.connection_id(), agent=atlas, port=1, allowed=True, at=at)

    assert [sweep(), sweep(), sweep()] == [3, 2, 0]
    assert EgressDecision.objects.count() == 1


def test_an_agent_that_asks_for_ever_does_not_fill_the_disk(atlas: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST_PER_AGENT", 3)
    needed = EgressDecision.objects.create(
        id=ids.connection_id(), agent=atlas, port=1, allowed=True, rule="p/needed", at=timezone.now()
    )
    refused = [
        EgressDecision.objects.create(id=ids.connection_id(), agent=atlas, port=1, allowed=False, at=timezone.now())
        for _ in range(5)
    ]

    assert [sweep(), sweep()] == [3, 0]

    # The oldest went, but not the one by which a rule is known to be needed.
    assert {row.pk for row in EgressDecision.objects.all()} == {needed.pk, *(row.pk for row in refused[3:])}
