"""The record of calls: one row for each, with everything that can be told of it and no secret, nor in logs and files."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings

from agents import agent_secrets
from mcp_gateway.calls import fingerprint
from mcp_gateway.gateway import Gateway
from mcp_gateway.models import McpCall
from sandboxes.tool_server.models import ToolCall
from tests.mcp_gateway.gate import request, until
from tests.mcp_gateway.test_gateway import House, ask, call, house, rows, started
from tests.mcp_gateway.test_held_calls import rule

__all__ = ["house", "started"]

pytestmark = pytest.mark.django_db(transaction=True)

db = sync_to_async
OWN = "planted-own-7"


async def test_every_call_is_one_row_that_says_who_what_why_how_long_and_how_much(
    house: House, started: Gateway
) -> None:
    await rule(house, started, "block", tool="mcp:files.crash")
    sent: list[tuple[str, str, str]] = []
    for tool, arguments, outcome, decision in (
        ("echo", {"text": "a"}, "ok", "allow"),
        ("echo", {"text": "a"}, "ok", "allow"),
        ("test_error_handling", {}, "error", "allow"),
        ("crash", {}, "denied", "block"),
        ("no-such", {}, "denied", ""),
    ):
        await call(house.secret, tool, **arguments)
        sent.append((tool, outcome, decision))
    await ask(house.secret, "/mcp/files", request("resources/read", uri="test://static-text"))
    await ask(house.secret, "/mcp/files", request("tools/list"))  # is no call
    await ask(house.secret, "/mcp/elsewhere", request("tools/call", name="x", arguments={}))

    kept: list[McpCall] = await rows(
        lambda: found if len(found := list(McpCall.objects.exclude(outcome="started").order_by("pk"))) == 7 else None
    )
    assert [(row.tool, row.outcome, row.decision) for row in kept[:5]] == sent
    assert [(row.method, row.server_name, row.outcome) for row in kept[5:]] == [
        ("resources/read", "files", "ok"),
        ("tools/call", "elsewhere", "denied"),
    ]
    first, again = kept[:2]
    assert {row.agent_id for row in kept} == {house.agent.pk}
    assert first.arguments_digest == again.arguments_digest == fingerprint({"text": "a"})
    assert first.pk != again.pk
    assert all(row.argument_bytes > 50 for row in kept)
    assert [row.result_bytes > 0 for row in kept] == [True, True, True, False, False, True, False]
    assert [row.duration_ms > 0 for row in kept] == [True, True, True, False, False, True, False]


async def test_no_secret_is_in_a_row_a_log_or_a_file(
    house: House, started: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await db(agent_secrets.put)(house.alice, house.agent, "API_KEY", OWN)
    await until(lambda: bool(started.book.blots), "the gateway knows")
    await rule(house, started, "notify", tool="mcp:files.echo")

    said: list[Any] = []
    for how in ("plain", "error", "stderr", "log", "structured"):
        said.append(await call(house.secret, "tells", name="A", how=how))
    said.append(await call(house.secret, "echo", text=f"my own is {OWN}"))
    said.append(await ask(house.secret, "/mcp/files", request("resources/read", uri="test://secret")))
    await rows(lambda: McpCall.objects.filter(method="resources/read").exists())
    await rows(lambda: ToolCall.objects.filter(state="done").exists())
    await started.stop()

    def everything() -> str:
        models = [each for each in apps.get_models() if each._meta.app_label in ("mcp_gateway", "sandboxes", "runs")]
        return "\n".join(str(row) for model in models for row in model._default_manager.values())

    written = await db(everything)()
    files = b"".join(each.read_bytes() for each in (settings.LOGOS_HOME / "mcp-begun").glob("*"))
    for where in (str(said), written, caplog.text, files.decode()):
        for secret in ("planted-value-9", OWN, house.secret):
            assert secret not in where
