"""Servers that die, hang, babble and leave things behind: every caller is answered, and nothing stays."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_gateway import children, lines
from mcp_gateway.supervisor import Times
from tests.mcp_gateway.gate import PATIENCE_S, Gate, a_gate, children_of, held, lives, nothing_more, until


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with a_gate() as gate:
        yield gate


async def pid_of(gate: Gate, server: str) -> int:
    """The server's own process."""
    return (await gate.call(server, "who"))["result"]["pid"]


async def test_a_killed_server_answers_everybody_and_the_next_call_works(gate: Gate) -> None:
    supervisor = gate.add("files")
    pid = await pid_of(gate, "files")
    calls = [asyncio.ensure_future(gate.call("files", "hang", number)) for number in range(16)]
    await until(lambda: supervisor.child and len(supervisor.child.calls) == 16, "all of them wait")

    os.kill(pid, signal.SIGKILL)
    answers = await asyncio.wait_for(asyncio.gather(*calls), PATIENCE_S)

    assert all(answer["result"]["isError"] for answer in answers)
    assert "Whether the call had an effect is not known" in answers[0]["result"]["content"][0]["text"]
    assert sorted(answer["id"] for answer in answers) == list(range(16))
    assert (await gate.call("files", "echo", text="again"))["result"]["content"][0]["text"] == "again"
    assert supervisor.starts == 2
    await until(lambda: len(children_of(os.getpid())) == 1, "nothing of the first is left")
    assert [each.outcome for each in gate.records if each.tool == "hang"] == ["gone"] * 16


async def test_many_deaths_leave_no_descriptor_task_or_process_behind(gate: Gate) -> None:
    supervisor = gate.add("files", times=Times(30, PATIENCE_S, 0.01, steady_s=0.0))
    await gate.call("files", "echo")

    before = held()
    for _ in range(12):
        assert (await gate.call("files", "crash"))["result"]["isError"]
    await gate.call("files", "echo")

    assert supervisor.starts == 13
    await nothing_more(before, "nothing is left of the dead")


async def test_a_server_that_always_dies_is_parked_with_its_last_words_and_holds_up_nobody(gate: Gate) -> None:
    bad = gate.add("bad", "--misbehave", "die", times=Times(30, PATIENCE_S, 0.01))
    gate.add("good")

    assert (await gate.call("good", "echo", text="hello"))["result"]["content"][0]["text"] == "hello"
    await until(lambda: bad.state == "parked", "it is parked")
    answer = await gate.call("bad", "echo")

    assert (bad.starts, "status 3" in bad.reason, "I will not live" in bad.reason) == (5, True, True)
    assert "parked" in answer["result"]["content"][0]["text"]
    await bad.restart()
    await until(lambda: bad.starts > 5, "somebody had it started again")


async def test_a_command_that_does_not_exist_says_so(gate: Gate) -> None:
    bad = gate.add("bad", command="no-such-program-of-ours", times=Times(30, PATIENCE_S, 0.01))

    await until(lambda: bad.state == "parked", "it is parked")

    assert "no-such-program-of-ours cannot be started" in bad.reason


async def test_a_stopped_process_is_noticed_and_replaced_and_a_slow_call_is_not(gate: Gate) -> None:
    supervisor = gate.add("files", times=Times(30, PATIENCE_S, 0.01, ping_s=PATIENCE_S), timeout_s=0.5)
    pid = await until(lambda: supervisor.child and supervisor.state == "ready" and supervisor.child.pid, "it runs")
    (server,) = children_of(pid)

    for _ in range(2):  # slow, but it hears: two silences lead to a question, which it answers
        assert (await gate.call("files", "hang"))["result"]["isError"]
    await until(lambda: not supervisor._is_probed, "it answered the question")
    assert (supervisor.starts, lives(server)) == (1, True)

    supervisor.times = replace(supervisor.times, ping_s=0.5)
    os.kill(server, signal.SIGSTOP)
    for _ in range(2):
        assert (await gate.call("files", "echo"))["result"]["isError"]
    await until(lambda: supervisor.starts == 2 and supervisor.state == "ready", "another one runs")

    gate.rule("files", timeout_s=30.0)
    assert (await gate.call("files", "echo", text="new"))["result"]["content"][0]["text"] == "new"
    await until(lambda: not lives(server), "the stopped one is gone")


async def test_a_server_that_never_answers_gives_up_its_start(gate: Gate) -> None:
    silent = gate.add("silent", "--misbehave", "silent", times=Times(30, 0.5, 0.01))

    await until(lambda: silent.state == "parked", "it is parked")

    assert silent.reason.startswith("It ended 5 times in a row. It did not answer within 0.5 seconds")
    await until(lambda: not children_of(os.getpid()), "none of the five is left")


