"""The real runtime in a real sandbox: what no stand-in can prove.

The tests share one sandbox, so each takes session ids and lanes of its own.
"""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from sandboxes.hermes import gateway
from sandboxes.hermes.client import HermesClient, Turn
from sandboxes.hermes.configuration import HermesConfig
from sandboxes.hermes.errors import HermesError
from sandboxes.hermes.events import (
    ApprovalRequest,
    ApprovalResponded,
    Cancelled,
    Completed,
    Failed,
    RuntimeEvent,
    TextDelta,
    ToolCompleted,
    ToolStarted,
)
from sandboxes.hermes.spec import write_live_files
from tests.sandboxes.hermes.real_sandbox import SOUL, RealSandbox
from tests.sandboxes.hermes.scripted_model import Call

pytestmark = [pytest.mark.runtime, pytest.mark.asyncio(loop_scope="module")]
DEADLINE_S = 30


async def read(client: HermesClient, run_id: str) -> list[RuntimeEvent]:
    async with asyncio.timeout(DEADLINE_S):
        return [event async for event in client.events(run_id)]


async def whole_run(sandbox: RealSandbox, text: str, lane: int, session_id: str) -> list[RuntimeEvent]:
    async with sandbox.client() as client:
        return await read(client, await client.start_run(text, lane=lane, session_id=session_id))


def calls_on(sandbox: RealSandbox, lane: int) -> list[Call]:
    return [call for call in sandbox.model.calls if call.lane == str(lane)]


async def test_the_runtime_answers_within_four_seconds_with_our_toolsets(sandbox: RealSandbox) -> None:
    assert sandbox.gateway.version == "0.19.0"
    assert sandbox.gateway.ready_s < 60

    async with sandbox.client() as client:
        toolsets = await client.toolsets()

    assert set(toolsets) == {"terminal", "file", "todo"}


async def test_a_command_runs_inside_as_the_agents_user(sandbox: RealSandbox) -> None:
    events = await whole_run(sandbox, "run: echo hello && id", 2, "command")

    kinds = [type(event) for event in events]
    assert kinds[:2] == [ToolStarted, ToolCompleted]
    end = events[-1]
    assert isinstance(end, Completed)
    assert "hello" in end.output
    assert "uid=10001(agent)" in end.output
    assert "".join(event.text for event in events if isinstance(event, TextDelta)).strip() == end.output


async def test_the_agents_own_programs_are_on_its_path(sandbox: RealSandbox) -> None:
    script = (
        "mkdir -p ~/.local/bin && printf 'echo mine' > ~/.local/bin/own-program && chmod +x ~/.local/bin/own-program"
    )
    await whole_run(sandbox, f"run: {script}", 14, "path-1")
    events = await whole_run(sandbox, "run: own-program", 14, "path-2")

    assert isinstance(events[-1], Completed)
    assert '"mine"' in events[-1].output


async def test_what_was_stored_has_the_call_its_arguments_and_its_result(sandbox: RealSandbox) -> None:
    async with sandbox.client() as client:
        run_id = await client.start_run("run: echo stored", lane=3, session_id="stored")
        await read(client, run_id)
        status = await client.status(run_id)
        user, asked, result, answer = await client.session_messages("stored")

    assert (status.status, status.has_ended, status.session_id) == ("completed", True, "stored")
    assert (user.role, user.content) == ("user", "run: echo stored")
    assert json.loads(asked.tool_calls[0].arguments) == {"command": "echo stored"}
    assert result.tool_call_id == asked.tool_calls[0].id
    assert json.loads(result.content)["output"] == "stored"
    assert answer.content == status.output


async def test_every_model_call_names_its_run_twice_by_lane_and_by_stamp(sandbox: RealSandbox) -> None:
    async with sandbox.client() as client:
        runs = [
            await client.start_run(f"run: sleep 0.3; echo lane {lane}", lane=lane, session_id=f"at-once-{lane}")
            for lane in (10, 11)
        ]
        streams = await asyncio.gather(*(read(client, run_id) for run_id in runs))

    for lane, run_id, stream in zip((10, 11), runs, streams, strict=True):
        assert isinstance(stream[-1], Completed)
        assert f"lane {lane}" in stream[-1].output
        calls = calls_on(sandbox, lane)
        assert len(calls) == 2
        assert {call.run for call in calls} == {run_id}
        assert {call.question for call in calls} == {f"run: sleep 0.3; echo lane {lane}"}
    starts = [next(e.at for e in s if isinstance(e, ToolStarted)) for s in streams]
    ends = [next(e.at for e in s if isinstance(e, ToolCompleted)) for s in streams]
    assert max(starts) < min(ends), "the two did not run at once"


