"""The live stream of a run, from the first byte to the last, whoever asks and however."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agents.models import Agent, ModelRoute, Provider, User
from agents.routes import add_route
from channels_app import streams
from runs.hub import hub
from runs.models import Run
from tests.channels_app.conftest import store
from tests.channels_app.visiting import Visit, visit

Db = Callable[..., Awaitable[Any]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runs.streaming.LOOK_ELSEWHERE_S", 0.005)


@pytest.fixture
def hers(alice: User, cookie: Callable[[User], str]) -> dict[str, str]:
    return {"cookie": cookie(alice)}


def api(run: Run) -> str:
    return f"/api/runs/{run.pk}/events"


def page(run: Run) -> str:
    return f"/stream/runs/{run.pk}"


async def test_a_finished_run_is_told_from_first_to_last_and_the_stream_ends(
    finished: Run, hers: dict[str, str]
) -> None:
    answer = await visit(api(finished), **hers)

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
    assert answer.body.startswith(b": ok\n\n")
    assert answer.seqs == [1, 2, 3, 4, 5, 6]
    assert [frame.event for frame in answer.frames][-2:] == ["text.delta", "run.completed"]
    assert answer.frames[4].data["data"] == {"text": "Here <it> is: é"}
    assert set(answer.frames[4].data) == {"seq", "kind", "at", "data"}


@pytest.mark.parametrize(
    ("query", "header", "seqs"),
    [
        ("after=4", "", [5, 6]),
        ("", "4", [5, 6]),
        ("after=1", "4", [5, 6]),
        ("after=4", "0", [1, 2, 3, 4, 5, 6]),
        ("after=6", "", []),
        ("", "6", []),
        ("after=999999", "", []),
        ("after=9999999999", "", []),
        ("after=" + "9" * 5000, "", [1, 2, 3, 4, 5, 6]),
        ("", "9" * 5000, [1, 2, 3, 4, 5, 6]),
        ("after=-1", "", [1, 2, 3, 4, 5, 6]),
        ("after=1.5", "", [1, 2, 3, 4, 5, 6]),
        ("after=%D9%A1", "", [1, 2, 3, 4, 5, 6]),
        ("after=²", "", [1, 2, 3, 4, 5, 6]),
        ("after=&after=4", "", [5, 6]),
        ("", "x\xff", [1, 2, 3, 4, 5, 6]),
        ("%zz=&&=;", "", [1, 2, 3, 4, 5, 6]),
    ],
)
async def test_a_replay_begins_after_what_the_viewer_has(
    finished: Run, hers: dict[str, str], query: str, header: str, seqs: list[int]
) -> None:
    headers = {**hers, "last_event_id": header} if header else hers

    assert (await visit(api(finished), query, **headers)).seqs == seqs


async def test_what_happens_while_one_watches_follows_at_once(run: Run, hers: dict[str, str], db: Db) -> None:
    async with Visit(api(run), **hers) as watching:
        await watching.until(lambda visit: visit.seqs == [1, 2, 3, 4, 5])

        for event in await db(store, run, ("note", {"text": "more"}), ("run.cancelled", {"by": "alice"})):
            hub.publish(event)
            hub.stored(run.pk, event.seq)
        await watching.to_the_end()

    assert watching.seqs == [1, 2, 3, 4, 5, 6, 7]
    assert hub.viewers(run.pk) == 0


async def test_what_another_process_carries_out_is_seen_in_the_rows(run: Run, hers: dict[str, str], db: Db) -> None:
    async with Visit(api(run), "after=5", **hers) as watching:
        await watching.until(lambda visit: visit.body)
        await db(store, run, ("run.cancelled", {"by": "alice"}))
        await watching.to_the_end()

    assert watching.seqs == [6]


async def test_who_leaves_is_forgotten(run: Run, hers: dict[str, str]) -> None:
    async with Visit(api(run), **hers) as watching:
        await watching.until(lambda visit: visit.seqs)
        assert hub.viewers(run.pk) == 1

    assert hub.viewers(run.pk) == 0
    assert not watching.is_over


async def test_a_quiet_stream_says_that_it_lives(
    run: Run, hers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.0)

    async with Visit(api(run), **hers) as watching:
        await watching.until(lambda visit: visit.body.count(b": here\n\n") >= 2)

    assert watching.seqs == [1, 2, 3, 4, 5]


async def test_two_viewers_each_get_everything(finished: Run, hers: dict[str, str]) -> None:
    async with Visit(api(finished), **hers) as one, Visit(api(finished), "after=3", **hers) as two:
        await one.to_the_end()
        await two.to_the_end()

    assert (one.seqs, two.seqs) == ([1, 2, 3, 4, 5, 6], [4, 5, 6])


# pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["chat", "run"])
async def test_a_page_gets_pieces_of_html_that_end_with_the_whole_turn(
    finished: Run, hers: dict[str, str], view: str
) -> None:
    answer = await visit(page(finished), f"view={view}", **hers)

    assert {frame.event for frame in answer.frames} <= {"item", "append", "end"}
    assert answer.frames[-1].event == "end"
    assert answer.frames[-1].data["status"] == "completed"
    assert answer.frames[-1].id == 6
    assert "&lt;it&gt;" in answer.frames[-1].data["html"]
    assert "<it>" not in answer.body.decode()


async def test_a_page_that_resumes_is_not_told_again_what_it_has(finished: Run, hers: dict[str, str]) -> None:
    whole = await visit(page(finished), **hers)

    rest = await visit(page(finished), "after=3", **hers)

    assert rest.frames == [frame for frame in whole.frames if frame.id is None or frame.id > 3][-len(rest.frames) :]
    assert rest.seqs == [seq for seq in whole.seqs if seq > 3]


@pytest.mark.parametrize("after", [6, 999])
async def test_a_page_that_has_the_end_is_told_it_once_more_so_that_it_stops(
    finished: Run, hers: dict[str, str], after: int
) -> None:
    answer = await visit(page(finished), f"after={after}", **hers)

    assert [frame.event for frame in answer.frames] == ["end"]


async def test_a_page_may_ask_for_the_events_themselves(finished: Run, hers: dict[str, str]) -> None:
    assert (await visit(page(finished), "view=json", **hers)).body == (await visit(api(finished), **hers)).body


async def test_a_page_in_mid_run_draws_each_event_once_for_all_viewers(
    run: Run, hers: dict[str, str], db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    draw = streams.rendering.frames

    def counted(run_ref: Any, timeline: Any, event: Any, *rest: Any) -> bytes:
        drawn.append(event.seq)
        return draw(run_ref, timeline, event, *rest)

    # Nothing but the hub tells them anything, once they have replayed what there is.
    monkeypatch.setattr("runs.streaming.LOOK_ELSEWHERE_S", 60)
    async with Visit(page(run), "after=4", **hers) as one, Visit(page(run), "after=4", **hers) as two:
        for watching in (one, two):
            await watching.until(lambda visit: visit.seqs == [5])
        monkeypatch.setattr(streams.rendering, "frames", counted)
        for event in await db(store, run, ("note", {"text": "more"}), ("run.cancelled", {"by": "alice"})):
            hub.publish(event)
        await one.to_the_end()
        await two.to_the_end()
        hub.stored(run.pk, 7)

    assert one.seqs == two.seqs == [5, 6, 7]
    assert drawn == [6, 7]


def lend(alice: User, bob: User, run: Run) -> None:
    """Bob's run with a model that only Alice may see, and a call of it."""
    lab = Provider.objects.create(name="Lab-777", kind="openai-compatible", base_url="https://lab.example")
    route = add_route(lab, "model-777", alice)
    ModelRoute.objects.filter(pk=route.pk).update(visibility="private", is_default=False)
    Agent.objects.update(route=route)
    type(run.conversation).objects.update(owner=bob)
    store(run, ("model.call", {"route": route.pk, "model": "model-777", "error_message": "", "input_tokens": 7}))


