"""Rules of tools that two people change at once: who saved first is kept, nothing typed is lost, and the audit says who."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client

from agents import permissions
from agents.editing import Stale
from agents.errors import Conflict
from agents.models import Agent, Role, SecurityEvent, User
from sandboxes.tool_server import rules
from sandboxes.tool_server.models import ToolRule
from tests.api_client import Program
from tests.conftest import person

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]


def draft(**more: str) -> dict[str, str]:
    return {"tool": "git.push", "tier": "block", "note": "my draft", "layer": "agent", **more}


def test_the_page_refuses_a_stale_draft_and_keeps_it(alice: User, ada: User, browser: Browser, atlas: Agent) -> None:
    at, client = f"/agents/{atlas.pk}/tools/", browser(alice)
    rule = rules.put(alice, atlas, tool="git.push", tier="ask", note="first")
    form = client.get(f"{at}?rule={rule.pk}").content.decode()
    assert 'name="version" value="1"' in form
    assert 'value="first"' in form
    assert "Change the rule" in form
    rules.put(ada, atlas, tool="git.push", tier="notify", note="theirs", version=1)

    refused = client.post(at, draft(version="1"))

    shown = refused.content.decode()
    assert refused.status_code == 409
    assert "Somebody saved this first" in shown
    assert 'value="my draft"' in shown
    assert "theirs" in shown
    assert ToolRule.objects.get().tier == "notify"
    version = re.search(r'<form class="card sheet".*?name="version" value="(\d+)"', shown, re.S)
    assert version is not None
    assert client.post(at, draft(version=version[1])).status_code == 302
    assert (ToolRule.objects.get().tier, ToolRule.objects.get().version) == ("block", 3)


def test_a_new_rule_does_not_write_over_one_there_is(alice: User, browser: Browser, atlas: Agent) -> None:
    rules.put(alice, atlas, tool="git.push", tier="ask")

    answer = browser(alice).post(f"/agents/{atlas.pk}/tools/", draft())

    assert answer.status_code == 409
    assert ToolRule.objects.get().tier == "ask"


def test_a_rule_that_was_removed_is_made_anew_on_the_second_try(alice: User, browser: Browser, atlas: Agent) -> None:
    at, client = f"/agents/{atlas.pk}/tools/", browser(alice)
    rules.remove(alice, rules.put(alice, atlas, tool="git.push", tier="ask"))

    answer = client.post(at, draft(version="1"))

    assert answer.status_code == 409
    assert "save again to make it" in answer.content.decode()
    assert 'value="my draft"' in answer.content.decode()
    assert client.post(at, draft(version="0")).status_code == 302


def test_a_rule_that_changed_meanwhile_is_not_removed_unseen(alice: User, browser: Browser, atlas: Agent) -> None:
    at, client = f"/agents/{atlas.pk}/tools/", browser(alice)
    rule = rules.put(alice, atlas, tool="git.push", tier="ask")
    rules.put(alice, atlas, tool="git.push", tier="block")

    assert client.post(at, {"remove": f"{rule.pk} 1"}).status_code == 409
    assert client.post(at, {"remove": f"{rule.pk} 2"}).status_code == 302
    assert not ToolRule.objects.exists()


def test_a_program_is_told_with_409(alice: User, ada: User, atlas: Agent) -> None:
    path, program = f"agents/{atlas.pk}/tool-rules", Program(alice)
    made = program.post(path, {"tool": "git.push", "tier": "ask", "version": 0})
    stale = program("POST", path, {"tool": "git.push", "tier": "block", "version": 0})
    changed = program.post(path, {"tool": "git.push", "tier": "block", "version": made["version"]})
    old = program("DELETE", f"{path}/{made['id']}?version=1")
    site = Program(ada).post("tool-rules", {"tool": "git.push", "tier": "ask"})

    assert (stale.status_code, stale.json()["error"]["reason"]) == (409, "stale")
    assert (changed["version"], old.status_code) == (2, 409)
    assert Program(ada)("DELETE", f"tool-rules/{site['id']}?version=7").status_code == 409
    assert program("DELETE", f"{path}/{made['id']}?version=2").status_code == 204


def test_every_change_is_in_the_audit(alice: User, ada: User, atlas: Agent) -> None:
    rule = rules.put(alice, atlas, tool="git.push", tier="ask")
    rules.put(alice, atlas, tool="git.push", tier="block")
    rules.remove(alice, rule)
    rules.put(ada, None, tool="git.*", tier="ask", layer="site")

    events = SecurityEvent.objects.filter(kind__startswith="tool_rule_").order_by("pk")
    assert [(event.kind, event.actor) for event in events] == [
        ("tool_rule_made", alice),
        ("tool_rule_changed", alice),
        ("tool_rule_removed", alice),
        ("tool_rule_made", ada),
    ]
    assert events[1].detail == {"rule": "Block: git.push", "before": "Ask first: git.push", "whose": "the agent"}
    assert (events[0].object_id, events[3].detail["whose"]) == (atlas.pk, "every agent")


@pytest.mark.django_db(transaction=True)
def test_of_two_who_save_at_once_one_is_told() -> None:
    admins = [person(f"admin-{number}", Role.ADMIN) for number in range(2)]
    rules.put(admins[0], None, tool="git.push", tier="ask", layer="site")
    start, said = threading.Barrier(2), []

    def save(admin: User, tier: str) -> None:
        try:
            start.wait(timeout=60)
            rules.put(admin, None, tool="git.push", tier=tier, layer="site", version=1)
            said.append("saved")
        except Stale:
            said.append("stale")
        except Conflict:
            said.append("conflict")
        finally:
            connection.close()

    threads = [
        threading.Thread(target=save, args=(admin, tier))
        for admin, tier in zip(admins, ("block", "notify"), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(said) == ["saved", "stale"]
    assert ToolRule.objects.get().version == 2


def test_somebody_who_may_not_change_it_gets_no_form(viewer: User, browser: Browser, atlas: Agent, alice: User) -> None:
    rule = rules.put(alice, atlas, tool="git.push", tier="ask", note="hidden")
    permissions.grant(viewer, "chat", atlas)

    assert browser(viewer).get(f"/agents/{atlas.pk}/tools/?rule={rule.pk}").status_code == 404
    assert browser(alice).get(f"/agents/{atlas.pk}/tools/?rule=toolrule_none").status_code == 404
