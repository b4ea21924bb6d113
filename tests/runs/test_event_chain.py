"""The events of a run are a chain: whatever is changed, dropped, added or moved shows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from agents.models import Agent, User
from runs import dispatch, events
from runs.events import GENESIS, Event
from runs.models import Run, RunEvent, Status

pytestmark = pytest.mark.django_db

AT = datetime(2026, 11, 21, 8, 30, 0, 125000, tzinfo=UTC)


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    """Alice's run with eight events."""
    run = dispatch.start(alice, "Hello", agent=atlas).run
    story = [Event(run.pk, n, "text.delta", {"text": f"part {n}"}, AT + timedelta(seconds=n)) for n in range(2, 9)]
    heads = events.store(story[:3], {})
    events.store(story[3:], heads)
    return run


def row(run: Run, seq: int) -> RunEvent:
    return run.events.get(seq=seq)


def test_what_was_stored_holds(run: Run) -> None:
    assert events.verify(run) == ""
    assert [event.seq for event in events.replay(run.pk)] == list(range(1, 9))


def change_data(run: Run) -> None:
    run.events.filter(seq=4).update(data={"text": "something else"})


def change_kind(run: Run) -> None:
    run.events.filter(seq=4).update(kind="reasoning.delta")


def change_time(run: Run) -> None:
    run.events.filter(seq=4).update(at=AT)


def change_number(run: Run) -> None:
    run.events.filter(seq=8).update(seq=800)


def drop_one(run: Run) -> None:
    run.events.filter(seq=4).delete()


def drop_the_first(run: Run) -> None:
    run.events.filter(seq=1).delete()


def swap_two(run: Run) -> None:
    third, fourth = row(run, 3), row(run, 4)
    run.events.filter(pk=third.pk).update(seq=1000)
    run.events.filter(pk=fourth.pk).update(seq=3)
    run.events.filter(pk=third.pk).update(seq=4)


def swap_two_texts(run: Run) -> None:
    third, fourth = row(run, 3), row(run, 4)
    run.events.filter(seq=3).update(data=fourth.data)
    run.events.filter(seq=4).update(data=third.data)


def insert_one(run: Run) -> None:
    last = row(run, 8)
    run.events.filter(pk=last.pk).update(seq=9)
    forged = Event(run.pk, 8, "note", {"text": "forged"}, AT)
    previous = row(run, 7).digest
    RunEvent.objects.create(
        run=run, seq=8, kind=forged.kind, data=forged.data, at=AT, previous=previous,
        digest=events.digest_of(forged, previous),
    )  # fmt: skip


def forge_with_new_digest(run: Run) -> None:
    event = Event(run.pk, 4, "text.delta", {"text": "forged"}, row(run, 4).at)
    run.events.filter(seq=4).update(data=event.data, digest=events.digest_of(event, row(run, 3).digest))


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (change_data, 4),
        (change_kind, 4),
        (change_time, 4),
        (change_number, 800),
        (drop_one, 5),
        (drop_the_first, 2),
        (swap_two, 3),
        (swap_two_texts, 3),
        (insert_one, 9),
        (forge_with_new_digest, 5),
    ],
)
def test_tampering_shows_at_the_first_event_that_does_not_fit(
    run: Run, tamper: Callable[[Run], None], named: int
) -> None:
    tamper(run)

    assert events.verify(run).startswith(f"Event {named} (")


def test_an_event_of_another_run_does_not_fit(run: Run, alice: User) -> None:
    other = dispatch.start(alice, "Hello", agent=run.agent).run
    copied = row(run, 2)
    RunEvent.objects.create(
        run=other, seq=2, kind=copied.kind, data=copied.data, at=copied.at, previous=copied.previous,
        digest=copied.digest,
    )  # fmt: skip

    assert events.verify(other).startswith("Event 2 (")


@pytest.mark.parametrize("rest", [8, 5, 0])
def test_a_finished_run_must_end_with_its_last_event(run: Run, rest: int) -> None:
    end = Event(run.pk, 9, "run.completed", {"text": "Done"}, AT)
    events.store([end], {})
    Run.objects.update(status=Status.COMPLETED)
    run.refresh_from_db()
    assert events.verify(run) == ""

    run.events.filter(seq__gt=rest).delete()

    assert events.verify(run) == "The record does not end with the event that left this run done."


def test_the_digest_is_the_same_on_every_machine() -> None:
    event = Event("run_1", 7, "tool.started", {"b": [1, 2.5, None, True], "a": {"ä": "\u2028 é 🔑"}}, AT)

    assert events.digest_of(event, GENESIS) == "36d97ee45d205f68f890ff7fea02e41571ff6a80fa1bf04101a3e872ace8d798"


@pytest.mark.parametrize(
    "other",
    [
        Event("run_2", 7, "note", {"text": "x"}, AT),
        Event("run_1", 8, "note", {"text": "x"}, AT),
        Event("run_1", 7, "text", {"text": "x"}, AT),
        Event("run_1", 7, "note", {"text": "y"}, AT),
        Event("run_1", 7, "note", {"text": "x", "y": None}, AT),
        Event("run_1", 7, "note", {"text": "x"}, AT + timedelta(microseconds=1)),
    ],
)
def test_every_part_of_an_event_is_in_its_digest(other: Event) -> None:
    event = Event("run_1", 7, "note", {"text": "x"}, AT)

    assert events.digest_of(other, GENESIS) != events.digest_of(event, GENESIS)
    assert events.digest_of(event, "1" * 64) != events.digest_of(event, GENESIS)


@pytest.mark.parametrize(
    ("after", "limit", "seqs"), [(0, 3, [1, 2, 3]), (6, None, [7, 8]), (8, None, []), (2**40, 1, [])]
)
def test_a_replay_starts_after_what_is_known(run: Run, after: int, limit: int | None, seqs: list[int]) -> None:
    assert [event.seq for event in events.replay(run.pk, after, limit)] == seqs


def test_a_batch_is_stored_whole_or_not_at_all(run: Run) -> None:
    taken = Event(run.pk, 5, "note", {"text": "this number is taken"}, AT)
    fresh = Event(run.pk, 9, "note", {"text": "x"}, AT)

    with pytest.raises(Exception, match=r"(?i)unique"):
        events.store([fresh, taken], {})

    assert events.last_seq(run.pk) == 8
    assert events.verify(run) == ""


def test_a_run_without_events_starts_from_nothing() -> None:
    assert (events.head("run_none"), events.last_seq("run_none"), events.replay("run_none")) == (GENESIS, 0, [])


def test_a_frame_is_one_event_on_one_line_that_names_its_number() -> None:
    frame = Event("run_1", 7, "text.delta", {"text": "two\nlines é"}, AT).frame()

    assert frame.startswith(b"id: 7\nevent: text.delta\ndata: {")
    assert frame.endswith(b"}\n\n")
    assert frame.count(b"\n") == 4
    assert "é" in frame.decode()
