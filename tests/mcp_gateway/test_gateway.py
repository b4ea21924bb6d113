"""The gateway over its rows: what people change takes effect, one process runs the servers, every call is a row."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone

from agents import composition, halting, souls
from agents.errors import Invalid, LogosError, NotFound
from agents.models import Role, SecurityEvent
from agents.secrets import MASK
from mcp_gateway import access, calls, gateway, reading, recording, servers
from mcp_gateway.gateway import Gateway
from mcp_gateway.models import McpAccess, McpCall, McpHealth, McpLease, McpToken
from runs import approvals
from runs.models import Approval
from sandboxes.models import Sandbox
from tests.api_client import Program
from tests.conftest import person
from tests.mcp_gateway.gate import EVERYTHING, PATIENCE_S, children_of, request, until, usual

pytestmark = pytest.mark.django_db(transaction=True)


class House:
    """Ada's server ``files``, Alice's agent with access to it and a token."""

    def __init__(self) -> None:
        self.ada, self.alice = person("ada", Role.ADMIN), person("alice")
        self.agent = composition.create(self.alice, "atlas", souls.create("Soul", "Text.", self.alice))
        self.server = servers.create(
            self.ada,
            "files",
            sys.executable,
            args=[str(EVERYTHING)],
            place="host",
            visibility="shared",
            env={"A": "${A_KEY}"},
        )
        servers.put_secret(self.ada, self.server.pk, "A_KEY", "planted-value-9")
        self.access = access.give(self.alice, self.agent.pk, self.server.pk, reason="Files")
        self.token, self.secret = access.make_token(self.alice, self.agent.pk, "editor")


@pytest.fixture
async def house() -> House:
    return await sync_to_async(House)()


@pytest.fixture
async def started(house: House) -> AsyncIterator[Gateway]:
    running = Gateway()
    await running.start()
    yield running
    await running.stop()


async def ask(
    secret: str, path: str, message: Any, app: Any = None, more: dict[str, str] | None = None
) -> tuple[int, Any]:
    """One POST to the public door, or to ``app``, with ``more`` headers."""
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": json.dumps(message).encode()}]

    async def receive() -> Any:
        if waiting:
            return waiting.pop()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in {**usual(secret), **(more or {})}.items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": [*headers, (b"host", b"localhost")]}
    await asyncio.wait_for((app or gateway.application)(scope, receive, send), PATIENCE_S)
    body = b"".join(each.get("body", b"") for each in sent[1:])
    said = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")] or [body]
    return sent[0]["status"], json.loads(said[-1]) if body else None


async def call(secret: str, tool: str, /, **arguments: Any) -> Any:
    return (await ask(secret, "/mcp/files", request("tools/call", name=tool, arguments=arguments)))[1]


async def rows(look: Callable[[], Any]) -> Any:
    """Ask the database until it says yes."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await sync_to_async(look)()):
            await asyncio.sleep(0.05)
        return found


async def test_what_a_server_is_becomes_rows_and_its_secrets_never_do(house: House, started: Gateway) -> None:
    found = (await call(house.secret, "who"))["result"]

    health = await rows(lambda: McpHealth.objects.filter(state="ready").first())
    assert found["env"]["A"] == MASK
    knows = await call(house.secret, "knows", name="A", value="planted-value-9")
    assert knows["result"]["content"][0]["text"] == "yes"
    assert (health.protocol, health.title, health.starts) == ("2025-11-25", "Everything", 1)
    assert "echo" in [tool["name"] for tool in health.tools]
    done = await rows(lambda: McpCall.objects.filter(tool="who").exclude(outcome="started").first())
    assert (done.agent_id, done.server_id, done.outcome, done.via) == (house.agent.pk, house.server.pk, "ok", "token")
    kept = await sync_to_async(lambda: f"{list(McpHealth.objects.values())}{list(McpCall.objects.values())}")()
    assert "planted" not in kept


async def test_a_revocation_bites_at_once(house: House, started: Gateway) -> None:
    assert "isError" not in (await call(house.secret, "echo"))["result"]

    await sync_to_async(access.revoke)(house.alice, house.access.pk)
    await until(lambda: not started.book.grants, "the gateway knows")
    refused = await call(house.secret, "echo")
    await sync_to_async(access.revoke_token)(house.alice, house.agent.pk, house.token.pk)
    await until(lambda: not started.book.tokens, "the gateway knows")

    assert "no access" in refused["result"]["content"][0]["text"]
    assert (await ask(house.secret, "/mcp/files", request("ping")))[0] == 401
    assert await rows(lambda: McpCall.objects.filter(outcome="denied").count()) == 1


