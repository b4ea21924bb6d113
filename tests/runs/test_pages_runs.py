"""The list of runs and the pages of one run: what they show, to whom, at what price."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from agents.models import Agent, User
from runs.models import Run, RunEvent, Status
from tests.runs.acting import ONE_COMMAND, ask, finished, play

Browser = Callable[..., Client]


def text_of(response) -> str:
    return response.content.decode()


def listed(page: str) -> list[str]:
    return re.findall(r'<a class="clip" href="/runs/[^"]+/">([^<]+)</a>', page)


@pytest.fixture
def some(alice: User, atlas: Agent) -> dict[str, Run]:
    return {
        "disk": finished(alice, atlas, "Look at the disk"),
        "net": play(ask(alice, atlas, "Look at the net"), [("run.failed", {"code": "unknown"})], Status.FAILED),
        "live": play(ask(alice, atlas, "Look at 100% of it"), ONE_COMMAND[:3]),
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["Look at 100% of it", "Look at the net", "Look at the disk"]),
        ("status=failed", ["Look at the net"]),
        ("text=DISK", ["Look at the disk"]),
        ("text=%25", ["Look at 100% of it"]),
        ("text=nothing+like+it", []),
        ("since=2020-01-01", ["Look at 100% of it", "Look at the net", "Look at the disk"]),
        ("since=2999-01-01", []),
        ("status=nonsense", ["Look at 100% of it", "Look at the net", "Look at the disk"]),
        ("since=2020-02-31", ["Look at 100% of it", "Look at the net", "Look at the disk"]),
        ("agent=agent_none", ["Look at 100% of it", "Look at the net", "Look at the disk"]),
        ("chat=conv_none", ["Look at 100% of it", "Look at the net", "Look at the disk"]),
        ("state=failed", ["Look at 100% of it", "Look at the net", "Look at the disk"]),
    ],
)
def test_filters(browser: Browser, alice: User, some: dict[str, Run], query: str, expected: list[str]) -> None:
    response = browser(alice).get(f"/runs/?{query}")

    assert response.status_code == 200
    assert listed(text_of(response)) == expected


def test_a_filter_that_is_none_is_said_to_be_ignored(browser: Browser, alice: User, some: dict[str, Run]) -> None:
    for query, said in (
        ("status=nonsense", "State: there is no such choice; all are shown."),
        ("since=2020-02-31", "From: that is not a date; it was left out."),
        ("agent=zzz", "Agent: there is no such choice; all are shown."),
        ("chat=zzz", "Chat: there is no such choice; all are shown."),
        ("state=failed", "This list has no filter “state”; it was left out."),
    ):
        page = text_of(browser(alice).get(f"/runs/?text=look&{query}"))
        assert said in page
        assert '<a href="?text=look">Take it out of the address</a>' in page


def test_filters_by_agent_and_chat(browser: Browser, alice: User, atlas: Agent, some: dict[str, Run]) -> None:
    client = browser(alice)

    assert len(listed(text_of(client.get(f"/runs/?agent={atlas.pk}")))) == 3
    assert listed(text_of(client.get(f"/runs/?chat={some['net'].conversation_id}"))) == ["Look at the net"]


def test_an_empty_list_tells_filters_from_nothing(browser: Browser, alice: User, atlas: Agent) -> None:
    client = browser(alice)

    assert "Every message becomes a run" in text_of(client.get("/runs/"))
    assert "Nothing matches" in text_of(client.get("/runs/?text=x"))


@pytest.mark.parametrize("who", ["mallory", "bob", "viewer"])
def test_nobody_else_sees_runs(
    request: pytest.FixtureRequest, browser: Browser, some: dict[str, Run], who: str
) -> None:
    client, run = browser(request.getfixturevalue(who)), some["disk"]

    page = text_of(client.get("/runs/"))

    assert listed(page) == []
    assert run.pk not in page
    for part in ("", "reply/", "record/", "steps/5/"):
        assert client.get(f"/runs/{run.pk}/{part}").status_code == 404


def test_an_admin_sees_all_runs_and_who_asked(browser: Browser, ada: User, some: dict[str, Run]) -> None:
    page = text_of(browser(ada).get("/runs/"))

    assert len(listed(page)) == 3
    assert "asked by alice" in page


def test_pages_of_25_in_a_constant_number_of_queries(
    browser: Browser, alice: User, atlas: Agent, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(27):
        finished(alice, atlas, f"Run {number}")
    client = browser(alice)

    with django_assert_max_num_queries(10):
        first = client.get("/runs/?status=completed")
    older = re.search(r'href="\?(status=completed&amp;after=[^"]+)"', text_of(first))
    assert older
    second = text_of(client.get("/runs/?" + older[1].replace("&amp;", "&")))

    assert listed(text_of(first)) == [f"Run {number}" for number in range(26, 1, -1)]
    assert listed(second) == ["Run 1", "Run 0"]
    assert "Newest" in second
    assert len(first.content) < 60_000


def test_a_run_shows_its_timeline_stamp_and_figures(browser: Browser, alice: User, some: dict[str, Run]) -> None:
    run = some["disk"]

    page = text_of(browser(alice).get(f"/runs/{run.pk}/"))

    assert "<title>Look at the disk · Logos</title>" in page
    for part in (
        "Model call",
        "id -u",
        "exit code 0",
        "0.4 s",
        "Steady hand, revision 1",
        "$0.0061",
        "17k in, 1.2k out",
    ):
        assert part in page
    assert f"{run.fingerprint[:4]} {run.fingerprint[4:8]}" in page
    assert f'href="/chat/{run.conversation_id}/"' in page
    assert f'action="/runs/{run.pk}/clone/"' in page
    assert "data-stream=" not in page


def test_a_live_run_is_followed_and_can_be_stopped(browser: Browser, alice: User, some: dict[str, Run]) -> None:
    page = text_of(browser(alice).get(f"/runs/{some['live'].pk}/"))

    assert f'data-stream="/stream/runs/{some["live"].pk}?view=run"' in page
    assert f"/runs/{some['live'].pk}/cancel/" in page


def test_the_reply_stands_alone(browser: Browser, alice: User, some: dict[str, Run]) -> None:
    client = browser(alice)

    assert "It is 1000." in text_of(client.get(f"/runs/{some['disk'].pk}/reply/"))
    assert "ended without a reply" in text_of(client.get(f"/runs/{some['net'].pk}/reply/"))
    assert "when the run has ended" in text_of(client.get(f"/runs/{some['live'].pk}/reply/"))


def test_the_record_shows_every_event_and_that_the_chain_holds(
    browser: Browser, alice: User, some: dict[str, Run]
) -> None:
    run = some["disk"]

    page = text_of(browser(alice).get(f"/runs/{run.pk}/record/"))

    assert 'data-chain="verified"' in page
    for row in run.events.all():
        assert f"<td>{row.kind}</td>" in page
        assert row.digest[:10] in page


def test_the_record_names_the_event_that_was_changed(browser: Browser, alice: User, some: dict[str, Run]) -> None:
    run = some["disk"]
    RunEvent.objects.filter(run=run, seq=4).update(data={"text": "I did nothing."})

    page = text_of(browser(alice).get(f"/runs/{run.pk}/record/"))

    assert 'data-chain="broken"' in page
    assert "Event 4 (text.delta)" in page


def test_a_long_record_comes_in_pages_that_stay_light(browser: Browser, alice: User, atlas: Agent) -> None:
    run = play(ask(alice, atlas), [("text.delta", {"text": "<&>" * 60})] * 250)
    client = browser(alice)

    first = client.get(f"/runs/{run.pk}/record/")
    second = text_of(client.get(f"/runs/{run.pk}/record/?after=200"))

    assert 'href="?after=200"' in text_of(first)
    assert len(first.content) < 60_000 * 2  # escaped markup at its worst; plain text is half of it
    assert "<td>201</td>" in second
    assert "<td>251</td>" in second
    assert 'href="?after=0"' in second


@pytest.mark.parametrize("after", ["-1", "x", "9" * 40, "²"])
def test_a_page_of_the_record_that_is_none_is_still_a_page(
    browser: Browser, alice: User, some: dict[str, Run], after: str
) -> None:
    assert browser(alice).get(f"/runs/{some['disk'].pk}/record/?after={after}").status_code == 200


def test_the_whole_output_of_a_step_is_plain_text(browser: Browser, alice: User, atlas: Agent) -> None:
    long = "<script>\n" * 5_000
    steps = [
        ("tool.started", {"call_id": "a/b ?", "tool": "terminal", "args": {"command": "cat x"}}),
        ("tool.result", {"call_id": "a/b ?", "result": json.dumps({"output": long, "exit_code": 0})}),
    ]
    run = play(ask(alice, atlas), steps)
    client = browser(alice)

    link = re.search(rf'href="(/runs/{run.pk}/steps/\d+/)"', text_of(client.get(f"/runs/{run.pk}/")))
    assert link
    response = client.get(link[1])

    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert text_of(response) == long
    assert client.get(f"/runs/{run.pk}/steps/1/").status_code == 404


def test_a_run_page_takes_few_queries(
    browser: Browser, alice: User, some: dict[str, Run], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = browser(alice)

    with django_assert_max_num_queries(10):
        client.get(f"/runs/{some['disk'].pk}/")


def test_old_runs_show_the_day_they_began(browser: Browser, alice: User, some: dict[str, Run]) -> None:
    Run.objects.filter(pk=some["disk"].pk).update(created_at=timezone.now() - timedelta(days=400))

    assert re.search(r">\d+ \w{3} \d{4}</time>", text_of(browser(alice).get("/runs/")))
