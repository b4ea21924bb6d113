"""The network tools in a real sandbox: through its own proxy, under its policy, recorded."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from agents.models import Agent, Policy, User
from agents.reach import Reach, parse
from sandboxes.egress import addresses
from sandboxes.egress.proxy import Decision, EgressProxy
from sandboxes.hermes.configuration import EGRESS_PORT
from sandboxes.local.driver import LocalDriver
from sandboxes.models import EgressDecision, Sandbox, State
from sandboxes.tool_server import calls, rules
from sandboxes.tool_server.calls import Answer
from sandboxes.tool_server.models import CallState
from tests.sandboxes.local_specs import local_spec
from tests.sandboxes.tool_server.conftest import PROGRAM

pytestmark = [pytest.mark.sandbox, pytest.mark.django_db(transaction=True)]

RULES = [{"name": "web", "hosts": ["example.org"], "ports": [80, 443]}]


@pytest.fixture(scope="module")
def served() -> Iterator[Any]:
    directory = Path(tempfile.mkdtemp(prefix="logos-tools-", dir="/var/tmp"))
    directory.chmod(0o755)
    handle = asyncio.run(LocalDriver().start(local_spec(directory, listen=(EGRESS_PORT,))))
    yield handle
    asyncio.run(LocalDriver().stop(handle.state, now=True))
    shutil.rmtree(directory)


async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    path = head.split(b" ")[1].decode()
    if path == "/silent":
        await reader.read()
        return
    lines = {"/moved": "302 Found\r\nLocation: http://elsewhere.example/"}.get(path, "200 OK")
    body = {"/large": b"x" * 400_000, "/raw": b"\x00\xff"}.get(path, head)
    writer.write(f"HTTP/1.1 {lines}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    writer.close()


@asynccontextmanager
async def proxy(handle: Any, notes: list[Decision]) -> AsyncIterator[None]:
    """The sandbox's proxy, whose every public address leads to a server of the test."""
    server = await asyncio.start_server(answer_one, "127.0.0.1", 0)

    async def lookup(host: str, port: int) -> list[str]:
        return ["1.1.1.1"]

    async def connect(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])

    async def reach() -> Reach:
        return Reach(parse(RULES))

    attachment = await LocalDriver().attach(handle.state)
    made = EgressProxy(reach, notes.append, attachment, lookup=lookup, connect=connect)
    await made.serve((await attachment.listeners())[EGRESS_PORT])
    try:
        yield
    finally:
        await made.close()
        server.close()
        await attachment.close()


@pytest.fixture
def box(atlas: Agent, served: Any) -> Sandbox:
    return Sandbox.objects.create(agent=atlas, number=1, state=State.RUNNING, driver_state=served.state)


def ask(agent: Agent, served: Any, *wanted: tuple[str, dict[str, Any]]) -> tuple[list[Answer], list[Decision]]:
    notes: list[Decision] = []

    async def all_of_them() -> list[Answer]:
        async with proxy(served, notes):
            return [await calls.call(agent.pk, name, given, PROGRAM) for name, given in wanted]

    return async_to_sync(all_of_them)(), notes


def test_a_request_goes_through_the_proxy_and_is_recorded_there(atlas: Agent, box: Sandbox, served: Any) -> None:
    (plain, large, raw, moved, refused, inner), notes = ask(
        atlas, served,
        ("network.fetch", {"url": "http://example.org/a?b=c", "headers": {"X-Word": "täglich"}}),
        ("network.fetch", {"url": "http://example.org/large", "length": 1000}),
        ("network.fetch", {"url": "http://example.org/raw"}),
        ("network.fetch", {"url": "http://example.org/moved"}),
        ("network.fetch", {"url": "https://elsewhere.example/"}),
        ("network.fetch", {"url": "http://elsewhere.example/"}),
    )  # fmt: skip

    assert plain.outcome.data["status"] == 200, plain.outcome.text
    assert "GET /a?b=c HTTP/1.1" in plain.outcome.data["text"]
    assert (large.outcome.data["bytes"], large.outcome.data["is_cut"]) == (1000, True)
    assert raw.outcome.data["base64"] == "AP8="
    assert "http://elsewhere.example/" in moved.outcome.text
    assert "not followed" in moved.outcome.text
    for answer in (refused, inner):
        assert answer.state == CallState.FAILED
        assert answer.outcome.data["reason"] == "policy_denied"
        assert "elsewhere.example" in answer.outcome.text
    assert {(note.host, note.allowed) for note in notes} == {("example.org", True), ("elsewhere.example", False)}
    assert {note.binary.rpartition("/")[2][:6] for note in notes} == {"python"}


def test_what_does_not_answer_is_given_up(atlas: Agent, box: Sandbox, served: Any) -> None:
    (silent,), _ = ask(atlas, served, ("network.fetch", {"url": "http://example.org/silent", "timeout_s": 2}))

    assert silent.outcome.is_error
    assert "2 seconds" in silent.outcome.text


@pytest.mark.parametrize(
    "given",
    [
        {"url": "ftp://example.org/"},
        {"url": "http://127.0.0.1/"},
        {"url": "http://[::1]/"},
        {"url": "http://user:word@example.org/"},
        {"url": "http://example.org/ x"},
        {"url": "http://example.org:99999/"},
        {"url": "http://example.org/", "headers": {"Host": "other.example"}},
        {"url": "http://example.org/", "headers": {"X": "a\r\nHost: other.example"}},
        {"url": "http://example.org/", "method": "GET", "body": "x"},
    ],
)
def test_what_would_fool_the_proxy_is_not_sent(atlas: Agent, box: Sandbox, served: Any, given: dict[str, Any]) -> None:
    (answer,), notes = ask(atlas, served, ("network.fetch", given))

    assert answer.outcome.is_error
    assert not [note for note in notes if note.allowed]


def test_a_rule_for_a_host_holds(atlas: Agent, ada: User, box: Sandbox, served: Any) -> None:
    rules.put(ada, atlas, tool="network.*", tier="block", condition="host", pattern="example.org")

    (answer,), notes = ask(atlas, served, ("network.fetch", {"url": "http://EXAMPLE.org./"}))

    assert answer.state == CallState.REFUSED
    assert notes == []


def test_only_what_the_policy_allows_is_looked_up(
    atlas: Agent, alice: User, box: Sandbox, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["10.0.0.1"] if host.startswith("inner") else ["93.184.215.14"]

    monkeypatch.setattr(addresses, "resolve", partial(addresses.resolve, lookup=lookup))
    policy = Policy.objects.create(
        name="web", owner=alice, rules=[{**RULES[0], "hosts": ["example.org", "inner.example.org"], "effect": "allow"}]
    )
    atlas.policies.add(policy)

    (found, private, denied), _ = ask(
        atlas, served,
        ("network.resolve", {"host": "example.org"}),
        ("network.resolve", {"host": "inner.example.org"}),
        ("network.resolve", {"host": "secret-data.elsewhere.example"}),
    )  # fmt: skip

    assert found.outcome.data["addresses"] == ["93.184.215.14"], found.outcome.text
    assert private.outcome.is_error
    assert "10.0.0.1" in private.outcome.text
    assert denied.outcome.is_error
    assert asked == ["example.org.", "inner.example.org."]
    rows = EgressDecision.objects.order_by("id").values_list("host", "allowed", "method")
    assert list(rows) == [
        ("example.org", True, "LOOKUP"),
        ("inner.example.org", False, "LOOKUP"),
        ("secret-data.elsewhere.example", False, "LOOKUP"),
    ]
