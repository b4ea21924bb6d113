"""Models lent to MCP servers, in both eras: which one, how much, how often, for whom; and what becomes of a refusal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from mcp_gateway import eras
from mcp_gateway.peers import Call
from mcp_gateway.remote.peer import RemoteLaunch
from mcp_gateway.sampling.asking import written
from mcp_gateway.sampling.bounds import MINUTE_S, Pace, Refused, Sampling
from tests.mcp_gateway.gate import ATLAS, BRUNO, Gate, a_gate, modern, request, until
from tests.mcp_gateway.lending import BOUNDS, ROUTE, Kept, Small

ERAS = pytest.mark.parametrize("era", ["handshake", "modern"])
CALLERS = pytest.mark.parametrize("caller", ["handshake", "modern"])


class Lending:
    """A gate with one server that asks for a model, the model, and what was kept of it."""

    def __init__(self, gate: Gate, era: str, bounds: Sampling | None, **rules: Any) -> None:
        self.gate, self.small, self.kept = gate, Small(), Kept()
        sampler = gate.relay.carrier.sampler
        sampler.lends, sampler._store, sampler._tell_run = self.small, self.kept.store, self.kept.tell
        self.sampler = sampler
        gate.add("asker", "--era", era, sampling=bounds, **rules)

    async def call(self, times: int = 1, caller: str = "handshake", token: str = ATLAS, **params: Any) -> Any:
        """The result of a call in which the server asks so many times."""
        wish = {"messages": [said("What is the capital of France?")], "maxTokens": 50, **params}
        arguments = {"params": wish, "times": times}
        if caller == "modern":
            message, headers = modern("tools/call", name="ask_model", arguments=arguments)
            return (await self.gate.post("/asker", message, token=token, headers=headers))[1]["result"]
        return (await self.gate.call("asker", "ask_model", token=token, **arguments))["result"]

    async def rows(self, number: int) -> list[tuple[str, str, str]]:
        """Outcome, why and agent of that many rows."""
        await until(lambda: len(self.kept.rows) >= number, "they are written")
        return [(row.outcome, row.why, row.about.agent_id) for row in self.kept.rows]

    def refused_the_modern_way(self, result: Any) -> bool:
        return bool(result.get("isError")) and "asked for input" in result["content"][0]["text"]


def said(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": {"type": "text", "text": text}}


def heard(result: Any) -> list[Any]:
    """What the server was answered, as it repeats it."""
    assert not result.get("isError"), result
    return json.loads(result["content"][0]["text"])


@pytest.fixture
async def lending() -> AsyncIterator[Callable[..., Lending]]:
    async with a_gate() as gate:
        yield lambda era="handshake", bounds=BOUNDS, **rules: Lending(gate, era, bounds, **rules)


@ERAS
@CALLERS
async def test_a_server_is_answered_by_the_one_model_it_was_lent(lending: Any, era: str, caller: str) -> None:
    here = lending(era)

    result = await here.call(
        caller=caller, modelPreferences={"hints": [{"name": "large-9"}]}, includeContext="allServers"
    )

    content = {"type": "text", "text": "Paris."}
    assert heard(result) == [{"role": "assistant", "content": content, "model": "small-1", "stopReason": "endTurn"}]
    payer, document = here.small.asked[0]
    assert (document["model"], document["max_tokens"], document["stream"]) == ("small-1", 50, False)
    assert document["messages"] == [{"role": "user", "content": "What is the capital of France?"}]
    assert (payer.agent_id, payer.person_id, payer.by, payer.name) == ("agent_atlas", 7, "server", "asker")
    assert await here.rows(1) == [("ok", "", "agent_atlas")]
    row = here.kept.rows[0]
    assert (row.hint, row.model, row.route_id, row.about.tool) == ("large-9", "small-1", ROUTE, "ask_model")
    assert (row.input_tokens, row.output_tokens, str(row.cost), row.model_call_id) == (5, 2, "0.001", "infer_1")
    assert row.about.call_id.startswith("mcpcall_")
    # The whole of it is one call of the agent.
    calls = [each for each in here.gate.records if each.tool == "ask_model"]
    assert [(each.outcome, each.id) for each in calls] == [("ok", row.about.call_id)]


async def test_no_answer_is_longer_than_the_server_may_have(lending: Any) -> None:
    here = lending()

    await here.call(maxTokens=1_000_000)

    assert here.small.asked[0][1]["max_tokens"] == 64
    assert (here.kept.rows[0].asked_tokens, here.kept.rows[0].max_tokens) == (1_000_000, 64)


@ERAS
async def test_a_server_that_was_lent_none_asks_none(lending: Any, era: str) -> None:
    here = lending(era, None)

    result = await here.call()

    sentence = "Logos lends no model to the MCP server asker."
    if era == "handshake":
        assert heard(result) == [{"code": -1, "message": sentence, "data": {"reason": "off"}}]
    else:
        assert here.refused_the_modern_way(result)
        assert sentence in result["content"][0]["text"]
    assert not here.small.asked
    assert await here.rows(1) == [("refused", "off", "agent_atlas")]


@ERAS
async def test_what_comes_too_often_is_refused_until_a_minute_is_over(lending: Any, era: str) -> None:
    here = lending(era, replace(BOUNDS, rpm=2))
    for _ in range(2):
        heard(await here.call())

    result = await here.call()

    told = result["content"][0]["text"]
    assert "asked 2 times within a minute" in told
    assert len(here.small.asked) == 2
    assert (await here.rows(3))[-1] == ("refused", "rate", "agent_atlas")


def test_the_pace_is_counted_over_the_last_minute_and_by_server() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    for at in (0.0, 10.0):
        now[0] = at
        pace.take("files", 2)
    pace.take("other", 2)

    with pytest.raises(Refused, match="Try in 50 seconds"):
        pace.take("files", 2)
    now[0] = MINUTE_S
    pace.take("files", 2)
    with pytest.raises(Refused):
        pace.take("files", 2)


@ERAS
async def test_a_call_asks_in_so_many_rounds_and_no_more(lending: Any, era: str) -> None:
    here = lending(era)  # 3 rounds

    result = await here.call(times=5)

    assert len(here.small.asked) == 3
    if era == "handshake":
        assert [each.get("data", {}).get("reason", "") for each in heard(result)] == ["", "", "", "rounds", "rounds"]
        assert [each[1] for each in await here.rows(5)] == ["", "", "", "rounds", "rounds"]
    else:
        assert "after 3 rounds" in result["content"][0]["text"]
    # Another call begins anew.
    assert len(heard(await here.call(times=3))) == 3


@ERAS
async def test_a_budget_without_room_ends_the_question_and_tells_no_sums(lending: Any, era: str) -> None:
    here = lending(era)
    here.small.without_money()

    result = await here.call()

    assert "A budget has no room" in result["content"][0]["text"]
    assert "3.21" not in json.dumps(result)
    assert await here.rows(1) == [("refused", "budget", "agent_atlas")]
    assert "3.21" in here.kept.rows[0].reason
    assert "isError" not in (await here.gate.call("asker", "echo", text="still here"))["result"]


@ERAS
async def test_a_model_that_hangs_is_waited_for_only_so_long(lending: Any, era: str) -> None:
    here = lending(era, replace(BOUNDS, timeout_s=0.3))
    here.small.gate.clear()

    result = await here.call()

    assert "did not answer within 0.3 seconds" in result["content"][0]["text"]
    assert await here.rows(1) == [("timeout", "timeout", "agent_atlas")]
    assert here.small.hung_up == 1


@ERAS
async def test_a_caller_who_leaves_takes_the_question_along(lending: Any, era: str) -> None:
    here = lending(era)
    here.small.gate.clear()
    calling = asyncio.ensure_future(here.call())
    await until(lambda: here.small.asked, "the model is asked")

    calling.cancel()

    await until(lambda: here.small.hung_up == 1, "it is hung up on")
    assert await here.rows(1) == [("cancelled", "", "agent_atlas")]
    await until(lambda: [each for each in here.gate.records if each.outcome == "cancelled"], "the call is noted")


@ERAS
async def test_a_caller_who_takes_the_call_back_takes_the_question_along(lending: Any, era: str) -> None:
    here = lending(era)
    here.small.gate.clear()
    calling = asyncio.ensure_future(here.call())
    await until(lambda: here.small.asked, "the model is asked")

    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    await here.gate.post("/asker", cancelled)

    assert (await calling)["isError"]
    await until(lambda: here.small.hung_up == 1, "it is hung up on")


async def test_with_two_agents_in_flight_a_question_is_the_servers_own(lending: Any) -> None:
    here = lending()
    book = here.gate.book
    here.gate.rewrite(grants={**book.grants, "agent_bruno": book.grants["agent_atlas"]})
    hanging = asyncio.ensure_future(here.gate.call("asker", "hang", token=BRUNO))
    supervisor = here.gate.servers["id-asker"]
    await until(lambda: supervisor.child and len(supervisor.child.calls) == 1, "bruno's call goes on")

    heard(await here.call())

    assert await here.rows(1) == [("ok", "", "")]
    payer = here.small.asked[0][0]
    assert (payer.agent_id, payer.run_id, payer.person_id) == ("", "", 7)
    hanging.cancel()


async def test_in_the_newer_era_it_is_known_whose_it_is_however_many_go_on(lending: Any) -> None:
    here = lending("modern")
    book = here.gate.book
    here.gate.rewrite(grants={**book.grants, "agent_bruno": book.grants["agent_atlas"]})
    here.small.gate.clear()
    both = [asyncio.ensure_future(here.call(token=token)) for token in (ATLAS, BRUNO)]
    await until(lambda: len(here.small.asked) == 2, "both ask")
    here.small.gate.set()

    for each in both:
        heard(await each)

    assert {payer.agent_id for payer, _ in here.small.asked} == {"agent_atlas", "agent_bruno"}


@ERAS
async def test_nothing_is_asked_for_an_agent_that_is_stopped_meanwhile(lending: Any, era: str) -> None:
    here = lending(era)

    async def halted(agent_id: str, server: str) -> str:
        return f"{agent_id} is stopped, says Ada."

    here.sampler._halted = halted
    result = await here.call()

    assert "Work is stopped" in result["content"][0]["text"]
    assert "Ada" not in json.dumps(result)
    assert not here.small.asked
    assert await here.rows(1) == [("refused", "halted", "agent_atlas")]


@ERAS
async def test_of_a_model_that_is_gone_nothing_is_asked(lending: Any, era: str) -> None:
    here = lending(era, replace(BOUNDS, route_id="route_deleted"))

    result = await here.call()

    assert "is gone" in result["content"][0]["text"]
    assert await here.rows(1) == [("refused", "no_model", "agent_atlas")]


@ERAS
async def test_questions_may_go_to_the_caller_in_place_of_a_model_of_ours(lending: Any, era: str) -> None:
    here = lending(era, None, asks_caller=True)
    arguments = {"params": {"messages": [said("Hi")], "maxTokens": 5}}
    if era == "modern":
        message, headers = modern("tools/call", name="ask_model", arguments=arguments)
        message["params"]["_meta"][eras.CAPABILITIES] = {"sampling": {}}
        found = (await here.gate.post("/asker", message, headers=headers))[1]["result"]

        assert found["resultType"] == "input_required"
        assert found["inputRequests"]["model"]["method"] == "sampling/createMessage"
        return
    calling = asyncio.ensure_future(
        here.gate.hear("/asker", request("tools/call", name="ask_model", arguments=arguments))
    )
    pending = here.gate.relay.listening._pending
    await until(lambda: pending, "it is passed on")
    await here.gate.post("/asker", {"jsonrpc": "2.0", "id": next(iter(pending)), "result": {"model": "mine"}})

    _, messages = await calling
    assert messages[0]["method"] == "sampling/createMessage"
    assert heard(messages[-1]["result"]) == [{"model": "mine"}]
    assert not here.kept.rows


@ERAS
async def test_a_model_of_ours_goes_before_the_caller(lending: Any, era: str) -> None:
    here = lending(era, asks_caller=True)

    assert heard(await here.call(caller="modern"))[0]["model"] == "small-1"


@CALLERS
async def test_there_are_no_folders_and_nobody_to_ask(lending: Any, caller: str) -> None:
    here = lending("modern")

    async def call(tool: str) -> Any:
        if caller == "handshake":
            return (await here.gate.call("asker", tool))["result"]
        message, headers = modern("tools/call", name=tool, arguments={})
        return (await here.gate.post("/asker", message, headers=headers))[1]["result"]

    roots = await call("test_input_required_result_list_roots")
    everything = await call("test_input_required_result_multiple_inputs")
    person = await call("test_input_required_result_elicitation")

    assert roots["content"][0]["text"] == "[]"
    assert everything["content"][0]["text"] == "All there."
    # It goes on asking for a name that nobody gives.
    assert "after 3 rounds" in person["content"][0]["text"]


async def test_a_question_of_a_server_without_a_call_is_its_own(lending: Any) -> None:
    here = lending()
    await here.gate.call("asker", "echo", text="it runs")
    supervisor = here.gate.servers["id-asker"]
    child = supervisor.child
    sent: list[Any] = []
    child.send = sent.append

    supervisor._asked(child, {"id": 9, "method": "sampling/createMessage", "params": {"messages": [said("Hi")]}})
    supervisor._asked(child, {"id": 10, "method": "sampling/createMessage", "params": ["no object"]})

    await until(lambda: len(sent) == 2, "both are answered")
    by_id = {each["id"]: each for each in sent}
    assert by_id[9]["result"]["model"] == "small-1"
    assert by_id[10]["error"]["data"] == {"reason": "invalid"}
    assert {row.about.agent_id for row in here.kept.rows} == {""}


async def test_a_server_may_take_its_question_back(lending: Any) -> None:
    here = lending()
    here.small.gate.clear()
    await here.gate.call("asker", "echo", text="it runs")
    supervisor = here.gate.servers["id-asker"]
    child = supervisor.child
    supervisor._asked(child, {"id": "q", "method": "sampling/createMessage", "params": {"messages": [said("Hi")]}})
    await until(lambda: here.small.asked, "the model is asked")

    child._take(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q"}}')

    await until(lambda: here.small.hung_up == 1, "it is hung up on")


async def test_a_server_that_ends_is_not_answered_and_costs_no_more(lending: Any) -> None:
    here = lending()
    here.small.gate.clear()
    calling = asyncio.ensure_future(here.call())
    await until(lambda: here.small.asked, "the model is asked")

    await here.gate.call("asker", "crash", 2)

    assert (await calling)["isError"]
    await until(lambda: here.small.hung_up == 1, "it is hung up on")


async def test_a_server_that_asks_without_end_does_not_fill_the_rows(
    lending: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_gateway.sampling.answering.MOST_REFUSED_ROWS", 4)
    here = lending("handshake", None)

    assert len(heard(await here.call(times=9))) == 9

    await here.sampler.close()
    assert len(here.kept.rows) == 4


async def test_a_server_elsewhere_asks_for_the_call_in_whose_answer_it_asks() -> None:
    async with a_gate() as gate, a_gate() as other:
        other.add("asker", "--era", "handshake", asks_caller=True)
        start = RemoteLaunch(f"{other.url}/asker", {"Authorization": f"Bearer {ATLAS}"}, allows_private=True)
        small, kept = Small(), Kept()
        sampler = gate.relay.carrier.sampler
        sampler.lends, sampler._store = small, kept.store
        supervisor = gate.add("asker", start=start, sampling=BOUNDS)
        supervisor._is_old = True
        book = gate.book
        gate.rewrite(grants={**book.grants, "agent_bruno": book.grants["agent_atlas"]})
        await gate.call("asker", "echo", text="it runs")
        # Another call of the other agent goes on here, and none there: it is known whose answer the question stands in.
        supervisor.child.calls[10**6] = Call(10**6, "tools/call", asyncio.get_running_loop().create_future(), print)

        arguments = {"params": {"messages": [said("Hi")], "maxTokens": 5}}
        answer = (await gate.call("asker", "ask_model", token=BRUNO, **arguments))["result"]

    assert heard(answer)[0]["model"] == "small-1"
    assert [row.about.agent_id for row in kept.rows] == ["agent_bruno"]


async def test_a_copy_for_one_agent_asks_for_that_one(lending: Any) -> None:
    here = lending()
    await here.gate.call("asker", "echo", text="it runs")
    supervisor = here.gate.servers["id-asker"]
    supervisor.agent_id = "agent_bruno"

    wish = {"id": 1, "method": "sampling/createMessage", "params": {"messages": [said("Hi")]}}
    supervisor._asked(supervisor.child, wish)

    assert await here.rows(1) == [("ok", "", "agent_bruno")]


async def test_with_nobody_to_pay_nothing_is_asked(lending: Any) -> None:
    here = lending(bounds=replace(BOUNDS, person_id=None))
    await here.gate.call("asker", "echo", text="it runs")
    supervisor = here.gate.servers["id-asker"]

    wish = {"id": 1, "method": "sampling/createMessage", "params": {"messages": [said("Hi")]}}
    supervisor._asked(supervisor.child, wish)

    assert await here.rows(1) == [("refused", "nobody", "")]
    assert not here.small.asked


@ERAS
@pytest.mark.parametrize(
    "wish",
    [
        {"messages": []},
        {"messages": "Hello"},
        {"messages": [{"role": "system", "content": {"type": "text", "text": "x"}}]},
        {"messages": [{"role": "user", "content": "Hello"}]},
        {"messages": [{"role": "user", "content": {"type": "audio", "data": "", "mimeType": "audio/wav"}}]},
        {"messages": [{"role": "user", "content": {"type": ["text"], "text": "x"}}]},
        {"messages": [{"role": "user", "content": {"type": "text", "text": 7}}]},
        {"messages": [{"role": "user", "content": {"type": "image", "data": 7, "mimeType": "image/png"}}]},
        {"maxTokens": 0},
        {"maxTokens": True},
        {"maxTokens": "all"},
        {"temperature": "hot"},
        {"stopSequences": ["x"] * 17},
        {"systemPrompt": {"text": "x"}},
        {"tools": [{"name": "x"}]},
        {"tools": [{"name": "x", "inputSchema": {}}], "toolChoice": {"mode": ["auto"]}},
    ],
)
async def test_a_question_that_is_none_is_refused_with_a_sentence(lending: Any, era: str, wish: dict[str, Any]) -> None:
    here = lending(era, replace(BOUNDS, tool_rounds=1))

    result = await here.call(**wish)

    assert "Logos made a mistake" not in json.dumps(result)
    assert not here.small.asked
    assert (await here.rows(1))[0][0] == "refused"


@pytest.mark.parametrize("kind", ["openai-compatible", "anthropic"])
async def test_every_part_of_a_question_reaches_the_model_in_its_own_wire(lending: Any, kind: str) -> None:
    here = lending(bounds=replace(BOUNDS, tool_rounds=1))
    here.small.kind = kind
    turns = [
        said("What is this?"),
        {"role": "user", "content": [{"type": "image", "data": "QUJD", "mimeType": "image/png"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look_up", "input": {"a": 1}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "toolUseId": "c1", "content": [{"type": "text", "text": "ABC"}]}],
        },
    ]
    tools = [{"name": "look_up", "description": "Looks.", "inputSchema": {"type": "object"}}]

    answer = heard(
        await here.call(
            messages=turns, systemPrompt="Be short.", temperature=5, stopSequences=["END"], tools=tools,
            toolChoice={"mode": "required"},
        )
    )  # fmt: skip

    assert answer[0]["content"]["text"] == "Paris."
    sent = here.small.asked[0][1]
    if kind == "anthropic":
        picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
        assert (sent["system"], sent["temperature"], sent["stop_sequences"]) == ("Be short.", 1.0, ["END"])
        assert sent["messages"][1]["content"] == [picture]
        assert sent["messages"][3]["content"] == [{"type": "tool_result", "tool_use_id": "c1", "content": "ABC"}]
        assert sent["tool_choice"] == {"type": "any"}
        assert sent["tools"][0]["input_schema"] == {"type": "object"}
    else:
        assert (sent["messages"][0]["content"], sent["temperature"], sent["stop"]) == ("Be short.", 2.0, ["END"])
        assert sent["messages"][2]["content"][0]["image_url"]["url"] == "data:image/png;base64,QUJD"
        assert sent["messages"][3]["tool_calls"][0]["function"] == {"name": "look_up", "arguments": '{"a": 1}'}
        assert sent["messages"][4] == {"role": "tool", "tool_call_id": "c1", "content": "ABC"}
        assert (sent["tool_choice"], sent["tools"][0]["function"]["name"]) == ("required", "look_up")


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
def test_a_question_that_is_too_large_or_nested_too_deeply_goes_nowhere(wire: str) -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    use = {"type": "tool_use", "id": "c", "name": "x", "input": deep}

    with pytest.raises(Refused, match="1 MB"):
        written({"messages": [said("x" * 1_100_000)]}, BOUNDS, wire, "small-1")
    with pytest.raises(Refused, match="nested"):
        written({"messages": [{"role": "assistant", "content": use}]}, BOUNDS, wire, "small-1")