async def test_an_archived_agent_is_nobody(house: House, started: Gateway) -> None:
    def archive() -> None:
        house.agent.archived_at = timezone.now()
        house.agent.save()

    await sync_to_async(archive)()
    await until(lambda: not started.book.agents, "the gateway knows")

    assert (await ask(house.secret, "/mcp", request("ping")))[0] == 401


async def test_a_change_a_restart_a_switch_and_a_deletion_take_effect(house: House, started: Gateway) -> None:
    first = (await call(house.secret, "who"))["result"]["pid"]

    await sync_to_async(servers.restart)(house.ada, house.server.pk)
    await rows(lambda: McpHealth.objects.filter(restarts_done=1, state="ready").exists())
    second = (await call(house.secret, "who"))["result"]["pid"]
    await sync_to_async(servers.change)(house.ada, house.server.pk, None, env={"B": "plain"})
    await until(lambda: (found := started.fleet.get(house.server.pk)) and found.starts == 1, "it is another one")
    third = (await call(house.secret, "who"))["result"]
    await sync_to_async(servers.change)(house.ada, house.server.pk, None, enabled=False)
    await rows(lambda: McpHealth.objects.filter(state="disabled").exists())
    await until(lambda: not children_of(os.getpid()), "it has ended")
    await sync_to_async(servers.remove)(house.ada, house.server.pk)

    assert len({first, second, third["pid"]}) == 3
    assert (third["env"].get("A"), third["env"]["B"]) == (None, "plain")
    assert await rows(lambda: McpCall.objects.filter(server=None, server_name="files").exists())


async def test_a_server_whose_secret_is_missing_says_which(house: House, started: Gateway) -> None:
    await sync_to_async(servers.remove_secret)(house.ada, house.server.pk, "A_KEY")

    health = await rows(lambda: McpHealth.objects.filter(state__in=("backoff", "parked")).exclude(reason="").first())

    assert "The secret A_KEY is not set." in health.reason


async def test_a_second_gateway_runs_no_servers_until_the_first_has_ended(house: House, started: Gateway) -> None:
    await call(house.secret, "echo")
    second = Gateway()
    second.owner = "another-host:1:1"
    await second.start()
    try:
        assert second.fleet.get(house.server.pk) is None
        assert (await ask(house.secret, "/mcp/files", request("tools/list")))[0] == 503

        await started.stop()
        second._renew_at = 0.0
        await until(lambda: second.fleet.get(house.server.pk), "it takes over")
        gateway._current = second
        assert "isError" not in (await call(house.secret, "echo"))["result"]
    finally:
        await second.stop()
    assert not await sync_to_async(McpLease.objects.exists)()
    assert not children_of(os.getpid())


async def test_a_lease_of_a_dead_process_is_taken_at_once(house: House) -> None:
    dead = sync_to_async(lambda: McpLease.objects.create(name="gateway", owner="x:1:1", until=timezone.now()))
    await dead()

    assert await sync_to_async(reading.take_lease)("me:1:1")
    assert not await sync_to_async(reading.take_lease)("you:1:1")


def test_who_may_let_an_agent_use_a_server() -> None:
    house, mallory, bob = House(), person("mallory"), person("bob")
    hidden = servers.create(house.ada, "hidden", "true")
    for who, agent, server in ((mallory, house.agent, house.server), (house.alice, house.agent, hidden)):
        with pytest.raises(NotFound):
            access.give(who, agent.pk, server.pk)
    servers.change(house.ada, house.server.pk, None, tier="admin")
    with pytest.raises(LogosError) as refused:
        access.give(house.alice, house.agent.pk, house.server.pk)
    assert refused.value.reason == "forbidden"
    access.give(house.ada, house.agent.pk, house.server.pk, minutes=5)
    servers.change(house.ada, house.server.pk, None, tier="deny")
    with pytest.raises(LogosError):
        access.give(house.ada, house.agent.pk, house.server.pk)

    assert access.living(McpAccess.objects.all()).count() == 1
    assert access.living(McpAccess.objects.all()).get().expires_at < timezone.now() + timedelta(minutes=6)
    with pytest.raises(NotFound):
        access.revoke(bob, McpAccess.objects.latest("pk").pk)
    with pytest.raises(Invalid):
        access.make_token(house.alice, house.agent.pk, "  ")
    assert SecurityEvent.objects.filter(kind="mcp_access_given").count() == 2