async def test_what_is_no_message_is_counted_and_passed_over(gate: Gate) -> None:
    babbling = gate.add("babbling", "--misbehave", "garbage")

    assert (await gate.call("babbling", "chatter"))["result"]["content"][0]["text"] == "said something"
    assert babbling.child is not None
    assert babbling.child.noise == 2
    assert any("Welcome" in line for line in babbling.errors)


async def test_a_line_that_is_too_large_ends_its_call_and_nothing_else(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = gate.add("files")
    other = asyncio.ensure_future(gate.call("files", "slow", 2, seconds=1.0, text="other"))

    answer = await gate.call("files", "big", 7, bytes=20 * 1024 * 1024)

    assert answer["id"] == 7
    assert "larger than 16 MB" in answer["result"]["content"][0]["text"]
    assert (await other)["result"]["content"][0]["text"] == "other"
    assert (await gate.call("files", "echo", text="on"))["result"]["content"][0]["text"] == "on"
    assert supervisor.starts == 1
    assert lines.MAX_LINE == 16 * 1024 * 1024


async def test_a_server_that_closes_its_output_is_as_good_as_dead(gate: Gate) -> None:
    supervisor = gate.add("files")

    answer = await gate.call("files", "close_output")

    assert "ended while it worked on this" in answer["result"]["content"][0]["text"]
    assert (await gate.call("files", "echo", text="new"))["result"]["content"][0]["text"] == "new"
    assert supervisor.starts == 2


async def test_what_a_server_forked_and_left_behind_goes_with_it(gate: Gate) -> None:
    supervisor = gate.add("files")
    left = (await gate.call("files", "fork"))["result"]["pid"]
    assert lives(left)

    await supervisor.stop()

    await until(lambda: not lives(left) and not children_of(os.getpid()), "it is gone")


async def test_a_server_gets_no_environment_of_ours(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOS_SECRET_KEY", "planted")
    gate.add("files")

    seen = (await gate.call("files", "who"))["result"]

    assert set(seen["env"]) <= {*children.INHERITED, "HOME", "TMPDIR", "PYTHONUNBUFFERED", "LC_CTYPE"}
    assert "planted" not in str(seen)
    assert seen["cwd"] == "/tmp"


HOST = """
import asyncio, sys
from pathlib import Path
from mcp_gateway.children import Child, Launch
async def main():
    launch = Launch(sys.executable, (sys.argv[1],), {}, Path("/tmp"))
    child = await Child.start(launch, lambda message: None, lambda child, message: None)
    init = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    await child.ask("initialize", init).answer
    left = await child.ask("tools/call", {"name": "fork", "arguments": {}}).answer
    who = await child.ask("tools/call", {"name": "who", "arguments": {}}).answer
    print(left["result"]["pid"], who["result"]["pid"], flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_servers_and_what_they_left_die_with_a_gateway_that_was_killed() -> None:
    from tests.mcp_gateway.gate import EVERYTHING

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOST, str(EVERYTHING), stdout=asyncio.subprocess.PIPE, cwd=EVERYTHING.parents[2]
    )
    assert process.stdout is not None
    left, server = map(int, (await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)).split())
    assert lives(left)
    assert lives(server)

    process.kill()
    await process.wait()

    await until(lambda: not lives(server) and not lives(left), "both are gone")


NONSENSE = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        answer = {"supportedVersions": 7} if asked["method"] == "server/discover" else {"tools": 5}
        if asked["method"] == "initialize":
            answer = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": [1]}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answer}), flush=True)
"""


async def test_a_server_that_says_nonsense_of_itself_is_one_without_tools(gate: Gate, tmp_path: Path) -> None:
    script = tmp_path / "nonsense.py"
    script.write_text(NONSENSE)
    odd = gate.add("odd", str(script), command="python3")

    await until(lambda: odd.state == "ready", "it is taken for what it is")

    assert (odd.known.tools, odd.known.info) == ([], {})


ODD_NAMES = NONSENSE.replace(
    '{"tools": 5}', '{"tools": [{"name": "fine"}, {"name": chr(0xD800)}, {"name": chr(0)}, {"name": 7}]}'
)


async def test_a_tool_with_an_impossible_name_is_left_out_and_the_others_go_on(gate: Gate, tmp_path: Path) -> None:
    script = tmp_path / "odd.py"
    script.write_text(ODD_NAMES)
    odd = gate.add("odd", str(script), command="python3")

    await until(lambda: odd.state == "ready", "it is taken for what it is")

    assert [tool["name"] for tool in odd.known.tools] == ["fine"]