async def test_a_call_that_names_no_lane_is_refused_and_ends_the_run(sandbox: RealSandbox) -> None:
    async with sandbox.client() as client:
        events = await read(client, await client.start_run("hi", lane="none", session_id="no-lane"))

    assert isinstance(events[-1], Failed)
    assert "400" in events[-1].error


async def test_the_provider_sees_no_key_and_the_model_only_our_tools(sandbox: RealSandbox) -> None:
    await whole_run(sandbox, "hi", 4, "no-key")

    (call,) = calls_on(sandbox, 4)
    assert call.authorization == "Bearer unused"
    assert set(call.tools) == {"patch", "process", "read_file", "search_files", "terminal", "todo", "write_file"}


COUNT_SLEEPS = """
import glob, os
found = 0
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        found += b"60.125" in open(path, "rb").read() and path != f"/proc/{os.getpid()}/cmdline"
    except OSError:
        pass
print(found)
"""


async def count_sleeps(sandbox: RealSandbox) -> int:
    code, printed = await sandbox.run("/usr/bin/python3", "-c", COUNT_SLEEPS)
    assert code == 0
    return int(printed)


async def test_a_running_tool_is_stopped_and_killed_within_two_seconds(sandbox: RealSandbox) -> None:
    async with asyncio.timeout(DEADLINE_S), sandbox.client() as client:
        run_id = await client.start_run("run: sleep 60.125", lane=5, session_id="stopped")
        events = []
        async for event in client.events(run_id):
            events.append(event)
            if isinstance(event, ToolStarted):
                while not await count_sleeps(sandbox):
                    pass
                asked = time.monotonic()
                assert await client.stop(run_id)
        took_s = time.monotonic() - asked
        assert not await client.stop(run_id)

    assert isinstance(events[-1], Cancelled)
    assert took_s < 30
    assert await count_sleeps(sandbox) == 0


async def test_a_dangerous_command_waits_for_a_person_and_a_denial_is_obeyed(sandbox: RealSandbox) -> None:
    async with sandbox.client() as client:
        run_id = await client.start_run("run: rm -rf /workspace/precious", lane=6, session_id="denied")
        assert (await sandbox.run("/bin/mkdir", "/workspace/precious"))[0] == 0
        events = []
        async with asyncio.timeout(DEADLINE_S):
            async for event in client.events(run_id):
                events.append(event)
                if isinstance(event, ApprovalRequest):
                    assert (await client.status(run_id)).status == "waiting_for_approval"
                    await client.approve(run_id, "deny", "Use the trash instead.")

    request = next(event for event in events if isinstance(event, ApprovalRequest))
    assert request.command == "rm -rf /workspace/precious"
    assert [event.choice for event in events if isinstance(event, ApprovalResponded)] == ["deny"]
    assert isinstance(events[-1], Completed)
    assert "Use the trash instead." in events[-1].output, "the agent reads why"
    assert (sandbox.root / "workspace/precious").is_dir()


async def test_a_failing_provider_ends_the_run_with_its_sentence(sandbox: RealSandbox) -> None:
    events = await whole_run(sandbox, "status: 402", 7, "unpaid")

    assert isinstance(events[-1], Failed)
    assert events[-1].error == "HTTP 402: as you asked"


async def test_a_new_soul_and_other_toolsets_take_effect_on_the_next_run(sandbox: RealSandbox) -> None:
    before = await whole_run(sandbox, "who are you", 8, "soul-1")
    try:
        write_live_files(sandbox.root, HermesConfig("renamed", toolsets=("todo",)), "You are the second soul.")
        after = await whole_run(sandbox, "who are you", 8, "soul-2")
    finally:
        write_live_files(sandbox.root, sandbox.config, SOUL)

    assert isinstance(before[-1], Completed)
    assert before[-1].output == "Soul: You are the first soul."
    assert isinstance(after[-1], Completed)
    assert after[-1].output == "Soul: You are the second soul."
    assert calls_on(sandbox, 8)[-1].tools == ("todo",)


