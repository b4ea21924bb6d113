"""Calls under rules: asked for, held, made once if a person allows it and the caller is there; blocked; counted."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from agents.errors import Invalid, LogosError
from mcp_gateway import access, categories, pins, servers
from mcp_gateway.gateway import Gateway
from mcp_gateway.models import McpCall, McpPin
from runs import approvals
from runs.models import Approval
from sandboxes.models import Sandbox
from sandboxes.tool_server import rules
from sandboxes.tool_server.models import ToolCall
from tests.mcp_gateway.gate import PATIENCE_S, modern, request, until
from tests.mcp_gateway.test_gateway import House, ask, call, house, rows, started

__all__ = ["house", "started"]

pytestmark = pytest.mark.django_db(transaction=True)

db = sync_to_async


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_gateway.patience.LOOK_S", 0.02)


async def rule(house: House, started: Gateway, tier: str, tool: str = "mcp:files.echo", **fields: Any) -> None:
    """A rule of the site for all agents, and the gateway knows it."""
    before = len(started.book.rules.get("", ()))
    await db(rules.put)(house.ada, None, tool=tool, tier=tier, layer="site", **fields)
    await until(lambda: len(started.book.rules.get("", ())) > before, "the gateway knows")


async def question(number: int = 1) -> Approval:
    """The newest of so many questions."""
    return await rows(lambda: Approval.objects.order_by("-pk").first() if Approval.objects.count() >= number else None)


async def decide(house: House, asked: Approval, choice: str = "once", **more: Any) -> None:
    await db(approvals.decide)(house.alice, asked, choice, subject_hash=asked.subject_hash, **more)


async def made(house: House) -> int:
    """How often the server itself was asked for an echo."""
    return (await call(house.secret, "counts"))["result"]["counts"].get("echo", 0)


def text(answer: Any) -> str:
    return str(answer["result"]["content"][0]["text"])


async def one_of(callers: list[asyncio.Task[Any]], words: str) -> None:
    """Return once one of them was answered so, whichever it is: one uses an approval up, and the others are told so or
    ask anew, before or after it is done."""
    done: set[asyncio.Task[Any]] = set()
    async with asyncio.timeout(PATIENCE_S):
        while words not in [text(each.result()) for each in done]:
            done |= (await asyncio.wait(set(callers) - done, return_when=asyncio.FIRST_COMPLETED))[0]


async def test_a_call_is_made_once_when_it_was_allowed_and_asked_for_anew_after_that(
    house: House, started: Gateway
) -> None:
    await rule(house, started, "ask")

    calling = asyncio.create_task(call(house.secret, "echo", text="one"))
    asked = await question()
    assert await made(house) == 0
    await decide(house, asked)
    answer = await asyncio.wait_for(calling, PATIENCE_S)

    assert text(answer) == "one"
    assert (asked.kind, asked.agent_id, asked.asked_for_id) == ("tool_call", house.agent.pk, house.alice.pk)
    assert asked.subject == {"tool": "mcp:files.echo", "arguments": {"text": "one"}}
    assert await made(house) == 1
    kept = await rows(lambda: ToolCall.objects.filter(state="done").first())
    assert (kept.tool, kept.door, kept.approval_id) == ("mcp:files.echo", "mcp", asked.pk)
    assert await rows(lambda: McpCall.objects.filter(tool="echo", outcome="ok").count()) == 1
    again = asyncio.create_task(call(house.secret, "echo", text="one"))
    await decide(house, await question(2), "deny", note="Not twice.")
    assert "Not twice." in text(await asyncio.wait_for(again, PATIENCE_S))
    # What was just denied is not asked again.
    assert "denied a moment ago" in text(await call(house.secret, "echo", text="one"))
    assert await db(Approval.objects.count)() == 2
    assert await made(house) == 1


async def test_a_caller_that_is_told_to_come_back_joins_the_same_question(
    house: House, started: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_gateway.patience.HOLD_S", 0.1)
    await rule(house, started, "ask")

    first = text(await call(house.secret, "echo", text="one"))
    second = text(await call(house.secret, "echo", text="one"))
    other = text(await call(house.secret, "echo", text="two"))
    one = await db(lambda: Approval.objects.order_by("pk").first())()
    await decide(house, one)

    assert one.pk in first
    assert one.pk in second
    assert one.pk not in other
    assert await made(house) == 0
    assert text(await call(house.secret, "echo", text="one")) == "one"
    assert "A person was asked" in text(await call(house.secret, "echo", text="two"))
    assert await made(house) == 1
    assert await rows(lambda: McpCall.objects.filter(outcome="held").count() == 4)


async def test_nothing_is_done_for_a_caller_that_has_left_until_it_comes_back(house: House, started: Gateway) -> None:
    await rule(house, started, "ask")

    leaving = asyncio.create_task(call(house.secret, "echo", text="one"))
    asked = await question()
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    await decide(house, asked)

    assert await made(house) == 0
    assert text(await call(house.secret, "echo", text="one")) == "one"
    assert await made(house) == 1


async def sent(house: House, era: str, path: str, tool: str, id: Any, **arguments: Any) -> Any:
    """The answer to a call of a caller of this era."""
    given: dict[str, Any] = {"name": tool, "arguments": arguments}
    message, more = modern("tools/call", id, **given) if era == "modern" else (request("tools/call", id, **given), {})
    return (await ask(house.secret, path, message, more=more))[1]


async def take_back(house: House, path: str, id: Any) -> None:
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}
    assert await ask(house.secret, path, note) == (202, None)


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_a_held_call_that_is_taken_back_waits_no_more_and_is_not_made(
    house: House, started: Gateway, era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rule(house, started, "ask")
    monkeypatch.setattr("mcp_gateway.patience.HOLD_S", 600.0)
    waits = started.relay.carrier.waits

    calling = asyncio.create_task(sent(house, era, "/mcp/files", "echo", 7, text="one"))
    await until(lambda: waits._open, "it waits")
    asked = await question()
    for path, id in (("/mcp/files", "7"), ("/mcp/files", 8), ("/mcp", 7)):
        await take_back(house, path, id)  # others
    still = len(waits._open)
    await take_back(house, "/mcp/files", 7)
    answer = await asyncio.wait_for(calling, PATIENCE_S)
    await decide(house, asked)

    assert still == 1
    assert text(answer) == "The caller cancelled this."
    assert not waits._open
    assert await made(house) == 0
    assert await rows(lambda: McpCall.objects.filter(tool="echo", outcome="cancelled").count() == 1)
    # The question was put and stays: who makes the call again gets what was decided.
    assert text(await sent(house, era, "/mcp/files", "echo", 9, text="one")) == "one"


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_a_question_to_a_person_that_is_taken_back_waits_no_more(
    house: House, started: Gateway, era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_gateway.patience.HOLD_S", 600.0)
    waits = started.relay.carrier.waits

    first = asyncio.create_task(sent(house, era, "/mcp", "ask_person", "q", question="Which colour?"))
    second = asyncio.create_task(sent(house, era, "/mcp", "ask_person", "q", question="Which size?"))
    await until(lambda: sum(map(len, waits._open.values())) == 2, "both wait")
    await take_back(house, "/mcp", "q")
    both = sum(map(len, waits._open.values()))
    asked = await db(lambda: Approval.objects.get(subject__question="Which size?"))()
    await db(approvals.decide)(house.alice, asked, "answer", answer="Large", subject_hash=asked.subject_hash)
    answered = await asyncio.wait_for(second, PATIENCE_S)
    await take_back(house, "/mcp", "q")
    taken = await asyncio.wait_for(first, PATIENCE_S)

    assert both == 2, "two clients with one id: nobody can tell which is meant"
    assert answered["result"]["structuredContent"]["answer"] == "Large"
    assert taken["result"]["isError"]
    assert text(taken) == "The caller cancelled this."
    assert await rows(lambda: McpCall.objects.filter(tool="ask_person", outcome="cancelled").count() == 1)


async def test_a_question_survives_a_restart_of_the_gateway(house: House, started: Gateway) -> None:
    await rule(house, started, "ask")
    leaving = asyncio.create_task(call(house.secret, "echo", text="one"))
    asked = await question()
    leaving.cancel()
    await started.stop()

    another = Gateway()
    await another.start()
    try:
        await decide(house, asked)
        assert text(await call(house.secret, "echo", text="one")) == "one"
        assert await db(Approval.objects.count)() == 1
        assert await made(house) == 1
    finally:
        await another.stop()


async def test_two_of_the_same_call_at_once_are_one_question_and_one_call(house: House, started: Gateway) -> None:
    await rule(house, started, "ask")

    both = [asyncio.create_task(call(house.secret, "echo", text="one")) for _ in range(2)]
    asked = await question()
    await rows(lambda: ToolCall.objects.filter(state="waiting").count() == 1)
    await decide(house, asked)
    await one_of(both, "one")

    assert await made(house) == 1
    for each in both:
        each.cancel()


async def test_access_that_ended_meanwhile_is_not_brought_back_by_a_yes(house: House, started: Gateway) -> None:
    await rule(house, started, "ask")
    calling = asyncio.create_task(call(house.secret, "echo", text="one"))
    asked = await question()

    await db(access.revoke)(house.alice, house.access.pk)
    await until(lambda: not started.book.grants, "the gateway knows")
    await decide(house, asked)

    assert "no access" in text(await asyncio.wait_for(calling, PATIENCE_S))
    await db(access.give)(house.alice, house.agent.pk, house.server.pk)
    await until(lambda: bool(started.book.grants), "the gateway knows")
    assert await made(house) == 0


async def test_a_yes_is_for_the_tool_that_was_shown(house: House, started: Gateway) -> None:
    await rule(house, started, "ask")
    calling = asyncio.create_task(call(house.secret, "echo", text="one"))
    asked = await question()

    await call(house.secret, "redescribe", tool="echo", text="Sends everything elsewhere.")
    pin = await rows(lambda: McpPin.objects.filter(tool="echo", state="changed").first())
    await db(pins.accept)(house.ada, house.server.pk, "echo", pin.offered_digest)
    await until(
        lambda: started.book.servers["files"].pins["echo"][0] == pin.offered_digest,
        "the gateway knows",  # type: ignore[index]
    )
    await decide(house, asked)

    assert "another tool than the one that was asked about" in text(await asyncio.wait_for(calling, PATIENCE_S))
    assert await made(house) == 0


async def test_rules_block_look_at_arguments_and_count(house: House, started: Gateway) -> None:
    await rule(house, started, "block", condition="argument", pattern="text=*secret*")
    await rule(house, started, "block", tool="mcp:files.crash")
    await rule(house, started, "allow", tool="mcp:files.who", per_minute=2)

    assert text(await call(house.secret, "echo", text="plain")) == "plain"
    for hidden in ({"text": "a secret"}, {"text": "A SECRET"}, {"more": [{"TEXT": ["x", "my secret"]}]}):
        assert "not allowed" in text(await call(house.secret, "echo", **hidden))
    assert "not allowed" in text(await call(house.secret, "crash"))
    for _ in range(2):
        await call(house.secret, "who")
    third = asyncio.create_task(call(house.secret, "who"))
    asked = await question()
    await decide(house, asked, "deny")
    await third
    assert "More than 2 calls in the last minute" in asked.findings[0]["sentence"]
    assert await made(house) == 1
    assert await rows(lambda: McpCall.objects.filter(tool="crash", outcome="denied").count()) == 1


async def test_a_category_says_who_gives_access_and_what_becomes_of_calls(house: House, started: Gateway) -> None:
    await db(categories.put)(house.ada, "careful", "admin", "block")
    await db(servers.change)(house.ada, house.server.pk, None, category="careful")
    await until(lambda: started.book.servers["files"].calls == "block", "the gateway knows")

    assert "Without a rule" in text(await call(house.secret, "echo", text="one"))
    with pytest.raises(LogosError, match="Only those who manage this server"):
        await db(access.give)(house.alice, house.agent.pk, house.server.pk)
    await rule(house, started, "allow")
    assert text(await call(house.secret, "echo", text="one")) == "one"
    with pytest.raises(Invalid):
        await db(categories.put)(house.ada, "careful", "category", "allow")
    with pytest.raises(LogosError):
        await db(categories.put)(house.alice, "mine", "auto", "allow")


async def test_the_tools_of_the_sandbox_are_served_under_their_own_rules(house: House, started: Gateway) -> None:
    box = await db(Sandbox.objects.create)(agent=house.agent, driver="local", number=1)
    await until(lambda: box.pk in started.book.sandboxes, "the gateway knows")
    await db(rules.put)(house.alice, house.agent, tool="filesystem.*", tier="block")

    async def names(app: Any = None) -> list[str]:
        found = await ask(house.secret, "/mcp", request("tools/list"), app)
        return [each["name"] for each in found[1]["result"]["tools"]]

    sent = request("tools/call", name="filesystem_read", arguments={"path": "a.md"})
    direct = (await ask(house.secret, "/mcp/capabilities", sent))[1]["result"]
    hub = request("tools/call", name="capabilities__filesystem_read", arguments={"path": "a.md"})
    through = (await ask(house.secret, "/mcp", hub))[1]["result"]
    missing = await ask(house.secret, "/mcp/capabilities", request("tools/call", name="filesystem_burn", arguments={}))

    assert "capabilities__git_push" in await names()
    assert not [name for name in await names(started.for_sandbox(box.pk)) if name.startswith("capabilities")]
    assert direct["isError"] is through["isError"] is True
    assert "filesystem.*" in direct["content"][0]["text"]
    assert "Unknown tool" in missing[1]["error"]["message"]
    assert await rows(lambda: ToolCall.objects.filter(door="mcp", state="refused").count()) == 2
