"""Text grows in steps: the first piece at once, what follows soon after together, and everything in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from agents.secrets import MASK
from runs import recorder as recorder_module
from runs.events import Event
from runs.hub import Hub
from runs.recorder import COALESCE_CHARS, Recorder, Writer

TOKEN = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


class Shelf(Writer):
    """A writer that keeps what it is given and stores nothing."""

    def __init__(self) -> None:
        self.taken: list[Event] = []

    def add(self, event: Event) -> None:
        self.taken.append(event)

    @property
    def story(self) -> list[tuple[str, str]]:
        return [(event.kind.split(".")[0], event.data.get("text", "")) for event in self.taken]


@pytest.fixture
async def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def recorder(shelf: Shelf, clock: Callable[[float], None]) -> Recorder:
    return Recorder("run_1", 0, shelf, Hub())


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the loop's clock on by seconds; it stands still otherwise, however long a busy machine takes. Timers that
    are due run when the test next yields."""
    loop, offset = asyncio.get_running_loop(), 0.0
    began = loop.time()

    def forward(seconds: float) -> None:
        nonlocal offset
        offset += seconds

    monkeypatch.setattr(loop, "time", lambda: began + offset)
    return forward


async def due() -> None:
    """Let timers that are due run."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_the_first_piece_goes_out_at_once(recorder: Recorder, shelf: Shelf) -> None:
    recorder.grow("text.delta", "Hel")

    assert shelf.story == [("text", "Hel")]


async def test_what_follows_within_the_window_goes_together_when_it_closes(
    recorder: Recorder, shelf: Shelf, clock: Callable[[float], None]
) -> None:
    for piece in ("Hel", "lo ", "the", "re"):
        recorder.grow("text.delta", piece)
    await due()
    assert shelf.story == [("text", "Hel")]

    clock(0.031)
    await due()

    assert shelf.story == [("text", "Hel"), ("text", "lo there")]


async def test_after_a_quiet_time_the_next_piece_goes_out_at_once_again(
    recorder: Recorder, shelf: Shelf, clock: Callable[[float], None]
) -> None:
    recorder.grow("text.delta", "One ")
    clock(0.05)
    recorder.grow("text.delta", "two ")

    assert shelf.story == [("text", "One "), ("text", "two ")]


async def test_256_characters_do_not_wait_for_the_window(recorder: Recorder, shelf: Shelf) -> None:
    recorder.grow("text.delta", "x ")
    for _ in range(COALESCE_CHARS // 2):
        recorder.grow("text.delta", "y ")

    assert [len(text) for _, text in shelf.story] == [2, COALESCE_CHARS]


async def test_order_is_kept_across_kinds(recorder: Recorder, shelf: Shelf) -> None:
    recorder.grow("reasoning.delta", "Hm")
    recorder.grow("reasoning.delta", ", well")
    recorder.grow("text.delta", "I will ")
    recorder.grow("text.delta", "look.")
    recorder.emit("tool.started", {"call_id": "a"})
    recorder.grow("text.delta", "Then")
    recorder.grow("reasoning.delta", "so")
    recorder.emit("note", {"text": "!"})

    assert shelf.story == [
        ("reasoning", "Hm"),
        ("reasoning", ", well"),
        ("text", "I will look."),
        ("tool", ""),
        ("text", "Then"),
        ("reasoning", "so"),
        ("note", "!"),
    ]
    assert [event.seq for event in shelf.taken] == [1, 2, 3, 4, 5, 6, 7]


async def test_numbers_go_on_where_they_were(shelf: Shelf) -> None:
    recorder = Recorder("run_1", 41, shelf, Hub())

    assert recorder.emit("note", {"text": "x"}).seq == 42


async def test_nothing_is_not_an_event(recorder: Recorder, shelf: Shelf) -> None:
    recorder.grow("text.delta", "")
    recorder.flush_text()

    assert shelf.story == []


async def test_the_last_event_is_numbered_after_all_text_and_not_yet_shown(recorder: Recorder, shelf: Shelf) -> None:
    recorder.grow("text.delta", "One ")
    recorder.grow("text.delta", "two")

    last = recorder.final("run.completed", {"text": f"One two {TOKEN}"})

    assert shelf.story == [("text", "One "), ("text", "two")]
    assert (last.seq, last.kind, last.data) == (3, "run.completed", {"text": f"One two {MASK}"})


async def test_what_is_recorded_is_published_first(shelf: Shelf) -> None:
    hub = Hub()
    with hub.subscribe("run_1") as viewer:
        Recorder("run_1", 0, shelf, hub).emit("note", {"text": TOKEN})
        (live,) = await viewer.wait(60)

    assert live.event.data == {"text": MASK}


@pytest.mark.parametrize("width", [1, 2, 3, 7, 20])
async def test_a_secret_that_comes_in_pieces_is_never_recorded(
    recorder: Recorder, shelf: Shelf, clock: Callable[[float], None], width: int
) -> None:
    said = f"The key is {TOKEN}, and bearer: Bearer abc123def456ghi. Use it sparingly.\n"
    for start in range(0, len(said), width):
        recorder.grow("text.delta", said[start : start + width])
        clock(0.04)  # slow enough that nothing is joined by the window
        await due()
    recorder.flush_text()

    told = "".join(text for _, text in shelf.story)
    assert told == f"The key is {MASK}, and bearer: {MASK} Use it sparingly.\n"


async def test_a_model_call_does_not_tear_a_secret_open(recorder: Recorder, shelf: Shelf) -> None:
    recorder.grow("text.delta", "It is " + TOKEN[:10])
    recorder.emit("model.call", {})
    recorder.grow("text.delta", TOKEN[10:])
    recorder.emit("tool.started", {})

    assert shelf.story == [("text", "It is "), ("model", ""), ("text", MASK), ("tool", "")]


async def test_a_long_text_that_comes_at_once_is_kept_whole(recorder: Recorder, shelf: Shelf) -> None:
    said = "word " * 40_000

    recorder.grow("text.delta", said)
    recorder.flush_text()

    assert "".join(text for _, text in shelf.story) == said
    assert max(len(text) for _, text in shelf.story) <= recorder_module.PIECE_CHARS
