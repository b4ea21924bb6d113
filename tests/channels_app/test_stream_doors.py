"""Who gets into a stream, by which key, and who is put out again."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone

from agents import permissions
from agents.models import Agent, ApiToken, Role, User
from channels_app import streams
from runs import events
from runs.events import Event
from runs.hub import hub
from runs.models import Run
from tests.channels_app.visiting import Visit, asked

pytestmark = pytest.mark.django_db(transaction=True)

Db = Callable[..., Awaitable[Any]]
Header = Callable[[User], str]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runs.streaming.LOOK_ELSEWHERE_S", 0.005)


def paths(run: Run) -> list[str]:
    return [f"/stream/runs/{run.pk}", f"/stream/runs/{run.pk}/", f"/api/runs/{run.pk}/events"]


def said(answer: Visit) -> dict[str, str]:
    assert int(answer.headers["content-length"]) == len(answer.body)
    return json.loads(answer.body)["error"]


def test_a_stranger_is_asked_to_sign_in(finished: Run) -> None:
    for path in paths(finished):
        answer = asked(path)
        assert (answer.status, said(answer)["reason"]) == (401, "unauthenticated")


def test_for_mallory_the_run_is_not_there(finished: Run, mallory: User, cookie: Header, bearer: Header) -> None:
    headers = [{"cookie": cookie(mallory)}, {"authorization": bearer(mallory)}]
    for path in paths(finished):
        for header in headers:
            answer = asked(path, **header)
            assert (answer.status, said(answer)["message"]) == (404, "Run was not found.")
            assert b"Here" not in answer.body


def test_bob_who_may_chat_with_the_agent_does_not_see_alices_run(finished: Run, bob: User, bearer: Header) -> None:
    assert (asked(paths(finished)[0], authorization=bearer(bob))).status == 404


def test_an_operator_who_manages_the_agent_sees_it(finished: Run, atlas: Agent, mallory: User, bearer: Header) -> None:
    mallory.role = Role.OPERATOR
    mallory.save()
    permissions.grant(mallory, "manage", atlas)

    assert (asked(paths(finished)[0], authorization=bearer(mallory))).status == 200


def test_a_session_and_a_token_both_open_it(finished: Run, alice: User, cookie: Header, bearer: Header) -> None:
    for header in ({"cookie": cookie(alice)}, {"authorization": bearer(alice)}):
        assert (asked(paths(finished)[2], **header)).seqs == [1, 2, 3, 4, 5, 6]


def test_how_a_token_is_written_does_not_matter(finished: Run, alice: User, bearer: Header) -> None:
    token = bearer(alice).split()[1]

    for written in (f"bearer {token}", f"BEARER   {token} "):
        assert (asked(paths(finished)[2], authorization=written)).status == 200


@pytest.mark.parametrize("ended", ["revoked", "expired", "suspended"])
def test_a_token_that_has_ended_opens_nothing(finished: Run, alice: User, bearer: Header, ended: str) -> None:
    header = bearer(alice)
    if ended == "suspended":
        User.objects.update(is_active=False)
    past = timezone.now() - timedelta(seconds=1)
    ApiToken.objects.update(
        **{"revoked": {"revoked_at": past}, "expired": {"expires_at": past}}.get(ended, {"name": "x"})
    )

    assert (asked(paths(finished)[0], authorization=header)).status == 401


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Bearer x", "Basic YTpi", "Bearer \xff\xfe", "Bearer " + "x" * 10_000]
)
def test_a_token_that_is_none_opens_nothing(finished: Run, authorization: str) -> None:
    assert (asked(paths(finished)[0], authorization=authorization)).status == 401


def test_a_wrong_token_is_not_made_up_for_by_a_session(finished: Run, alice: User, cookie: Header) -> None:
    answer = asked(paths(finished)[0], authorization="Bearer wrong", cookie=cookie(alice))

    assert answer.status == 401


NAME = settings.SESSION_COOKIE_NAME


@pytest.mark.parametrize(
    "around", ["{}", "a=b; {}; c=d", '{{"json": "1, 2"}}; {}', "bad name=x; {}", "x=\xff; {}", "=; ;; {}; "]
)
def test_cookies_of_others_do_not_hide_ours(finished: Run, alice: User, cookie: Header, around: str) -> None:
    assert (asked(paths(finished)[0], cookie=around.format(cookie(alice)))).status == 200


async def test_cookies_may_come_in_several_headers(finished: Run, alice_cookie: str) -> None:
    connection = Visit(paths(finished)[0])
    connection.scope["headers"] = [(b"cookie", alice_cookie.encode()), (b"cookie", b"theme=dark")]

    async with connection as answer:
        await answer.to_the_end()

    assert answer.status == 200


@pytest.mark.parametrize("cookies", ["", f"{NAME}=", f"{NAME}=nobody", f"{NAME}=\xff", f"{NAME}={'x' * 5000}", "x"])
def test_a_cookie_that_is_no_session_opens_nothing(finished: Run, cookies: str) -> None:
    assert (asked(paths(finished)[0], cookie=cookies)).status == 401


def test_a_session_that_was_ended_opens_nothing(finished: Run, alice: User, cookie: Header) -> None:
    header = cookie(alice)
    Session.objects.all().delete()

    assert (asked(paths(finished)[0], cookie=header)).status == 401


def test_a_new_password_ends_the_old_sessions(finished: Run, alice: User, cookie: Header) -> None:
    header = cookie(alice)
    alice.set_password("another long password")
    alice.save()

    assert (asked(paths(finished)[0], cookie=header)).status == 401


@pytest.mark.parametrize("run_id", ["run_none", "x", "0", "a" * 40])
def test_a_run_that_is_not_there_is_not_found(finished: Run, alice: User, bearer: Header, run_id: str) -> None:
    header = bearer(alice)
    for path in (f"/stream/runs/{run_id}", f"/api/runs/{run_id}/events"):
        assert (asked(path, authorization=header)).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/stream/runs/", "/stream/runs/RUN_1", "/stream/runs/a/b", "/stream/runs/a%00", "/stream/runs/a\x00",
        "/stream/runs/" + "a" * 41, "/stream/", "/api/runs/../events", "/api/runs/run_1/events/x", "/stream/runs/run_1\n",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_not_found(alice: User, bearer: Header, path: str) -> None:
    assert (asked(path, authorization=bearer(alice))).status == 404


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_a_stream_can_only_be_got(finished: Run, alice: User, bearer: Header, method: str) -> None:
    assert (asked(paths(finished)[0], method=method, authorization=bearer(alice))).status == 404


@pytest.mark.parametrize("view", ["odd", "JSON", "chat,run", "../x"])
def test_a_view_nobody_knows_is_not_found(finished: Run, alice: User, bearer: Header, view: str) -> None:
    assert (asked(paths(finished)[0], f"view={view}", authorization=bearer(alice))).status == 404


def suspend(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)


def sign_out(_: User) -> None:
    Session.objects.all().delete()


def lose_it(_: User) -> None:
    Run.objects.get().conversation.delete()


@pytest.mark.parametrize("end", [suspend, sign_out, lose_it])
@pytest.mark.parametrize("traffic", ["quiet", "busy"])
async def test_who_may_no_longer_watch_is_cut_off_at_the_next_sign_of_life(
    run: Run,
    alice: User,
    alice_cookie: str,
    db: Db,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[User], None],
    traffic: str,
) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.0)
    async with Visit(paths(run)[2], cookie=alice_cookie) as watching:
        await watching.until(lambda visit: visit.seqs)
        await db(end, alice)
        if traffic == "busy":
            hub.publish(Event(run.pk, 100, "text.delta", {"text": "secret"}, events.now()))
            hub.stored(run.pk, 100)
        await watching.to_the_end()

    assert b"secret" not in watching.body
    assert hub.viewers(run.pk) == 0


async def test_a_token_revoked_while_one_watches_ends_the_stream(
    run: Run, alice_bearer: str, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.0)
    async with Visit(paths(run)[2], authorization=alice_bearer) as watching:
        await watching.until(lambda visit: visit.seqs)
        await db(ApiToken.objects.update, revoked_at=timezone.now())
        await watching.to_the_end()
