"""The chat pages: what is shown, to whom, and that nothing typed is lost."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agents import composition, permissions
from agents.models import Agent, User
from runs.models import Conversation, Message, Run, Status
from runs.views import parts
from tests.runs.acting import ONE_COMMAND, ask, finished, play

Browser = Callable[..., Client]
HTMX = {"headers": {"HX-Request": "true"}}
HOSTILE = "<script>alert(1)</script>"


def text_of(response) -> str:
    return response.content.decode()


@pytest.fixture
def talk(alice: User, atlas: Agent) -> Conversation:
    return finished(alice, atlas, "First question").conversation


def test_chat_opens_the_conversation_used_last(browser: Browser, alice: User, talk: Conversation) -> None:
    response = browser(alice).get("/chat/")

    assert response.status_code == 302
    assert response["Location"] == f"/chat/{talk.pk}/"


def test_without_a_conversation_agents_are_offered(browser: Browser, bob: User, atlas: Agent) -> None:
    page = text_of(browser(bob).get("/chat/"))

    assert f"/chat/new/{atlas.pk}/" in page


def test_without_an_agent_the_page_says_what_one_is(browser: Browser, mallory: User, atlas: Agent) -> None:
    page = text_of(browser(mallory).get("/chat/"))

    assert "No agent is shared with you yet" in page
    assert "atlas" not in page


def test_a_conversation_shows_message_steps_reply_and_figures(
    browser: Browser, alice: User, talk: Conversation
) -> None:
    page = text_of(browser(alice).get(f"/chat/{talk.pk}/"))

    assert "<title>First question · Logos</title>" in page
    for part in ("First question", "<strong>look</strong>", "id -u", "1000", "It is 1000.", "Let me see."):
        assert part in page
    for figure in ("41 s", "1 model call", "18.2k tokens", "$0.0061", "scripted"):
        assert figure in page
    assert "data-stream=" not in page


def test_a_run_in_progress_is_drawn_as_far_as_it_is_and_followed_from_there(
    browser: Browser, alice: User, atlas: Agent
) -> None:
    run = play(ask(alice, atlas), ONE_COMMAND[:4])

    page = text_of(browser(alice).get(f"/chat/{run.conversation_id}/"))

    assert f'data-stream="/stream/runs/{run.pk}?view=chat"' in page
    assert 'data-seq="5"' in page
    assert "Run a command" in page
    assert f'action="/runs/{run.pk}/cancel/"' in page


def test_the_stamp_of_the_agent_stands_beside_the_talk(browser: Browser, alice: User, talk: Conversation) -> None:
    page = text_of(browser(alice).get(f"/chat/{talk.pk}/"))

    for part in ("Steady hand, revision 1", "file, terminal", "hermes", "rehearsal-1", "local sandbox"):
        assert part in page


@pytest.mark.parametrize("who", ["mallory", "bob", "viewer"])
def test_nobody_else_sees_a_conversation(
    request: pytest.FixtureRequest, browser: Browser, talk: Conversation, who: str
) -> None:
    client = browser(request.getfixturevalue(who))

    assert client.get(f"/chat/{talk.pk}/").status_code == 404
    assert client.post(f"/chat/{talk.pk}/send/", {"text": "hi"}).status_code == 404
    assert talk.pk not in text_of(client.get("/chat/list/"))


def test_an_agent_not_shared_with_a_person_looks_like_none(browser: Browser, mallory: User, atlas: Agent) -> None:
    client = browser(mallory)

    assert client.get(f"/chat/new/{atlas.pk}/").status_code == 404
    assert client.post(f"/chat/new/{atlas.pk}/send/", {"text": "hi"}).status_code == 404
    assert client.get("/chat/new/agent_nothing/").status_code == 404


def test_strangers_are_sent_to_the_login_page_and_back(browser: Browser, talk: Conversation) -> None:
    response = browser().get(f"/chat/{talk.pk}/")

    assert response["Location"] == f"/accounts/login/?next=/chat/{talk.pk}/"


def test_a_part_asked_for_after_the_session_ended_takes_the_whole_page_to_the_login(
    browser: Browser, talk: Conversation
) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver/chat/{talk.pk}/"}

    response = browser().post(f"/chat/{talk.pk}/send/", {"text": "hi"}, headers=headers)

    assert response["HX-Redirect"] == f"/accounts/login/?next=/chat/{talk.pk}/"


def test_an_admin_reads_a_strangers_chat(browser: Browser, ada: User, talk: Conversation) -> None:
    assert browser(ada).get(f"/chat/{talk.pk}/").status_code == 200


def test_an_operator_who_manages_the_agent_reads_but_does_not_write(
    browser: Browser, alice: User, atlas: Agent, viewer: User
) -> None:
    run = play(ask(alice, atlas), ONE_COMMAND[:4])
    User.objects.filter(pk=viewer.pk).update(role="operator")
    permissions.grant(viewer, "manage", atlas)

    page = text_of(browser(viewer).get(f"/chat/{run.conversation_id}/"))

    assert "only its owner writes in it" in page
    assert "<textarea" not in page
    assert f"/runs/{run.pk}/cancel/" not in page
    assert 'class="fixed read-only"' in page


def test_a_first_message_makes_the_conversation(browser: Browser, alice: User, atlas: Agent) -> None:
    response = browser(alice).post(f"/chat/new/{atlas.pk}/send/", {"text": "Hello", "key": "k1"})

    run = Run.objects.get()
    assert response["Location"] == f"/chat/{run.conversation_id}/"
    assert (run.message.text, run.status, run.actor) == ("Hello", Status.QUEUED, alice)


def test_a_first_message_by_htmx_moves_the_page_there(browser: Browser, alice: User, atlas: Agent) -> None:
    response = browser(alice).post(f"/chat/new/{atlas.pk}/send/", {"text": "Hello", "key": "k1"}, **HTMX)

    assert response["HX-Redirect"] == f"/chat/{Run.objects.get().conversation_id}/"


def test_a_message_by_htmx_brings_both_turns_a_new_key_and_the_stop_button(
    browser: Browser, alice: User, talk: Conversation
) -> None:
    response = browser(alice).post(f"/chat/{talk.pk}/send/", {"text": "Second <b>", "key": "k1"}, **HTMX)

    part, run = text_of(response), talk.runs.latest("pk")
    assert response.status_code == 200
    assert "Second &lt;b&gt;" in part
    assert f'data-stream="/stream/runs/{run.pk}?view=chat" aria-busy="true"' in part
    assert 'data-seq="1"' in part
    new_key = re.search(r'id="message-key" value="([^"]+)" hx-swap-oob="true"', part)
    assert new_key
    assert new_key[1] != "k1"
    assert '<div id="stop" hx-swap-oob="true">' in part
    assert "First question" in part.split('id="threads-list"')[1]


def test_the_same_key_twice_sends_once_and_shows_the_page_anew(
    browser: Browser, alice: User, talk: Conversation
) -> None:
    client = browser(alice)

    client.post(f"/chat/{talk.pk}/send/", {"text": "Twice", "key": "k1"}, **HTMX)
    again = client.post(f"/chat/{talk.pk}/send/", {"text": "Twice", "key": "k1"}, **HTMX)

    assert Message.objects.filter(text="Twice").count() == 1
    assert again["HX-Redirect"] == f"/chat/{talk.pk}/"


@pytest.mark.parametrize(
    ("text", "status", "sentence"),
    [
        ("  \n ", 400, "Write something first"),
        ("a\x00b", 400, "NUL byte"),
        ("x" * 100_001, 413, "100,001 characters"),
    ],
)
def test_what_cannot_be_sent_is_kept_with_the_reason(
    browser: Browser, alice: User, talk: Conversation, text: str, status: int, sentence: str
) -> None:
    response = browser(alice).post(f"/chat/{talk.pk}/send/", {"text": text, "key": "k1"})

    page = text_of(response)
    assert response.status_code == status
    assert sentence in page
    assert f">{text}</textarea>" in page
    assert talk.runs.count() == 1


def test_two_tabs_at_once_get_one_answer_and_one_refusal(browser: Browser, alice: User, talk: Conversation) -> None:
    client = browser(alice)
    client.post(f"/chat/{talk.pk}/send/", {"text": "From one", "key": "k1"})

    part = client.post(f"/chat/{talk.pk}/send/", {"text": "From two", "key": "k2"}, **HTMX)
    page = client.post(f"/chat/{talk.pk}/send/", {"text": "From two", "key": "k2"})

    assert part.status_code == 409
    assert 'data-error="conversation_busy"' in text_of(part)
    assert page.status_code == 409
    assert "From two</textarea>" in text_of(page)
    assert not Message.objects.filter(text="From two").exists()


def test_a_chat_of_a_deleted_agent_is_read_only_and_says_so(browser: Browser, alice: User, talk: Conversation) -> None:
    talk.agent.mark_deleted()
    client = browser(alice)

    page = text_of(client.get(f"/chat/{talk.pk}/"))
    sent = client.post(f"/chat/{talk.pk}/send/", {"text": "hi", "key": "k1"}, **HTMX)

    assert "atlas was deleted" in page
    assert "<textarea" not in page
    assert sent.status_code == 409
    assert "Start a chat with another agent" in text_of(sent)


def test_hostile_names_and_titles_are_escaped(browser: Browser, alice: User, atlas: Agent) -> None:
    other = composition.create(alice, HOSTILE, atlas.soul, description=HOSTILE)
    User.objects.filter(pk=alice.pk).update(first_name=HOSTILE)
    run = finished(alice, other, HOSTILE)
    client = browser(alice)

    for address in (f"/chat/{run.conversation_id}/", f"/chat/new/{other.pk}/", "/", "/runs/", f"/runs/{run.pk}/"):
        page = text_of(client.get(address))
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_only_the_last_turns_are_shown_and_earlier_ones_are_a_link_away(
    browser: Browser, alice: User, atlas: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SHOWN_TURNS", 3)
    talk = finished(alice, atlas, "Turn 0").conversation
    for number in range(1, 5):
        finished(alice, atlas, f"Turn {number}", talk)
    client = browser(alice)

    page = text_of(client.get(f"/chat/{talk.pk}/"))
    before = re.search(r'href="\?before=([^"]+)"', page)
    assert before
    earlier = text_of(client.get(f"/chat/{talk.pk}/?before={before[1]}"))

    said = re.compile(r"data-said>([^<]+)<")
    assert said.findall(page) == ["Turn 2", "Turn 3", "Turn 4"]
    assert said.findall(earlier) == ["Turn 0", "Turn 1"]
    assert "Latest messages" in earlier


def test_older_turns_are_short_and_say_where_their_steps_are(
    browser: Browser, alice: User, atlas: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "DETAILED_TURNS", 1)
    old = finished(alice, atlas, "Old")
    finished(alice, atlas, "New", old.conversation)

    page = text_of(browser(alice).get(f"/chat/{old.conversation_id}/"))

    assert page.count("data-items") == 1
    assert f'<a href="/runs/{old.pk}/">1 step</a>' in page
    assert page.count("It is 1000.") >= 2


def test_the_number_of_queries_does_not_grow_with_the_talk(
    browser: Browser, alice: User, atlas: Agent, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    talk = finished(alice, atlas).conversation
    for _ in range(12):
        finished(alice, atlas, "More", talk)
        finished(alice, atlas, "Elsewhere")
    client = browser(alice)

    with django_assert_max_num_queries(24):
        response = client.get(f"/chat/{talk.pk}/")

    assert len(response.content) < 60_000


def test_the_list_of_chats_shows_what_runs(browser: Browser, alice: User, atlas: Agent, talk: Conversation) -> None:
    play(ask(alice, atlas, "Something live"), ONE_COMMAND[:2])

    part = text_of(browser(alice).get(f"/chat/list/?current={talk.pk}"))

    assert "Something live" in part
    assert '<span class="state running">running</span>' in part
    assert f'href="/chat/{talk.pk}/" aria-current="page"' in part


def test_a_page_of_long_turns_stays_light(browser: Browser, alice: User, atlas: Agent) -> None:
    steps = []
    for number in range(12):
        call = {"call_id": f"c{number}", "tool": "terminal", "args": {"command": f"cat part-{number}"}}
        result = {"call_id": f"c{number}", "result": "x" * 20_000}
        steps += [("tool.started", call), ("tool.result", result)]
    talk = finished(alice, atlas).conversation
    for number in range(6):
        play(ask(alice, atlas, f"Long {number}", talk), [*steps, ("run.completed", {"text": "ok"})], Status.COMPLETED)

    page = browser(alice).get(f"/chat/{talk.pk}/")

    assert len(page.content) < 80_000
    assert "cat part-11" in text_of(page)
