"""Finished calls become rows, once each, whatever the provider claimed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from agents.models import Agent
from sandboxes.inference.calls import CallRecord
from sandboxes.inference.rows import store, write_rows
from sandboxes.models import InferenceCall, Sandbox

RECORD = CallRecord("infer_1", "run_1", "box_x", "route_1", "m", 200, ttft_ms=1.5, duration_ms=9.0, cost=Decimal("0.1"))


def test_a_record_is_stored_once_even_if_written_twice(atlas: Agent) -> None:
    box, _ = Sandbox.objects.get_or_create(agent=atlas, defaults={"number": 1})
    record = replace(RECORD, sandbox_id=box.pk, input_tokens=7)

    store([record])
    store([record, replace(record, id="infer_2")])

    assert list(
        InferenceCall.objects.order_by("id").values_list("id", "sandbox_id", "input_tokens", "output_tokens")
    ) == [
        ("infer_1", box.pk, 7, None),
        ("infer_2", box.pk, 7, None),
    ]


@pytest.mark.django_db
def test_a_call_of_a_deleted_sandbox_still_counts() -> None:
    store([RECORD])

    row = InferenceCall.objects.get()
    assert (row.sandbox_id, row.cost, row.ttft_ms) == (None, Decimal("0.1"), 1.5)


@pytest.mark.django_db
def test_figures_and_words_beyond_all_reason_do_not_lose_the_row() -> None:
    wild = replace(RECORD, error_message="x\0" * 1000, input_tokens=10**15, cost=Decimal(10**9))

    store([wild])

    row = InferenceCall.objects.get()
    assert (row.cost, row.input_tokens, len(row.error_message)) == (None, 2_147_483_647, 500)


@pytest.mark.django_db(transaction=True)
async def test_the_meters_writer_stores_from_the_event_loop() -> None:
    await write_rows([RECORD])

    assert await InferenceCall.objects.acount() == 1