async def test_history_and_instructions_reach_the_model(sandbox: RealSandbox) -> None:
    history = [Turn("user", "my name is Ada"), Turn("assistant", "hello Ada")]
    async with sandbox.client() as client:
        run_id = await client.start_run(
            "and now?", lane=9, session_id="history", history=history, instructions="Mind the gap."
        )
        await read(client, run_id)

    (call,) = calls_on(sandbox, 9)
    assert call.earlier == ["my name is Ada", "hello Ada"]
    assert call.system.rstrip().endswith("Mind the gap.")


async def test_more_runs_than_allowed_are_refused_as_busy(sandbox: RealSandbox) -> None:
    async with sandbox.client() as client:
        runs = [
            await client.start_run("run: sleep 20", lane=lane, session_id=f"busy-{lane}")
            for lane in range(20, 20 + sandbox.config.max_concurrent_runs)
        ]
        with pytest.raises(HermesError) as caught:
            await client.start_run("one too many", lane=30, session_id="busy-30")
        for run_id in runs:
            await client.stop(run_id)
        streams = await asyncio.gather(*(read(client, run_id) for run_id in runs))

    assert caught.value.reason == "runtime_busy"
    assert {type(stream[-1]) for stream in streams} == {Cancelled}


async def test_a_lost_reader_can_still_learn_the_outcome(sandbox: RealSandbox) -> None:
    async with sandbox.client() as client:
        run_id = await client.start_run("run: sleep 0.5; echo late", lane=12, session_id="lost")
        events = client.events(run_id)
        await anext(events)
        await events.aclose()  # type: ignore[attr-defined]

        async with asyncio.timeout(DEADLINE_S):
            while not (status := await client.status(run_id)).has_ended:
                await asyncio.sleep(0.05)
        messages = await client.session_messages("lost")

    assert status.status == "completed"
    assert "late" in status.output
    assert "late" in messages[2].content


async def test_the_agent_cannot_read_the_key_or_change_its_own_rules(sandbox: RealSandbox) -> None:
    attempts = {
        "config": "echo 'approvals: {mode: off}' > /hermes/config.yaml",
        "managed": "echo x > /etc/hermes/config.yaml",
        "env": "echo HERMES_YOLO_MODE=1 > /hermes/.env",
        "plugin": "touch /hermes/plugins/x.py",
        "hook": "touch /hermes/hooks/x",
        "soul": "echo x > /hermes/SOUL.md",
        "old configuration": "echo x > /hermes/gateway.json",
        "move home": "mv /hermes /hermes2",
        "runtime": "touch /run/hermes/venv/x",
        "launcher": "echo x >> /run/logos-hermes/launch.py",
    }
    script = "; ".join(f"({command}) 2>/dev/null && echo 'DONE {name}'" for name, command in attempts.items())
    find = (
        "grep -las '{0}' /proc/[0-9]*/environ /proc/[0-9]*/cmdline | head -n 1 | sed 's/.*/FOUND/';"
        "grep -rls '{0}' /hermes /home /tmp /workspace | head -n 1 | sed 's/.*/FOUND/'"
    )
    # The key itself must not be in the search, or the search would find itself.
    half = len(sandbox.gateway.key) // 2
    pattern = f"{sandbox.gateway.key[:half]}[{sandbox.gateway.key[half]}]{sandbox.gateway.key[half + 1 :]}"

    # The same search for what is there must find it, or an empty answer would mean nothing.
    controls = f"{find.format('PAT[H]=')}; {find.format('run: s[h] /workspace')}"
    lines = [script, find.format(pattern), "echo CONTROL", controls]
    (sandbox.root / "workspace/attack.sh").write_text("\n".join(lines) + "\n")
    (sandbox.root / "workspace/attack.sh").chmod(0o644)
    events = await whole_run(sandbox, "run: sh /workspace/attack.sh", 13, "attack")

    result = next(event for event in reversed(events) if isinstance(event, Completed)).output
    output = json.loads(result.removeprefix("The output was: "))["output"]
    found, controls_found = output.split("CONTROL")
    assert found.split() == []
    assert controls_found.split().count("FOUND") >= 2


async def test_a_second_attachment_finds_the_gateway_by_its_key(sandbox: RealSandbox) -> None:
    attachment = await sandbox.driver.attach(sandbox.handle.state)
    try:
        assert await gateway.is_alive(attachment, sandbox.gateway.key)
        assert not await gateway.is_alive(attachment, "0" * 48)
    finally:
        await attachment.close()
