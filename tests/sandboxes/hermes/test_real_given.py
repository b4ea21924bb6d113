"""A real sandbox with the real runtime: what was given is there, what was not is nowhere, and what is withdrawn goes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandboxes.documents import Document, install
from sandboxes.hermes.configuration import HermesConfig
from sandboxes.hermes.events import Completed
from sandboxes.hermes.gateway import Given
from sandboxes.hermes.runtime import Runtime
from sandboxes.hermes.spec import write_live_files
from tests.sandboxes.hermes.real_sandbox import SOUL, RealSandbox, real_sandbox
from tests.sandboxes.hermes.test_real_runtime import calls_on, whole_run

pytestmark = [pytest.mark.runtime, pytest.mark.asyncio(loop_scope="module")]

FOR_COMMANDS, FOR_TOOLS, HELD_BACK = "value-for-commands-4711", "tvly-value-for-tools-4712", "value-held-back-4713"
WITH_WEB = HermesConfig("scripted", toolsets=("terminal", "file", "web"), max_concurrent_runs=4)
WITHOUT_WEB = HermesConfig("scripted", toolsets=("terminal", "file"), max_concurrent_runs=4)
DOCUMENTS = (Document("AGENTS.md", "Always say teapot-4714."), Document("notes/style.md", "Short."))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def given(runtime: Runtime) -> AsyncIterator[RealSandbox]:
    secrets = Given(tools={"TAVILY_API_KEY": FOR_TOOLS}, commands={"GITHUB_TOKEN": FOR_COMMANDS})
    async with real_sandbox(runtime, WITH_WEB, given=secrets, documents=DOCUMENTS) as started:
        yield started


async def says(sandbox: RealSandbox, command: str, lane: int) -> str:
    """What a command of the agent's own shell tool printed."""
    end = (await whole_run(sandbox, f"run: {command}", lane, f"given-{lane}"))[-1]
    assert isinstance(end, Completed)
    return end.output


async def test_a_command_has_what_is_for_commands_and_nothing_else(given: RealSandbox) -> None:
    # The runtime itself stars what looks like a token out of a command's output, so the value is compared by digest.
    said = await says(given, 'printf %s "$GITHUB_TOKEN" | sha256sum; env | cut -d= -f1', 20)

    assert hashlib.sha256(FOR_COMMANDS.encode()).hexdigest() in said
    assert "TAVILY_API_KEY" not in said
    assert "API_SERVER_KEY" not in said


async def test_what_is_for_a_tool_can_be_read_in_no_file_and_of_no_process(given: RealSandbox) -> None:
    # The pattern is written so that the command's own text does not hold the value.
    look = (
        "grep -rlsE 'tvly-value-for[-]tools' /hermes /workspace /home /tmp /etc /run /dev/shm 2>/dev/null; "
        "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\\\0' '\\\\n' "
        "| grep -cE 'tvly-value-for[-]tools'; ls /proc | grep -cE '^[0-9]+$'"
    )
    code, out = await given.run("bash", "-c", look.replace("\\\\", "\\"))
    said = out.split()

    assert code == 0, out
    assert said[0] == "0", said
    assert int(said[1]) >= 3  # there were processes to look at, the runtime's among them


async def test_an_operators_command_gets_no_secret(given: RealSandbox) -> None:
    _, out = await given.run("env")

    assert FOR_COMMANDS not in out
    assert FOR_TOOLS not in out


async def test_what_was_not_given_is_nowhere(given: RealSandbox) -> None:
    _, out = await given.run("bash", "-c", "grep -rls value-held[-]back /hermes /workspace /home /tmp /etc /run; true")

    assert out == ""
    assert "absent" in await says(given, 'printf %s "${NOTION_TOKEN-absent}"', 21)


async def test_documents_are_there_and_instructions_are_in_the_prompt(given: RealSandbox) -> None:
    said = await says(given, "cat notes/style.md AGENTS.md; touch notes/mine && stat -c %U notes/style.md", 22)

    assert "Short.Always say teapot-4714." in said
    assert "agent" in said
    assert "teapot-4714" in calls_on(given, 22)[0].system


async def test_a_withdrawn_capability_takes_its_tools_at_the_next_run(given: RealSandbox) -> None:
    await whole_run(given, "hello", 23, "with-web")
    try:
        write_live_files(given.root, WITHOUT_WEB, SOUL)
        await whole_run(given, "hello", 24, "without-web")
    finally:
        write_live_files(given.root, WITH_WEB, SOUL)

    assert "web_search" in calls_on(given, 23)[0].tools
    assert "web_search" not in calls_on(given, 24)[0].tools
    assert "terminal" in calls_on(given, 24)[0].tools


async def test_a_document_that_the_agent_changed_is_put_back_beside_its_own(given: RealSandbox) -> None:
    await says(given, "echo mine > AGENTS.md", 25)
    install(given.root, DOCUMENTS, given.uid)

    said = await says(given, "cat AGENTS.md AGENTS.md.agent-*", 26)
    assert "Always say teapot-4714.mine" in said
