"""A run is drawn the same live and finished, in frames that can be repeated and resumed, without the database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from runs.events import Event
from runs.rendering import RunFigures, RunRef, frames, item_html, turn_html
from runs.timeline import Timeline

AT = datetime(2026, 11, 21, 14, 2, tzinfo=UTC)
REF = RunRef("run_1", "conv_1", "Atlas", AT)
HOSTILE = "</div><script>alert(1)</script>"

STORY = [
    ("run.queued", {}),
    ("sandbox.progress", {"sentence": "Starting the sandbox"}),
    ("run.started", {}),
    ("reasoning.delta", {"text": "Hmm, "}),
    ("reasoning.delta", {"text": "let me see."}),
    ("text.delta", {"text": "I will "}),
    ("text.delta", {"text": "**look**."}),
    ("model.call", {"model": "m", "ttft_ms": 4, "input_tokens": 5, "output_tokens": None}),
    ("text.delta", {"text": " Now."}),
    ("tool.started", {"call_id": "c1", "tool": "terminal", "args": {"command": "id -u"}}),
    ("approval.requested", {"id": "appr_1", "command": "rm x", "description": "Deletes x", "subject_hash": "ab"}),
    ("approval.decided", {"id": "appr_1", "choice": "once", "by": "Maya"}),
    ("tool.completed", {"call_id": "c1", "ok": True, "duration_ms": 1200}),
    ("tool.result", {"call_id": "c1", "result": json.dumps({"output": "1000", "exit_code": 0})}),
    ("note", {"text": "Careful."}),
    ("text.delta", {"text": "Done."}),
    ("run.completed", {"text": "Done."}),
]


def story(steps: list[tuple[str, dict]]) -> list[Event]:
    return [Event("run_1", n, kind, data, AT + timedelta(seconds=n)) for n, (kind, data) in enumerate(steps, start=1)]


def live(events: list[Event], view: str, after: int = 0) -> list[tuple[int, str, dict]]:
    """What a reader gets: (id or 0, event, data)."""
    timeline, raw = Timeline(), b""
    for event in events:
        changed = timeline.apply(event)
        if event.seq > after:
            raw += frames(REF, timeline, event, changed, view, RunFigures("completed", model_calls=1))
    found = []
    for frame in raw.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in frame.split("\n"))
        found.append((int(fields.get("id", 0)), fields["event"], json.loads(fields["data"])))
    return found


def page_after(received: list[tuple[int, str, dict]]) -> list[str]:
    """The ids of the elements in the order a page has them, as static/js/stream.js puts them."""
    order: list[str] = []
    for _, kind, data in received:
        if kind == "item" and data["id"] not in order and not data["id"].startswith("foot-"):
            place = order.index(data["before"]) if "before" in data else len(order)
            order.insert(place, data["id"])
    return order


def test_a_new_item_comes_whole_and_growing_text_as_pieces() -> None:
    received = live(story(STORY[:7]), "chat")

    assert received[-1] == (7, "append", {"id": "run_1-text-6", "text": "**look**."})
    assert received[-2][1] == "item"
    assert 'id="run_1-text-6"' in received[-2][2]["html"]


def test_the_last_frame_of_an_event_carries_its_number_and_no_other_does() -> None:
    received = live(story(STORY[:10]), "chat")
    of_tool_start = [number for number, _, data in received[-2:]]

    # The tool ends the growing text and starts a row: two frames, one event.
    assert [data["id"] for _, _, data in received[-2:]] == ["run_1-text-6", "run_1-tool-c1"]
    assert of_tool_start == [0, 10]


def test_an_event_with_an_append_makes_nothing_else_so_that_repeating_it_is_noticed() -> None:
    for view in ("chat", "run"):
        for number, kind, _ in live(story(STORY), view):
            if kind == "append":
                assert number


@pytest.mark.parametrize("view", ["chat", "run"])
def test_a_live_page_has_the_items_of_a_finished_one_in_the_same_order(view: str) -> None:
    events = story(STORY[:-1])
    drawn = [item for item in Timeline(events).items if item_html(REF, item, view)]

    assert page_after(live(events, view)) == [f"run_1-{item.id}" for item in drawn]


@pytest.mark.parametrize("after", range(len(STORY)))
def test_a_resumed_reader_gets_exactly_what_followed(after: int) -> None:
    events = story(STORY)
    whole = live(events, "chat")

    rest = live(events, "chat", after)

    assert rest == whole[len(whole) - len(rest) :]
    assert sum(kind == "append" for _, kind, _ in rest) == sum(n > after for n, kind, _ in whole if kind == "append")


def test_the_end_replaces_the_whole_turn_with_figures() -> None:
    *_, (number, kind, data) = live(story(STORY), "chat")

    assert (number, kind, data["status"]) == (17, "end", "completed")
    assert data["html"].startswith('<article class="turn agent" id="turn-run_1"')
    assert "1 model call" in data["html"]
    assert "data-stream" not in data["html"]


def test_the_line_under_a_live_turn_follows_the_state() -> None:
    feet = [data["html"] for _, _, data in live(story(STORY), "chat") if data.get("id") == "foot-run_1"]

    assert [word for foot in feet for word in ("preparing", "running", "waiting for you") if f">{word}<" in foot] == [
        "preparing",
        "running",
        "waiting for you",
        "running",
    ]


def test_a_live_turn_says_where_to_go_on() -> None:
    timeline = Timeline(story(STORY[:7]))

    html = turn_html(REF, RunFigures("running"), timeline, "chat")

    assert 'data-stream="/stream/runs/run_1?view=chat"' in html
    assert 'data-seq="7"' in html
    assert "data-live-text>I will **look**.</div>" in html


def test_settled_text_is_markdown() -> None:
    html = turn_html(REF, RunFigures("completed"), Timeline(story(STORY)), "chat")

    assert "<strong>look</strong>" in html


def test_model_calls_are_shown_on_the_run_page_only() -> None:
    timeline = Timeline(story(STORY))

    assert "Model call" not in turn_html(REF, RunFigures("completed"), timeline, "chat")
    assert "Model call" in turn_html(REF, RunFigures("completed"), timeline, "run")
    assert "unknown tokens" in turn_html(REF, RunFigures("completed"), timeline, "run")


def test_an_open_question_can_be_answered_and_a_decided_one_says_by_whom() -> None:
    asked, decided = Timeline(story(STORY[:11])), Timeline(story(STORY[:12]))

    open_html = turn_html(REF, RunFigures("waiting"), asked, "chat", csrf_token="token1")
    decided_html = turn_html(REF, RunFigures("running"), decided, "chat")

    assert 'action="/approvals/appr_1/decide/"' in open_html
    assert 'name="csrfmiddlewaretoken" value="token1"' in open_html
    assert "Allow once" in open_html
    assert "allowed once by Maya" in decided_html
    assert "Allow once" not in decided_html


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (("run.failed", {"code": "provider_auth", "message": "", "action": ""}), "refused the key"),
        (("run.failed", {"code": "provider_auth", "message": "No.", "action": "Do."}), "No.</strong> Do."),
        (("run.cancelled", {"by": "Maya"}), "Stopped by Maya."),
        (("run.interrupted", {"reason": "Logos was restarted."}), "Logos was restarted."),
        (("run.interrupted", {"reason": ""}), "what it had said is kept"),
    ],
)
def test_an_end_says_what_happened_and_the_way_forward(end: tuple[str, dict], words: str) -> None:
    timeline = Timeline(story([*STORY[:10], end]))

    html = turn_html(REF, RunFigures(timeline.end.outcome), timeline, "chat")

    assert words in html
    # The tool was running: nobody knows what became of it.
    assert "outcome unknown" in html


def test_a_reply_that_was_never_streamed_is_shown_all_the_same() -> None:
    timeline = Timeline(story([("run.queued", {}), ("run.completed", {"text": "Only **here**."})]))

    assert "Only <strong>here</strong>." in turn_html(REF, RunFigures("completed"), timeline, "chat")


def test_hostile_text_is_escaped_wherever_it_may_stand() -> None:
    ref = RunRef("run_1", "conv_1", HOSTILE, AT)
    steps = [
        ("run.queued", {}),
        ("sandbox.progress", {"sentence": HOSTILE}),
        ("reasoning.delta", {"text": HOSTILE}),
        ("text.delta", {"text": HOSTILE}),
        ("tool.started", {"call_id": '"><b>', "tool": HOSTILE, "args": {"command": HOSTILE, HOSTILE: HOSTILE}}),
        ("tool.result", {"call_id": '"><b>', "result": HOSTILE}),
        ("approval.requested", {"id": "appr_1", "command": HOSTILE, "description": HOSTILE, "expires_at": HOSTILE}),
        ("approval.decided", {"id": "appr_1", "choice": "deny", "by": HOSTILE}),
        ("model.call", {"model": HOSTILE, "cost": HOSTILE, "error_code": "x", "error_message": HOSTILE}),
        ("note", {"text": HOSTILE}),
        ("run.failed", {"code": HOSTILE, "message": HOSTILE, "action": HOSTILE}),
    ]
    for view in ("chat", "run"):
        html = turn_html(ref, RunFigures("failed"), Timeline(story(steps)), view)

        assert "<script" not in html
        assert '"><b>' not in html


def test_long_output_is_cut_with_a_way_to_all_of_it() -> None:
    steps = [
        ("run.queued", {}),
        ("tool.started", {"call_id": "c1", "tool": "terminal", "args": {"command": "seq 9999"}}),
        ("tool.result", {"call_id": "c1", "result": "x" * 50_000}),
    ]

    html = turn_html(REF, RunFigures("running"), Timeline(story(steps)), "chat")

    assert len(html) < 8_000
    assert "/runs/run_1/steps/2/" in html
    assert "All 50,000 characters" in html


def test_the_rehearsal_model_is_labelled_in_every_turn() -> None:
    ref = RunRef("run_1", "conv_1", "Atlas", AT, is_scripted=True)

    assert "scripted" in turn_html(ref, RunFigures("completed"), Timeline(story(STORY)), "chat")
    assert "scripted" not in turn_html(REF, RunFigures("completed"), Timeline(story(STORY)), "chat")


def test_no_item_carries_a_style_or_a_handler_because_the_policy_forbids_both() -> None:
    for view in ("chat", "run"):
        html = turn_html(REF, RunFigures("completed"), Timeline(story(STORY)), view)

        assert " style=" not in html
        assert " onclick=" not in html
