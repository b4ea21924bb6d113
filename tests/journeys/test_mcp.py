"""An agent uses a real MCP server from inside its real sandbox, through the hub, and another agent sees nothing of it."""

from __future__ import annotations

import sys
from typing import Any

import httpx
import pytest

from tests.journeys.house import House, until
from tests.journeys.sound import assert_sound
from tests.mcp_gateway.gate import EVERYTHING, lives

pytestmark = pytest.mark.runtime

PATIENCE_S = 180.0


def add_server(house: House, name: str, **fields: Any) -> Any:
    """A server that runs, with its row as the API shows it."""
    body = {
        "name": name,
        "command": sys.executable,
        "args": [str(EVERYTHING)],
        "place": "host",
        "visibility": "shared",
        **fields,
    }
    made = house.api("POST", "/mcp-servers", json=body)
    path = f"/mcp-servers/{made['id']}"
    until(lambda: house.api("GET", path)["health"]["state"] == "ready", "the server is ready", PATIENCE_S)
    return made


def results(story: list[Any]) -> str:
    return "".join(str(event.data["result"]) for event in story if event.kind == "tool.result")


def test_a_tool_of_a_server_is_called_from_inside_recorded_and_nobody_elses(logos: House) -> None:
    from agents import composition
    from mcp_gateway.models import McpCall

    server = add_server(logos, "files")
    logos.api("POST", f"/agents/{logos.agent_id}/mcp-access", json={"server_id": server["id"], "reason": "Files"})
    bruno = composition.create(logos.admin, "bruno", logos.soul).pk
    line = 'call: mcp__logos__files__echo {"text": "teapot-4711"}'

    run = logos.ask(line, PATIENCE_S)
    other = logos.ask(f"{line}\nthen run: true", PATIENCE_S, agent=bruno)

    story = assert_sound(run)
    assert "teapot-4711" in results(story)
    told = [event.data for event in story if event.kind == "mcp.call"]
    assert [(each["server"], each["tool"], each["outcome"]) for each in told] == [("files", "echo", "ok")]
    found = McpCall.objects.filter(agent_id=logos.agent_id, tool="echo")
    until(found.exists, "the call is a row", PATIENCE_S)
    row = found.get()
    assert (row.run_id, row.server_id, row.outcome, row.via) == (run.pk, server["id"], "ok", "socket")
    assert "no `mcp__logos__files__echo` tool" in (other.reply.text if other.reply else "")
    assert not McpCall.objects.filter(agent_id=bruno).exists()


def test_access_that_an_agent_asked_for_is_usable_in_the_same_conversation(logos: House) -> None:
    add_server(logos, "shelf", tier="auto")

    first = logos.ask('call: mcp__logos__request_mcp_access {"server": "shelf", "reason": "To look up"}', PATIENCE_S)
    second = logos.ask('call: mcp__logos__shelf__echo {"text": "found-4712"}', PATIENCE_S, talk=first.conversation_id)

    assert "You may use shelf now" in results(assert_sound(first))
    assert "found-4712" in results(assert_sound(second))


def test_what_a_person_allows_in_the_inbox_is_used_in_the_same_run(logos: House) -> None:
    """Request, approval, tool call, timeline: one message."""
    add_server(logos, "desk")
    run_id = logos.send(
        'call: mcp__logos__request_mcp_access {"server": "desk", "reason": "To look up"}\n'
        'then call: mcp__logos__call_mcp_tool {"server": "desk", "tool": "echo", "arguments": {"text": "found-4713"}}'
    )["id"]

    question = until(lambda: logos.api("GET", f"/approvals?run_id={run_id}")["items"], "it asks", PATIENCE_S)[0]
    body = {"choice": "once", "subject_hash": question["subject_hash"]}
    logos.api("POST", f"/approvals/{question['id']}", json=body)
    run = logos.ended(run_id, PATIENCE_S)

    story = assert_sound(run)
    kinds = [event.kind for event in story]
    assert "found-4713" in results(story)
    told = [event.data for event in story if event.kind == "mcp.call"]
    assert [(each["server"], each["tool"], each["outcome"]) for each in told] == [
        ("logos", "request_mcp_access", "ok"),
        ("desk", "echo", "ok"),
    ]
    assert kinds.index("approval.requested") < kinds.index("approval.decided") < kinds.index("mcp.call")


@pytest.mark.parametrize("end", ["terminate", "kill9"])
def test_a_client_outside_goes_on_after_logos_was_ended_or_killed(logos: House, end: str) -> None:
    """Its children end with Logos; token, access and an open question are there when it is back."""
    from sandboxes.tool_server import rules

    name = f"steady-{end}"
    server = add_server(logos, name)
    logos.api("POST", f"/agents/{logos.agent_id}/mcp-access", json={"server_id": server["id"], "reason": "Files"})
    secret = logos.api("POST", f"/agents/{logos.agent_id}/mcp-tokens", json={"name": "editor"})["secret"]
    rules.put(logos.admin, None, tool=f"mcp:{name}.echo", tier="ask", layer="site")

    def call(tool: str, patience_s: float = PATIENCE_S, **arguments: Any) -> Any:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        headers = {"Authorization": f"Bearer {secret}", "Accept": "application/json"}
        answer = logos.http.post(f"/mcp/{name}", json=message, headers=headers, timeout=patience_s)
        return answer.json().get("result") or {}

    def question() -> Any:
        found = logos.api("GET", f"/approvals?agent_id={logos.agent_id}")["items"]
        return next((each for each in found if name in str(each)), None)

    child = until(lambda: call("who").get("pid"), "it is reached", PATIENCE_S)
    with pytest.raises(httpx.TimeoutException):
        call("echo", 3.0, text="kept")
    until(question, "it asks", PATIENCE_S)

    getattr(logos, end)()

    until(lambda: not lives(child), "its children are gone", PATIENCE_S)
    logos.start()
    until(lambda: call("who").get("pid"), "it is reached again", PATIENCE_S)
    asked = question()
    body = {"choice": "once", "subject_hash": asked["subject_hash"]}
    logos.api("POST", f"/approvals/{asked['id']}", json=body)
    done = call("echo", text="kept")
    assert done["content"][0]["text"] == "kept"
    assert call("counts")["counts"]["echo"] == 1