@pytest.mark.parametrize("view", ["json", "run", "chat"])
async def test_a_stream_names_no_model_its_reader_may_not_see(
    run: Run, alice: User, bob: User, ada: User, cookie: Callable[[User], str], db: Db, view: str
) -> None:
    await db(lend, alice, bob, run)
    bobs, adas = await db(cookie, bob), await db(cookie, ada)
    async with (
        Visit(page(run), f"view={view}", cookie=bobs) as his,
        Visit(page(run), f"view={view}", cookie=adas) as hers,
    ):
        for watching in (his, hers):
            await watching.until(lambda visit: visit.seqs[-1:] == [6 if view != "chat" else 5])
        # What both are told live, and the whole turn at the end, is drawn for each apart.
        last = {"route": ModelRoute.__name__, "model": "model-888", "error_message": "", "input_tokens": 7}
        await db(store, run, ("model.call", last), ("run.completed", {"text": "Done", "usage": {}}))
        await his.to_the_end()
        await hers.to_the_end()

    assert b"-777" not in his.body
    assert b"-888" not in his.body
    assert (b"model-777" in hers.body) is (view != "chat")
    assert (b"a model you may not see" in his.body) is (view != "chat")


async def test_who_may_no_longer_read_a_models_name_is_cut_off_and_comes_again(
    run: Run, alice: User, bob: User, cookie: Callable[[User], str], db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db(lend, alice, bob, run)
    await db(ModelRoute.objects.update, visibility="shared")
    bobs = await db(cookie, bob)
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.0)
    async with Visit(api(run), cookie=bobs) as watching:
        await watching.until(lambda visit: b"model-777" in visit.body)
        await db(ModelRoute.objects.update, visibility="private")
        await watching.to_the_end()

    assert b"model-777" not in (await visit_once(run, bobs)).body


async def visit_once(run: Run, cookie: str) -> Visit:
    async with Visit(api(run), cookie=cookie) as again:
        await again.until(lambda each: each.seqs[-1:] == [6])
    return again
