"""Access an agent asked for: how long it lasts, and that it ends with the run or the rule it was allowed for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agents.models import Agent, ModelRoute, User, Visibility
from mcp_gateway import access, requesting, servers
from mcp_gateway.models import McpAccess, McpServer
from runs import approvals, dispatch
from runs.approvals import rules
from runs.models import Approval, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def files(ada: User) -> McpServer:
    return servers.create(ada, "files", "mcp-files", visibility=Visibility.SHARED)


@pytest.fixture
def run(alice: User, atlas: Agent, route: ModelRoute) -> Run:
    return dispatch.start(alice, "Look up", agent=atlas).run


def living() -> list[McpAccess]:
    return list(access.living(McpAccess.objects.all()))


@pytest.mark.parametrize(("asked", "lasts"), [(None, 60), (5, 5), (600, 600)])
def test_it_ends_after_the_minutes_that_the_request_says(
    files: McpServer, run: Run, atlas: Agent, alice: User, asked: int | None, lasts: int
) -> None:
    requesting.ask(atlas.pk, "files", "To read.", asked, run.pk)
    waiting = Approval.objects.get(kind="mcp_access")

    approvals.decide(alice, waiting, "once")

    assert waiting.subject["minutes"] == lasts
    assert "server_id" not in waiting.subject
    (given,) = living()
    assert given.expires_at is not None
    assert abs(given.expires_at - timezone.now() - timedelta(minutes=lasts)) < timedelta(minutes=1)
    assert requesting.status(atlas.pk, waiting.pk).status == "granted"


def test_what_was_allowed_for_a_run_ends_with_it_and_what_was_given_on_a_page_stays(
    files: McpServer, run: Run, atlas: Agent, alice: User, ada: User
) -> None:
    other = servers.create(ada, "other", "mcp-other", visibility=Visibility.SHARED)
    access.give(alice, atlas.pk, other.pk, reason="To read.")
    requesting.ask(atlas.pk, "files", "To read.", None, run.pk)
    waiting = Approval.objects.get(kind="mcp_access")
    approvals.decide(alice, waiting, "run")
    assert {row.server for row in living()} == {files, other}

    rules.end_with(run)

    assert [row.server for row in living()] == [other]
    assert requesting.status(atlas.pk, waiting.pk).status == "denied"