def test_programs_do_the_same() -> None:
    house = House()
    program, stranger = Program(house.alice), Program(person("mallory"))
    base = f"agents/{house.agent.pk}"

    made = program.post(f"{base}/mcp-tokens", {"name": "laptop", "days": 3}, 201)
    given = program.post(f"{base}/mcp-access", {"server_id": house.server.pk, "minutes": 9}, 201)
    listed = program.get(f"{base}/mcp-access")["items"]

    assert made["secret"].startswith("logos_mcp_")
    assert made["secret"] not in str(list(McpToken.objects.values()))
    assert [each["is_live"] for each in listed] == [True, False]
    assert program("DELETE", f"{base}/mcp-access/{given['id']}").status_code == 204
    assert program("DELETE", f"{base}/mcp-access/{given['id']}").status_code == 404
    assert program("DELETE", f"{base}/mcp-tokens/{made['id']}").status_code == 204
    assert [each["name"] for each in program.get(f"{base}/mcp-tokens")["items"]] == ["editor"]
    for path in ("mcp-access", "mcp-tokens", "mcp-calls"):
        assert stranger.get(f"{base}/{path}", 404)["error"]["reason"] == "not_found"


def test_the_shell_gives_and_takes(run_command: Callable[..., str]) -> None:
    House()
    run_command("mcp", "take", "atlas", "files", "--user", "alice")
    assert not access.living(McpAccess.objects.all()).exists()
    run_command("mcp", "give", "atlas", "files", "--minutes", "5", "--user", "alice")
    secret = run_command("mcp", "token", "atlas", "editor", "--user", "alice").strip()

    assert access.living(McpAccess.objects.all()).count() == 1
    assert secret.startswith("logos_mcp_")
    assert "OUTCOME" in run_command("mcp", "calls", "atlas", "--user", "alice")


async def hub(secret: str, tool: str, /, **arguments: Any) -> Any:
    """The structured result of a tool at the hub."""
    message = request("tools/call", name=tool, arguments=arguments)
    return (await ask(secret, "/mcp", message))[1]["result"]["structuredContent"]


async def test_an_agent_asks_a_person_allows_and_it_is_used_in_the_same_breath(house: House, started: Gateway) -> None:
    await sync_to_async(access.revoke)(house.alice, house.access.pk)
    await until(lambda: not started.book.grants, "the gateway knows")

    asking = asyncio.ensure_future(
        hub(house.secret, "request_mcp_access", server="files", reason="To read notes", minutes=30)
    )
    asked = await rows(lambda: Approval.objects.filter(kind="mcp_access", state="pending").first())
    assert not asking.done()
    assert (asked.subject["server"], asked.subject["reason"], asked.subject["minutes"]) == (
        "files",
        "To read notes",
        30,
    )
    assert await sync_to_async(lambda: list(approvals.open_for(house.alice)))() == [asked]
    await sync_to_async(approvals.decide)(house.alice, asked, "once", subject_hash=asked.subject_hash)
    answer = await asyncio.wait_for(asking, PATIENCE_S)

    assert answer["status"] == "granted"
    assert (await hub(house.secret, "mcp_access_status", request_id=asked.pk))["status"] == "granted"
    echo = next(each for each in answer["tools"] if each["tool"] == "echo")
    assert (echo["name"], "inputSchema" in echo) == ("files__echo", True)
    for name, arguments in (
        ("files__echo", {"text": "at once"}),
        ("call_mcp_tool", {"server": "files", "tool": "echo", "arguments": {"text": "at once"}}),
    ):
        message = request("tools/call", name=name, arguments=arguments)
        assert (await ask(house.secret, "/mcp", message))[1]["result"]["content"][0]["text"] == "at once"
    given = await sync_to_async(McpAccess.objects.select_related("given_by").latest)("pk")
    assert (given.given_by, given.reason) == (house.alice, "To read notes")
    assert given.expires_at is not None


