"""A shell in a page: who gets one, how long, how much of it, and what is left when it is over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings

from agents import halting, permissions
from agents.models import Agent, HaltStop, Role, SecurityEvent, SiteSettings, User
from channels_app import shells
from sandboxes import drivers, lifecycle
from sandboxes.driver import Mount, SandboxSpec
from sandboxes.models import Sandbox, State
from tests.channels_app.joining import Joined
from tests.fakes import FakeDriver

pytestmark = pytest.mark.django_db(transaction=True)

Db = Callable[..., Awaitable[Any]]
Header = Callable[[User], str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> None:
    settings.LOGOS_HOME = tmp_path
    settings.ALLOWED_HOSTS = ["testserver"]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDriver]:
    fake = FakeDriver()
    monkeypatch.setattr(drivers, "_made", {})
    monkeypatch.setattr(drivers, "FACTORIES", {"fake": lambda: fake})
    yield fake
    for spec in fake.started:
        if found := async_to_sync(fake.find)(spec.root):
            async_to_sync(fake.stop)(found.state)


@pytest.fixture
def box(atlas: Agent, driver: FakeDriver) -> Sandbox:
    row = Sandbox(agent=atlas, number=1, starts=1, state=State.RUNNING, driver="fake")
    root = lifecycle.root_of(row.pk)
    mount = Mount(root / "workspace", "/workspace", writable=True)
    row.driver_state = dict(async_to_sync(driver.start)(SandboxSpec("box", root, (mount,))).state)
    row.save()
    return row


def path_of(box: Sandbox) -> str:
    return f"/ws/sandboxes/{box.pk}/shell"


def transcripts(box: Sandbox) -> list[str]:
    return [path.read_text() for path in (lifecycle.root_of(box.pk) / "engine/shells").iterdir()]


async def closing(db: Db) -> dict[str, Any]:
    return await db(lambda: SecurityEvent.objects.get(kind="shell_closed").detail)


async def test_what_is_typed_runs_and_what_it_shows_comes_back(
    box: Sandbox, alice: User, cookie: Header, db: Db
) -> None:
    async with Joined(path_of(box), "rows=31&columns=97", cookie=await db(cookie, alice)) as page:
        page.type("stty size; echo $((6*7))-é\n")
        await page.reads("42-é\r\n".encode())
        page.say('{"rows": 40, "columns": 120}')
        page.type("stty size\n")
        await page.reads(b"40 120\r\n")
        page.type("exit 7\n")
        await page.until(lambda seen: seen.end)

    assert b"31 97\r\n" in page.shown
    assert page.told[-1] == {"ended": "The shell has ended.", "code": 7}
    opened = await db(SecurityEvent.objects.get, kind="shell_opened")
    assert (opened.actor_id, opened.object_id, opened.via) == (alice.pk, box.agent_id, "page")
    assert opened.address == "192.0.2.7"
    assert (await closing(db))["code"] == 7
    assert "42-é" in transcripts(box)[0]


@pytest.mark.parametrize("who", ["nobody", "mallory", "who may chat", "who may edit", "suspended", "a token"])
async def test_who_may_not_is_refused_before_anything_is_accepted(
    box: Sandbox, atlas: Agent, alice: User, mallory: User, cookie: Header, bearer: Header, db: Db, who: str
) -> None:
    headers = {}
    if who == "a token":
        headers = {"authorization": await db(bearer, alice)}
    elif who != "nobody":
        person = alice if who == "suspended" else mallory
        headers = {"cookie": await db(cookie, person)}
        if who.startswith("who may"):
            await db(permissions.grant, person, who.split()[-1], atlas)
        if who == "suspended":
            await db(User.objects.filter(pk=person.pk).update, is_active=False)

    async with Joined(path_of(box), **headers) as page:
        assert page.is_closed

    assert not page.is_accepted
    assert not await db(SecurityEvent.objects.filter(kind="shell_opened").exists)


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({}, True),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "https://testserver"}, False),
        ({"origin": "http://testserver:81"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"host": "evil.example", "origin": "http://evil.example"}, False),
        ({"origin": "https://logos.example.org"}, True),
    ],
)
async def test_only_a_page_of_ours_may_open_one(
    box: Sandbox, alice: User, cookie: Header, db: Db, settings: Any, headers: dict[str, str], is_own: bool
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://logos.example.org"]
    async with Joined(path_of(box), cookie=await db(cookie, alice), **headers) as page:
        assert page.is_accepted is is_own


async def test_behind_a_tls_proxy_its_own_origin_is_https(box: Sandbox, alice: User, cookie: Header, db: Db) -> None:
    key = await db(cookie, alice)
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        told = {"cookie": key, "origin": "https://testserver", "x-forwarded-proto": "https"}
        async with Joined(path_of(box), **told) as page:
            assert page.is_accepted


async def test_no_second_factor_no_shell(box: Sandbox, alice: User, cookie: Header, db: Db, settings: Any) -> None:
    settings.LOGOS_SECOND_FACTOR_ROLES = (Role.USER,)
    async with Joined(path_of(box), cookie=await db(cookie, alice)) as page:
        assert not page.is_accepted


async def test_an_admin_opens_none_while_chats_are_private(box: Sandbox, ada: User, cookie: Header, db: Db) -> None:
    async with Joined(path_of(box), cookie=await db(cookie, ada)) as page:
        assert page.is_accepted
    await db(SiteSettings.objects.update_or_create, defaults={"private_chats": True})
    async with Joined(path_of(box), cookie=await db(cookie, ada)) as page:
        assert not page.is_accepted


@pytest.mark.parametrize("how", ["suspended", "given away"])
async def test_who_may_no_longer_is_put_out_and_the_shell_ends(
    box: Sandbox, alice: User, mallory: User, atlas: Agent, cookie: Header, db: Db, monkeypatch: Any, how: str
) -> None:
    monkeypatch.setattr(shells, "CHECK_S", 0.1)
    async with Joined(path_of(box), cookie=await db(cookie, alice)) as page:
        page.type("echo $$-begun\n")
        await page.reads(b"-begun\r\n")
        if how == "suspended":
            await db(User.objects.filter(pk=alice.pk).update, is_active=False)
        else:
            await db(Agent.objects.filter(pk=atlas.pk).update, owner=mallory)
        await page.until(lambda seen: seen.is_closed)

    assert page.end == "You may no longer use this terminal."
    assert (await closing(db))["why"] == page.end


async def test_what_was_started_in_it_ends_with_the_socket_whatever_it_ignores(
    box: Sandbox, alice: User, cookie: Header, db: Db
) -> None:
    async with Joined(path_of(box), cookie=await db(cookie, alice)) as page:
        page.type(f"(trap '' HUP TERM; sleep {LONG} & wait) & trap '' HUP; echo $((6*7))\n")
        await page.reads(b"42\r\n")
        async with asyncio.timeout(120):  # the shell may say 42 before its child has begun to sleep
            while not sleepers():
                await asyncio.sleep(0.02)

    async with asyncio.timeout(120):  # killed is not yet gone on a busy machine
        while sleepers():
            await asyncio.sleep(0.02)
    assert (await closing(db))["code"] is None


# Nobody else sleeps as long, tests of another run beside this one neither.
LONG = f"4711.{os.getpid()}"


def sleepers() -> list[int]:
    return [each.pid for each in psutil.process_iter(["cmdline"]) if LONG in (each.info["cmdline"] or [])]


async def test_a_flood_costs_a_bounded_piece_of_memory_and_ctrl_c_ends_it(
    box: Sandbox, alice: User, cookie: Header, db: Db
) -> None:
    """The page draws nothing: what it was sent stays below what may be sent ahead, and the flood waits."""
    async with Joined(path_of(box), draws=False, cookie=await db(cookie, alice)) as page:
        page.type("yes\n")
        await page.until(lambda seen: len(seen.shown) >= shells.AHEAD_BYTES)
        page.type("\x03")
        page.type("echo $((6*7))-over\n")
        sent = len(page.shown)
        assert sent < shells.AHEAD_BYTES + shells.PIECE_BYTES
        page._draws = True
        page.say(f'{{"drawn": {sent}}}')
        await page.reads(b"42-over\r\n")


async def test_a_long_paste_into_a_program_that_talks_back_does_not_lock_up(
    box: Sandbox, alice: User, cookie: Header, db: Db
) -> None:
    async with Joined(path_of(box), cookie=await db(cookie, alice)) as page:
        page.type("stty -echo; cat\n")
        for _ in range(20):
            page.type("0123456789abcde\n" * 1024)
        page.type("last-line\n\x04")
        await page.reads(b"last-line\r\n")


@pytest.mark.parametrize("said", ["no JSON", '{"drawn": 99999999}'])
async def test_whatever_is_no_message_ends_it_with_a_sentence(
    box: Sandbox, alice: User, cookie: Header, db: Db, said: str
) -> None:
    async with Joined(path_of(box), cookie=await db(cookie, alice)) as page:
        page.say(said)
        await page.until(lambda seen: seen.is_closed)

    assert page.end


async def test_more_than_a_shell_takes_ends_it_with_a_sentence(
    box: Sandbox, alice: User, cookie: Header, db: Db
) -> None:
    async with Joined(path_of(box), cookie=await db(cookie, alice)) as page:
        page.type("sleep 1000\n")
        for _ in range(80):
            page.type("x" * 64 * 1024)
        await page.until(lambda seen: seen.is_closed)

    assert "Upload a long text as a file" in page.end


async def test_who_types_nothing_is_warned_and_then_put_out(
    box: Sandbox, alice: User, cookie: Header, db: Db, settings: Any, monkeypatch: Any
) -> None:
    settings.LOGOS_SHELL_IDLE_MINUTES = 3 / 60
    monkeypatch.setattr(shells, "WARNED_S", 2.9)
    async with Joined(path_of(box), cookie=await db(cookie, alice)) as page:
        await page.until(lambda seen: seen.is_closed)

    assert "warning" in page.told[0]
    assert "Nothing was typed" in page.end


async def test_nobody_has_more_than_a_few_open(
    box: Sandbox, alice: User, cookie: Header, db: Db, monkeypatch: Any
) -> None:
    monkeypatch.setattr(shells, "MOST_PER_PERSON", 1)
    key = await db(cookie, alice)
    async with Joined(path_of(box), cookie=key):
        async with Joined(path_of(box), cookie=key) as second:
            await second.until(lambda seen: seen.is_closed)
        assert "1 terminals open" in second.end
    async with Joined(path_of(box), cookie=key) as third:
        third.type("echo $((6*7))\n")
        await third.reads(b"42\r\n")


async def test_a_sandbox_that_stops_ends_its_shells(
    box: Sandbox, alice: User, cookie: Header, db: Db, driver: FakeDriver
) -> None:
    async with Joined(path_of(box), cookie=await db(cookie, alice)) as page:
        page.type("echo $((6*7))\n")
        await page.reads(b"42\r\n")
        driver.kill(box.driver_state)
        await page.until(lambda seen: seen.is_closed)

    assert page.end == "The sandbox was stopped."


async def test_of_a_sandbox_that_does_not_run_it_is_said(
    box: Sandbox, alice: User, cookie: Header, db: Db, driver: FakeDriver
) -> None:
    driver.kill(box.driver_state)
    async with Joined(path_of(box), cookie=await db(cookie, alice)) as page:
        await page.until(lambda seen: seen.is_closed)

    assert page.end.startswith("This sandbox is not running.")
    assert not await db(SecurityEvent.objects.filter(kind="shell_opened").exists)


async def test_a_logos_that_stops_writes_down_what_was_shown(box: Sandbox, alice: User, cookie: Header, db: Db) -> None:
    async with Joined(path_of(box), cookie=await db(cookie, alice)) as page:
        page.type("echo $((6*7))\n")
        await page.reads(b"42\r\n")
        assert page.task is not None
        page.task.cancel()
        await asyncio.wait([page.task])

    assert page.task.cancelled()
    assert (await closing(db))["why"] == "Logos is being stopped."
    assert "42" in transcripts(box)[0]


async def test_a_halt_closes_the_shell_says_why_and_lets_none_be_opened(
    box: Sandbox, alice: User, cookie: Header, db: Db
) -> None:
    key = await db(cookie, alice)
    async with Joined(path_of(box), cookie=key) as page:
        page.type("echo $((6*7))\n")
        await page.reads(b"42")
        await db(halting.stop, alice, "agent", box.agent_id, "it behaves oddly")
        await page.until(lambda seen: seen.end)
    async with Joined(path_of(box), cookie=key) as again:
        await again.until(lambda seen: seen.end)

    assert page.end == "atlas is stopped: it behaves oddly."
    assert again.end.startswith("atlas is stopped: it behaves oddly.")
    stops = await db(lambda: list(HaltStop.objects.filter(kind="terminal").values_list("subject", "note")))
    assert stops == [(f"alice in {box.pk}", "closed")]
    assert await db(SecurityEvent.objects.filter(kind="shell_opened").count) == 1
