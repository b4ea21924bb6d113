"""What was asked for or given before holds by the rules of now."""

from __future__ import annotations

from typing import Any

import pytest

from agents.errors import LogosError
from mcp_gateway import access, categories, reading, requesting, servers
from mcp_gateway.models import McpAccess
from runs import approvals
from runs.models import Approval
from tests.mcp_gateway.test_gateway import House

pytestmark = pytest.mark.django_db


def asked(house: House) -> Approval:
    access.revoke(house.alice, house.access.pk)
    assert requesting.ask(house.agent.pk, "files", "To look up", None).status == "pending"
    return Approval.objects.get()


@pytest.mark.parametrize("change", [{"tier": "admin"}, {"tier": "deny"}, {"visibility": "private"}], ids=str)
def test_a_question_is_decided_by_the_rights_of_now(change: dict[str, Any]) -> None:
    house = House()
    question = asked(house)
    for name, value in change.items():
        setattr(house.server, name, value)
    house.server.save()

    with pytest.raises(LogosError):
        approvals.decide(house.alice, question, "once", subject_hash=question.subject_hash)

    assert not access.living(McpAccess.objects.all()).exists()
    assert Approval.objects.get().state == "pending"
    approvals.decide(house.alice, question, "deny", subject_hash=question.subject_hash)
    assert Approval.objects.get().state == "denied"


def test_where_nothing_has_changed_it_is_given() -> None:
    house = House()
    question = asked(house)

    approvals.decide(house.alice, question, "once", subject_hash=question.subject_hash)

    assert access.living(McpAccess.objects.all()).count() == 1


def test_a_server_that_nobody_may_use_is_used_by_nobody() -> None:
    house = House()
    assert reading.book().reach(house.agent.pk, "files") is not None
    before = reading.mark()

    servers.change(house.ada, house.server.pk, None, tier="deny")
    assert reading.mark() != before
    assert reading.book().reach(house.agent.pk, "files") is None
    servers.change(house.ada, house.server.pk, None, tier="category", category="closed")
    assert reading.book().reach(house.agent.pk, "files") is not None
    categories.put(house.ada, "closed", "deny", "allow")
    assert reading.book().reach(house.agent.pk, "files") is None
    assert [each["access"] for each in requesting.askable(house.agent.pk)] == ["not for agents"]