async def test_an_agent_asks_a_person_in_words_and_reads_the_answer(
    house: House, started: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = asyncio.ensure_future(hub(house.secret, "ask_person", question="Which colour?", choices=["Red", "Blue"]))
    asked = await rows(lambda: Approval.objects.filter(kind="question", state="pending").first())
    assert not asking.done()
    await sync_to_async(approvals.decide)(house.alice, asked, "answer", answer="Green")
    said = await asyncio.wait_for(asking, PATIENCE_S)
    assert (said["status"], said["answer"]) == ("answered", "Green")

    monkeypatch.setattr("mcp_gateway.patience.HOLD_S", 0.1)
    later = await hub(house.secret, "ask_person", question="And the door?")
    assert (later["status"], later["answer"]) == ("pending", "")
    waits = await sync_to_async(Approval.objects.get)(pk=later["request_id"])
    await sync_to_async(approvals.decide)(house.alice, waits, "deny", note="Not now.")
    assert (await hub(house.secret, "person_answer", request_id=waits.pk))["status"] == "declined"
    assert (await hub(house.secret, "person_answer", request_id="appr_none"))["status"] == "refused"
    assert (await hub(house.secret, "ask_person", question=""))["status"] == "refused"
    for wrong in ({"question": 3}, {"question": "What?", "choices": "ab"}, {}):
        message = request("tools/call", name="ask_person", arguments=wrong)
        assert (await ask(house.secret, "/mcp", message))[1]["result"]["isError"] is True


async def test_a_request_waits_once_and_a_refusal_stands(
    house: House, started: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_gateway.patience.HOLD_S", 0.1)
    await sync_to_async(access.revoke)(house.alice, house.access.pk)
    await sync_to_async(servers.change)(house.ada, house.server.pk, None, tier="admin")

    first = await hub(house.secret, "request_mcp_access", server="files", reason="One")
    again = await hub(house.secret, "request_mcp_access", server="files", reason="Two")
    asked = await sync_to_async(Approval.objects.get)()
    with pytest.raises(LogosError):  # the agent's own person may not, where admins decide
        await sync_to_async(approvals.decide)(house.alice, asked, "once", subject_hash=asked.subject_hash)
    await sync_to_async(approvals.decide)(house.ada, asked, "deny", subject_hash=asked.subject_hash, note="Not now.")
    denied = await hub(house.secret, "request_mcp_access", server="files", reason="Three")

    assert (first["status"], again["request_id"]) == ("pending", first["request_id"])
    assert denied["status"] == "denied"
    assert "Not now." in denied["message"]
    assert await sync_to_async(Approval.objects.count)() == 1
    assert not await sync_to_async(lambda: access.living(McpAccess.objects.all()).exists())()


@pytest.mark.parametrize(
    ("tier", "arguments", "status"),
    [
        ("auto", {"server": "files", "reason": "Why not"}, "granted"),
        ("deny", {"server": "files", "reason": "Why not"}, "refused"),
        ("user", {"server": "hidden", "reason": "Why not"}, "refused"),
        ("user", {"server": "no-such", "reason": "Why not"}, "refused"),
        ("user", {"server": "files", "reason": "  "}, "refused"),
        ("user", {"server": "files", "reason": "x" * 301}, "refused"),
        ("user", {"server": "files", "reason": "a\u202eb"}, "refused"),
        ("user", {"server": "files", "reason": "ok", "minutes": 0}, "refused"),
    ],
)
async def test_what_may_be_asked_for(
    house: House, started: Gateway, tier: str, arguments: dict[str, Any], status: str
) -> None:
    await sync_to_async(access.revoke)(house.alice, house.access.pk)
    await sync_to_async(servers.create)(house.ada, "hidden", "true", enabled=False)
    await sync_to_async(servers.change)(house.ada, house.server.pk, None, tier=tier)

    answer = await hub(house.secret, "request_mcp_access", **arguments)

    assert answer["status"] == status
    assert "hidden" not in str(await hub(house.secret, "list_mcp_servers"))
    assert not await sync_to_async(Approval.objects.exists)()


async def test_what_is_stopped_reaches_no_server(house: House, started: Gateway) -> None:
    assert "isError" not in (await call(house.secret, "echo"))["result"]
    halt = await sync_to_async(halting.stop)(house.ada, "agent", house.agent.pk, "Look first")

    async with asyncio.timeout(PATIENCE_S):
        while "isError" not in (refused := (await call(house.secret, "echo"))["result"]):
            await asyncio.sleep(0.05)

    assert "is stopped: Look first." in refused["content"][0]["text"]
    assert halt is not None
    assert await rows(lambda: McpCall.objects.filter(outcome="denied", reason__contains="Look first").exists())


async def test_a_sandbox_is_known_by_its_socket_and_its_calls_by_their_run(house: House, started: Gateway) -> None:
    box = await sync_to_async(Sandbox.objects.create)(agent=house.agent, number=1)
    told: list[Any] = []
    started.run_named = lambda sandbox_id, name: "run_1" if sandbox_id == box.pk else ""
    started.recorder.tell_run = lambda run_id, kind, data: told.append((run_id, kind, data["tool"], data["outcome"]))
    await until(lambda: box.pk in started.book.sandboxes, "the gateway knows")

    found = await ask("", "/mcp/files", request("tools/call", name="echo", arguments={}), started.for_sandbox(box.pk))
    stranger = await ask(house.secret, "/mcp/files", request("ping"), started.for_sandbox("box_of_nobody"))

    assert (found[0], stranger[0]) == (200, 401)
    assert told == [("run_1", "mcp.call", "echo", "ok")]
    done = await rows(lambda: McpCall.objects.filter(tool="echo").exclude(outcome="started").first())
    assert (done.run_id, done.via) == ("run_1", "socket")


async def test_a_call_that_cannot_be_recorded_is_not_made(
    house: House, started: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "isError" not in (await call(house.secret, "who"))["result"]
    monkeypatch.setattr(recording, "MAX_RECORDS", 0)

    assert "cannot record" in json.dumps(await call(house.secret, "who"))


@pytest.mark.django_db
def test_a_record_that_is_written_again_is_written_once() -> None:
    house = House()
    record = calls.Record(house.agent.pk, house.server.pk, "files", "tools/call", "who", "ok")

    calls.store([record])
    calls.store([record])

    assert McpCall.objects.count() == 1


async def test_logos_own_tools_are_recorded_and_stopped_as_all_others(house: House, started: Gateway) -> None:
    await hub(house.secret, "current_time")
    await hub(house.secret, "request_mcp_access", server="no-such", reason="Why not")
    found = await rows(lambda: len(list(McpCall.objects.filter(server_name="logos"))) == 2)
    said = await sync_to_async(lambda: sorted(McpCall.objects.values_list("tool", "outcome", "agent_id")))()
    await sync_to_async(halting.stop)(house.ada, "agent", house.agent.pk, "Look first")

    async with asyncio.timeout(PATIENCE_S):
        message = request("tools/call", name="current_time", arguments={})
        while "isError" not in (refused := (await ask(house.secret, "/mcp", message))[1]["result"]):
            await asyncio.sleep(0.05)

    assert found
    assert said == [("current_time", "ok", house.agent.pk), ("request_mcp_access", "error", house.agent.pk)]
    assert "is stopped: Look first." in refused["content"][0]["text"]


async def test_a_stop_in_a_busy_moment_writes_every_record(house: House, started: Gateway) -> None:
    for _ in range(1_234):
        started.recorder.end(
            calls.Record(house.agent.pk, house.server.pk, "files", "tools/call", "echo", "ok", "at the end")
        )

    await started.stop()

    assert await sync_to_async(McpCall.objects.filter(reason="at the end").count)() == 1_234


async def test_the_folder_of_a_deleted_server_goes_with_it(house: House, started: Gateway) -> None:
    top = settings.LOGOS_HOME / "mcp"
    mine, other = top / house.server.pk, top / "mcp_of_somebody_else"
    for folder in (mine, other):
        await sync_to_async((folder / "files").mkdir)(parents=True, exist_ok=True)
    assert "result" in await call(house.secret, "echo")

    await sync_to_async(servers.change)(house.ada, house.server.pk, None, enabled=False)
    await until(lambda: started.fleet.get(house.server.pk) is None, "it is off")
    assert mine.exists()
    await sync_to_async(servers.remove)(house.ada, house.server.pk)

    await until(lambda: not mine.exists(), "it is gone")
    assert other.exists()
