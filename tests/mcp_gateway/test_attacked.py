"""What somebody tried at the gateway and got: each was a fault once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mcp_gateway import eras, lines
from mcp_gateway.book import Book, Token, digest
from mcp_gateway.gateway import Gateway
from mcp_gateway.holding import Wanted
from mcp_gateway.jsonrpc import Message
from mcp_gateway.lines import LinePeer
from mcp_gateway.peers import TooLarge
from mcp_gateway.relay import NO_ACCESS, Relay
from mcp_gateway.supervisor import Supervisor
from sandboxes.tool_server.deciding import Rule
from tests.mcp_gateway.gate import ATLAS, BRUNO, Gate, a_gate, modern, request, until


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with a_gate() as gate:
        gate.add("files")
        await gate.call("files", "counts")
        yield gate


@pytest.mark.parametrize(
    "message",
    [
        request("tools/call", "c-7", name="files__hang", arguments={}),
        request("tools/call", "c-7", name="call_mcp_tool", arguments={"server": "files", "tool": "hang"}),
    ],
    ids=["its name", "by name"],
)
async def test_a_call_at_the_hub_is_taken_back_at_the_hub(gate: Gate, message: Any) -> None:
    child = gate.servers["id-files"].child
    waiting = asyncio.ensure_future(gate.post("", message))
    await until(lambda: child is not None and child.calls, "it waits")
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "c-7"}}

    # Neither somebody else nor another address of one's own means this one.
    await gate.post("", cancel, token=BRUNO)
    await gate.post("/files", cancel)
    assert not waiting.done()
    await gate.post("", cancel)

    assert "cancelled" in (await waiting)[1]["result"]["content"][0]["text"]
    assert (await gate.counts("files"))["notifications/cancelled"] == 1


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("request_mcp_access", {"server": "\ud800", "reason": "x"}),
        ("request_mcp_access", {"server": "files", "reason": "a\x00b"}),
        ("mcp_access_status", {"request_id": "\ud800\x00"}),
        ("ask_person", {"question": "What\ud800?"}),
        ("ask_person", {"question": "What?", "choices": ["a\x00"]}),
        ("person_answer", {"request_id": "\udfff"}),
        ("call_mcp_tool", {"server": "\ud800", "tool": "\x00"}),
        ("list_mcp_servers", {"server": "\ud800"}),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_what_no_row_can_hold_is_no_mistake_of_ours(gate: Gate, tool: str, arguments: dict[str, Any]) -> None:
    status, answer = await gate.post("", request("tools/call", name=tool, arguments=arguments))

    assert (status, "result" in answer) == (200, True)


async def test_access_that_ends_while_a_server_starts_is_not_used(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, supervisor = gate.book.grants, gate.servers["id-files"]

    async def running(relay: Relay, served: Any, agent_id: str = "") -> Supervisor:
        gate.rewrite(grants={})
        return supervisor

    with monkeypatch.context() as slow:
        slow.setattr(Relay, "running", running)
        for path, message in (
            ("/files", request("tools/call", name="echo", arguments={})),
            ("", request("tools/call", name="files__echo", arguments={})),
            ("", request("tools/call", name="call_mcp_tool", arguments={"server": "files", "tool": "echo"})),
        ):
            gate.rewrite(grants=whole)
            answer = (await gate.post(path, message))[1]["result"]
            assert (answer["isError"], answer["content"][0]["text"]) == (True, NO_ACCESS)
        gate.rewrite(grants=whole)
        assert (await gate.post("/files", request("resources/read", uri="test://static-text")))[1]["error"]
        # A call that a person allowed while the server was being started.
        gate.rewrite(grants=whole)
        held = await _allowed(gate)
    gate.rewrite(grants=whole)

    assert held["result"]["content"][0]["text"] == NO_ACCESS
    assert "echo" not in await gate.counts("files")


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda gate: gate.rule("files", calls="block"),
        lambda gate: gate.rule("files", calls="allow"),
        lambda gate: gate.rewrite(rules={"": [Rule("1", "site", "mcp:files.echo", "block")]}),
        lambda gate: gate.rewrite(rules={"agent_atlas": [Rule("1", "agent", "mcp:files.*", "ask")]}),
        lambda gate: gate.rewrite(tokens={}),
        lambda gate: gate.rewrite(tokens={digest(ATLAS): Token(1, "agent_atlas", time.time() - 1)}),
        lambda gate: gate.rewrite(agents={}),
    ],
    ids=["blocked", "free", "a rule", "a rule of its own", "no token", "an old token", "no agent"],
)
async def test_a_yes_is_for_the_rules_and_the_caller_it_was_given_for(gate: Gate, meanwhile: Any) -> None:
    whole = gate.book

    held = await _allowed(gate, lambda: meanwhile(gate))

    gate.rewrite(servers=whole.servers, rules={}, tokens=whole.tokens, agents=whole.agents)
    assert held["result"]["isError"]
    assert "echo" not in await gate.counts("files")


async def test_other_rules_do_not_end_a_question(gate: Gate) -> None:
    other = [Rule("1", "site", "mcp:files.crash", "block"), Rule("2", "site", "mcp:other.*", "block")]

    held = await _allowed(gate, lambda: gate.rewrite(rules={"": other}))

    assert "isError" not in held["result"]


async def test_what_a_person_did_not_see_is_not_sent_along(gate: Gate) -> None:
    sent = request(
        "tools/call",
        name="params",
        arguments={"a": 1},
        inputResponses={"confirm": {"action": "accept"}},
        requestState="forged",
        task={"ttl": 1},
        extra="x",
        _meta={"amount": 1_000_000, "progressToken": "t"},
    )

    free = (await gate.post("/files", sent))[1]["result"]["structuredContent"]
    held = (await _allowed(gate, lambda: None, sent))["result"]["structuredContent"]

    assert not {"inputResponses", "requestState"} & set(free)
    assert free["extra"] == "x"
    assert set(held) == {"name", "arguments", "_meta"}
    assert held["arguments"] == {"a": 1}
    assert set(held["_meta"]) == {"progressToken"}


async def test_a_call_that_a_person_allowed_comes_to_an_end_though_the_server_would_ask_its_caller(gate: Gate) -> None:
    gate.add("newer", "--era", "modern", asks_caller=True)
    await gate.call("newer", "counts")
    sent, more = modern("tools/call", name="test_input_required_result_list_roots", arguments={})
    sent["params"]["_meta"][eras.CAPABILITIES] = {"roots": {}}

    free = (await gate.post("/newer", sent, headers=more))[1]["result"]
    held = (await _allowed(gate, lambda: None, sent, server="newer", more=more))["result"]

    assert free["inputRequests"]["client_roots"]["method"] == "roots/list", "its caller answers"
    assert held["content"][0]["text"] == "[]", "nobody saw what its caller would answer, so Logos did"
    gate.rule("files", asks_caller=True)
    older = await _allowed(
        gate, lambda: None, request("tools/call", name="test_elicitation", arguments={"message": "?"})
    )
    assert "decline" in older["result"]["content"][0]["text"]


async def _allowed(
    gate: Gate, meanwhile: Any = lambda: None, sent: Any = None, *, server: str = "files", more: Any = None
) -> Any:
    """What a held call comes to once a person has allowed it, while ``meanwhile`` happened."""

    class Holder:
        async def hold(self, asked: Any, wanted: Wanted, make: Any) -> Any:
            meanwhile()
            return type("Held", (), {"outcome": None, "answer": await make()})()

    gate.relay._holder = Holder()  # type: ignore[assignment]
    gate.rule(server, calls="ask")
    try:
        message = sent or request("tools/call", name="echo", arguments={})
        return (await gate.post(f"/{server}", message, headers=more))[1]
    finally:
        gate.relay._holder = None
        gate.rule(server, calls="allow")


@pytest.mark.parametrize(
    "message",
    [
        request("resources/read", uri="test://static-text"),
        request("prompts/get", name="test_simple_prompt"),
        request("completion/complete", ref={"type": "ref/prompt", "name": "test_simple_prompt"}, argument={}),
        request("resources/subscribe", uri="test://watched-resource"),
    ],
    ids=lambda each: each["method"],
)
async def test_what_is_no_tool_is_no_way_round_the_rules_either(gate: Gate, message: Any) -> None:
    method = message["method"]
    rules = [
        *(Rule("1", "site", name, "block") for name in ("*", "mcp:*", "mcp:files.*", f"mcp:files.{method}")),
        Rule("2", "site", f"mcp:files.{method}", "ask"),
        Rule("3", "site", "mcp:files.*", "notify"),
    ]
    for rule in rules:
        gate.rewrite(rules={"": [rule]})
        assert "error" in (await gate.post("/files", message))[1], rule
    gate.rewrite(rules={"": [Rule("4", "site", "mcp:files.echo", "block"), Rule("5", "site", "mcp:other.*", "block")]})
    before = (await gate.call("files", "counts"))["result"]["heard"]
    assert "result" in (await gate.post("/files", message))[1]

    assert method not in [each[0] for each in before]


class Pipe(LinePeer):
    """A line to nobody."""

    def send(self, message: Message) -> None:
        pass

    async def stop(self) -> None:
        pass

    def ending(self) -> str:
        return "It ended."

    def _output(self) -> Any:
        return None


@pytest.mark.parametrize(
    ("line", "ended"),
    [
        (b'{"jsonrpc":"2.0","id":2,"result":{"id":1,"x":"%s"}}', [2]),
        (b'{"id": 2, "jsonrpc": "2.0", "result": {"id": 1, "x": "%s"}}', [2]),
        (b'{"result":{"structuredContent":{"id":1},"x":"%s"},"jsonrpc":"2.0","id":2}', [2]),
        (b'{"result":{"x":"%s","y":{"id":1}},"id":2}', [2]),
        (b'{"jsonrpc":"2.0","result":{"x":"%s"},"id":2,"jsonrpc":"2.0"}', [2]),
        (b'{"jsonrpc":"2.0","result":{"id":1,"x":"%s","id":1}}', []),
        (b'{"x":"%s","id":1}', []),
    ],
)
async def test_an_answer_that_is_too_large_ends_its_own_call_and_nobody_elses(
    monkeypatch: pytest.MonkeyPatch, line: bytes, ended: list[int]
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 10_000)
    pipe = Pipe(lambda message: None, lambda peer, message: None)
    calls = [pipe.ask("tools/call", {}) for _ in range(2)]

    pipe.hear_output(line % (b"x" * 20_000) + b"\n")

    assert [call.id for call in calls if call.answer.done()] == ended
    for call in calls:
        if call.answer.done():
            assert isinstance(call.answer.exception(), TooLarge)
        call.answer.cancel()


async def test_a_book_that_was_read_earlier_does_not_take_the_place_of_a_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A revocation that happens while another book is read is not forgotten."""
    gateway, reads = Gateway(), iter([1, 2])
    slow = asyncio.Event()

    async def run(function: Any) -> Any:
        number = next(reads)
        if number == 1:
            await slow.wait()
        return Book(agents={"agent": str(number)})

    monkeypatch.setattr(gateway._threads, "run", run)
    both = [asyncio.ensure_future(gateway._read_book()) for _ in range(2)]
    await asyncio.sleep(0)
    slow.set()
    await asyncio.gather(*both)
    gateway._threads.close()

    assert gateway.book.agents == {"agent": "2"}
