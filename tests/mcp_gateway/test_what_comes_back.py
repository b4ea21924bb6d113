"""What servers say on its way to agents: no secret of theirs, nothing longer than people allow, sizes in the record."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agents.secrets import MASK
from mcp_gateway import jsonrpc
from mcp_gateway.blotting import Blot
from mcp_gateway.children import Launch
from mcp_gateway.peers import MAX_NOTICE
from tests.mcp_gateway.gate import BRUNO, EVERYTHING, Gate, a_gate, modern, request, until

SECRET = "planted/value+9 ü"
LONG = 40 * 1024


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with a_gate() as gate:
        gate.add("files")
        known = Launch(
            sys.executable, (str(EVERYTHING),), {"A": SECRET, "PYTHONUNBUFFERED": "1"}, Path("/tmp"), known=(SECRET,)
        )
        gate.add("keeps", start=known)
        yield gate


@pytest.mark.parametrize("how", ["plain", "base64", "hex", "url", "json", "error", "structured", "image"])
async def test_a_server_does_not_give_its_secret_away(gate: Gate, how: str) -> None:
    assert (await gate.call("keeps", "knows", name="A", value=SECRET))["result"]["content"][0]["text"] == "yes"

    for server, tool in (("keeps", "tells"), ("", "keeps__tells")):
        answer = await gate.call(server, tool, name="A", how=how)
        assert not betrays(answer)
        assert answer["id"] == 1
    assert gate.records[-1].outcome == ("error" if how == "error" else "ok")


async def test_not_by_progress_logs_resources_or_its_error_output_either(gate: Gate) -> None:
    heard: list[Any] = []
    for how in ("progress", "log", "stderr"):
        message = request("tools/call", name="tells", arguments={"name": "A", "how": how}, _meta={"progressToken": "t"})
        heard += (await gate.hear("/keeps", message))[1]
    for uri in ("test://secret", "test://secret-bytes"):
        heard += (await gate.hear("/keeps", request("resources/read", uri=uri)))[1]
    child = gate.servers["id-keeps"].child
    assert child is not None
    await until(lambda: any("it is" in line for line in child.errors), "its error output is there")

    assert MASK in json.dumps(heard, ensure_ascii=False)
    assert not betrays(heard)
    assert not betrays(list(child.errors))


async def test_a_secret_of_the_agent_is_hidden_from_it_and_not_from_others(gate: Gate) -> None:
    gate.rewrite(grants=dict.fromkeys(("agent_atlas", "agent_bruno"), gate.book.grants["agent_atlas"]))
    gate.rewrite(blots={"agent_atlas": Blot(["my own secret"])})

    mine = await gate.call("files", "echo", text="it is my own secret!")
    theirs = await gate.call("files", "echo", token=BRUNO, text="it is my own secret!")

    assert mine["result"]["content"][0]["text"] == f"it is {MASK}!"
    assert theirs["result"]["content"][0]["text"] == "it is my own secret!"


@pytest.mark.parametrize("sizes", [{"text": LONG}, {"image": LONG}, {"resource": LONG}, {"blob": LONG}, {"data": LONG}])
async def test_a_long_result_is_cut_and_says_so_in_both_eras(gate: Gate, sizes: dict[str, int]) -> None:
    gate.rule("files", max_result=8 * 1024)
    message, headers = modern("tools/call", name="mixed", arguments={"sizes": {**sizes}})

    older = await gate.call("files", "mixed", sizes=sizes)
    newer = (await gate.post("/files", message, headers=headers))[1]

    for answer in (older, newer):
        assert len(json.dumps(answer, ensure_ascii=False).encode()) < 12 * 1024
        assert "are cut at 8 KB" in answer["result"]["content"][-1]["text"]
    assert newer["result"]["resultType"] == "complete"
    assert all(each.result_bytes > LONG for each in gate.records)


async def test_data_that_a_schema_promises_is_whole_or_an_error(gate: Gate) -> None:
    gate.rule("files", max_result=8 * 1024)

    whole = (await gate.call("files", "promised", bytes=100))["result"]
    cut = (await gate.call("files", "promised", bytes=LONG))["result"]

    assert (len(whole["structuredContent"]["items"][0]), "isError" in whole) == (100, False)
    assert ("structuredContent" in cut, cut["isError"]) == (False, True)
    assert "The call was made." in cut["content"][-1]["text"]


async def test_a_long_resource_is_refused_and_a_short_answer_is_as_it_was(gate: Gate) -> None:
    gate.rule("files", max_result=4 * 1024)

    long = (await gate.post("/files", request("resources/read", uri="test://long")))[1]
    short = await gate.call("files", "echo", text="x" * 1_000)

    assert long["error"]["code"] == jsonrpc.TOO_LARGE
    assert short["result"]["content"][0]["text"] == "x" * 1_000
    assert [each.method for each in gate.records] == ["resources/read", "tools/call"]


async def test_a_long_call_is_refused_before_the_server_hears_of_it(gate: Gate) -> None:
    gate.rule("files", max_argument=2 * 1024)

    direct = await gate.call("files", "echo", text="x" * 3_000)
    by_hub = await gate.call("", "files__echo", text="x" * 3_000)
    prompt = (await gate.post("/files", request("prompts/get", name="x", arguments={"a": "x" * 3_000})))[1]

    for answer in (direct, by_hub):
        assert answer["result"]["isError"]
        assert "A call to files may have 2 KB." in answer["result"]["content"][0]["text"]
    assert "may have 2 KB" in prompt["error"]["message"]
    assert "echo" not in await gate.counts("files")
    assert [(each.outcome, each.argument_bytes > 3_000) for each in gate.records[:3]] == [("denied", True)] * 3


async def test_a_notification_that_is_far_too_long_is_thrown_away_and_the_call_goes_on(gate: Gate) -> None:
    message = request(
        "tools/call",
        name="slow",
        arguments={"text": "x" * (MAX_NOTICE + 1), "seconds": 0},
        _meta={"progressToken": 1},
    )

    status, heard = await gate.hear("/files", message)

    assert (status, len(heard)) == (200, 1)
    assert len(heard[0]["result"]["content"][0]["text"]) == MAX_NOTICE + 1


async def test_the_record_says_what_was_decided_and_how_long_call_and_answer_were(gate: Gate) -> None:
    await gate.call("files", "echo", text="y" * 500)
    gate.rule("files", calls="block")
    await gate.call("files", "echo", text="y" * 500)

    made, refused = gate.records
    assert (made.decision, refused.decision) == ("allow", "block")
    assert 500 < made.argument_bytes < 800
    assert 500 < made.result_bytes < 900
    assert refused.result_bytes == 0


def betrays(found: Any) -> bool:
    """Does it hold the secret, in a spelling that people or programs read?"""
    said = json.dumps(found, ensure_ascii=False)
    return any(form in said for form in ("planted", "cGxhbnRlZC92YWx1ZSs5IM", "706c616e746564"))
