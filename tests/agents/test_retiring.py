"""Archiving, unarchiving and deleting agents: who may, what it ends, what stays, and twice is once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from agents import composition, permissions, retiring
from agents.errors import Conflict, LogosError, NotFound
from agents.models import Agent, Soul, User
from runs import dispatch
from runs.models import Conversation
from tests.runs.acting import ONE_COMMAND, ask, finished, play

Browser = Callable[..., Client]


def text_of(response) -> str:
    return response.content.decode()


def test_an_archived_agent_answers_nobody_and_says_why(alice: User, atlas: Agent) -> None:
    talk = finished(alice, atlas).conversation
    retiring.archive(alice, atlas.pk)
    atlas.refresh_from_db()

    for where in ({"agent": atlas}, {"conversation": Conversation.objects.get(pk=talk.pk)}):
        with pytest.raises(LogosError) as refused:
            dispatch.start(alice, "Hello", **where)
        assert "atlas is archived" in refused.value.message


def test_a_message_that_races_an_archiving_is_refused(alice: User, atlas: Agent) -> None:
    stale = Agent.objects.get(pk=atlas.pk)
    retiring.archive(alice, atlas.pk)

    with pytest.raises(LogosError, match="archived"):
        dispatch.start(alice, "Hello", agent=stale)


@pytest.mark.parametrize("end", [retiring.archive, retiring.delete])
def test_what_it_does_at_that_moment_is_asked_to_stop(
    alice: User, bob: User, atlas: Agent, end: Callable[..., Agent]
) -> None:
    runs = [play(ask(who, atlas), ONE_COMMAND[:3]) for who in (alice, bob)]
    rung: list[str] = []
    dispatch.wake.append(rung.append)

    end(alice, atlas.pk)

    dispatch.wake.remove(rung.append)
    for run in runs:
        run.refresh_from_db()
        assert run.cancel_requested_at is not None
        assert run.cancelled_by == alice


def test_archiving_keeps_the_name_and_taking_out_gives_everything_back(alice: User, soul: Soul, atlas: Agent) -> None:
    retiring.archive(alice, atlas.pk)
    with pytest.raises(Conflict):
        composition.create(alice, "atlas", soul)

    retiring.unarchive(alice, atlas.pk)

    assert dispatch.start(alice, "Hello", agent=Agent.objects.get(pk=atlas.pk)).run.pk


def test_deleting_frees_the_name(alice: User, soul: Soul, atlas: Agent) -> None:
    retiring.delete(alice, atlas.pk)

    assert composition.create(alice, "atlas", soul).pk != atlas.pk


def test_twice_is_once(alice: User, atlas: Agent) -> None:
    first = retiring.archive(alice, atlas.pk)
    again = retiring.archive(alice, atlas.pk)
    assert (first.version, first.archived_at) == (again.version, again.archived_at)
    assert retiring.unarchive(alice, atlas.pk).archived_at is None
    assert retiring.unarchive(alice, atlas.pk).version == again.version + 1

    retiring.delete(alice, atlas.pk)
    with pytest.raises(NotFound):
        retiring.delete(alice, atlas.pk)


@pytest.mark.parametrize("level", ["view", "chat", "edit"])
@pytest.mark.parametrize("end", [retiring.archive, retiring.unarchive, retiring.delete])
def test_it_takes_the_level_manage(mallory: User, atlas: Agent, level: str, end: Callable[..., Agent]) -> None:
    permissions.grant(mallory, level, atlas)

    with pytest.raises(NotFound):
        end(mallory, atlas.pk)

    atlas.refresh_from_db()
    assert atlas.is_in_use


def test_who_did_it_is_in_the_history(browser: Browser, alice: User, atlas: Agent) -> None:
    browser(alice).post(f"/agents/{atlas.pk}/archive/")

    record = atlas.history.first()
    assert (record.archived_at is not None, record.history_user, record.via) == (True, alice, "page")


# --- on the pages ---------------------------------------------------------------------------------
def test_an_archived_agent_is_out_of_the_way_and_readable(browser: Browser, alice: User, atlas: Agent) -> None:
    run = finished(alice, atlas)
    client = browser(alice)
    client.post(f"/agents/{atlas.pk}/archive/")

    assert ">atlas</a>" not in text_of(client.get("/agents/"))
    assert ">atlas</a>" in text_of(client.get("/agents/?show=archived"))
    assert f"/chat/new/{atlas.pk}/" not in text_of(client.get("/"))
    assert client.get(f"/runs/{run.pk}/").status_code == 200
    chat = text_of(client.get(f"/chat/{run.conversation_id}/"))
    assert "atlas is archived" in chat
    page = text_of(client.get(f"/agents/{atlas.pk}/"))
    assert f'action="/agents/{atlas.pk}/unarchive/"' in page
    assert f"/chat/new/{atlas.pk}/" not in page


def test_deleting_asks_for_the_name_and_tells_what_goes(browser: Browser, alice: User, atlas: Agent) -> None:
    play(ask(alice, atlas), ONE_COMMAND[:3])
    client, address = browser(alice), f"/agents/{atlas.pk}/delete/"

    page = text_of(client.get(address))
    for told in ("one run", "Its files are removed", "stay readable", "Delete agent atlas"):
        assert told in page
    for wrong in ("", "Atlas", "atlas2"):
        refused = client.post(address, {"typed": wrong})
        assert refused.status_code == 400
        assert "Type its name exactly to confirm." in text_of(refused)
    assert not Agent.objects.get().is_deleted

    assert client.post(address, {"typed": " atlas "})["Location"] == "/agents/"
    assert Agent.objects.get().is_deleted
    assert client.get(address).status_code == 404
    assert client.post(address, {"typed": "atlas"}).status_code == 404


def test_what_ends_an_agent_is_not_reached_by_a_link(browser: Browser, alice: User, atlas: Agent) -> None:
    for verb in ("archive", "unarchive"):
        assert browser(alice).get(f"/agents/{atlas.pk}/{verb}/").status_code == 405


def test_others_do_not_learn_that_it_is_there(browser: Browser, mallory: User, bob: User, atlas: Agent) -> None:
    for who in (mallory, bob):
        for verb in ("archive", "unarchive", "delete"):
            assert browser(who).post(f"/agents/{atlas.pk}/{verb}/", {"typed": "atlas"}).status_code == 404
    assert Agent.objects.get().is_in_use
