"""Ids name their kind, sort by the time they were made, and never repeat."""

from __future__ import annotations

import re
import threading
import time

import pytest

from agents import ids

KINDS = {
    ids.soul_id: "soul_",
    ids.provider_id: "prov_",
    ids.route_id: "route_",
    ids.policy_id: "pol_",
    ids.agent_id: "agent_",
    ids.sandbox_id: "box_",
    ids.conversation_id: "conv_",
    ids.message_id: "msg_",
    ids.run_id: "run_",
    ids.approval_id: "appr_",
}


@pytest.mark.parametrize(("make", "prefix"), KINDS.items())
def test_an_id_is_a_prefix_and_26_characters_that_can_be_read_aloud(make, prefix: str) -> None:  # type: ignore[no-untyped-def]
    assert re.fullmatch(prefix + r"[0-9a-hjkmnp-tv-z]{26}", make())


def test_ids_rise_strictly_also_within_a_millisecond() -> None:
    made = [ids.ulid() for _ in range(5000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_the_first_ten_characters_are_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    future_ms = time.time_ns() // 1_000_000 + 1000
    monkeypatch.setattr(ids, "_last", (0, 0))
    monkeypatch.setattr(ids.time, "time_ns", lambda: future_ms * 1_000_000)

    value = 0
    for character in ids.ulid()[:10]:
        value = value * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(character)

    assert value == future_ms


def test_ids_still_rise_when_the_clock_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids.ulid()
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1)

    assert ids.ulid() > before


def test_threads_never_get_the_same_id() -> None:
    made: list[list[str]] = [[] for _ in range(4)]
    threads = [threading.Thread(target=lambda mine=mine: mine.extend(ids.ulid() for _ in range(2000))) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({one for mine in made for one in mine}) == 8000
