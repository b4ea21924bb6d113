"""A draft of tool rules is tried on recorded calls: counted right, told to whom it concerns, saved by nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from agents import permissions
from agents.errors import Invalid, LogosError, NotFound
from agents.models import Agent, User
from runs import dispatch
from sandboxes.tool_server import drafts, rules, what_if
from sandboxes.tool_server.models import ToolCall, ToolRule
from tests import shell
from tests.api_client import Program

pytestmark = pytest.mark.django_db


def called(agent: Agent, tool: str, arguments: dict, count: int = 1, *, run_id: str = "", days_ago: float = 1) -> None:
    digest = json.dumps(arguments, sort_keys=True)[:64]
    for _ in range(count):
        ToolCall.objects.create(
            agent=agent, tool=tool, arguments=arguments, digest=digest, key=digest, door="run", tier="allow", state="done",
            run_id=run_id, at=timezone.now() - timedelta(days=days_ago),
        )  # fmt: skip


def tried(user: User, agent: Agent | None, *draft: dict, days: int = 7) -> what_if.ToolOutcome:
    return what_if.replay(user, agent, what_if.drafted(user, agent, draft), days)


def test_a_draft_is_judged_over_what_was_called_and_nothing_is_saved(alice: User, atlas: Agent) -> None:
    run = dispatch.start(alice, "Hello", agent=atlas).run
    called(atlas, "filesystem.read", {"path": "a.txt"}, 3, run_id=run.pk)
    called(atlas, "filesystem.read", {"path": "b.txt"}, 2)
    called(atlas, "filesystem.read", {"path": "old.txt"}, days_ago=30)

    outcome = tried(alice, atlas, {"tool": "filesystem.read", "tier": "block", "condition": "path", "pattern": "a.txt"})

    assert (outcome.calls, outcome.newly_blocked, outcome.newly_asked, outcome.unclear) == (5, 3, 0, 0)
    [change] = outcome.changes
    assert (change.tool, change.before, change.after, change.count) == ("filesystem.read", "allow", "block", 3)
    assert change.run_id == run.pk
    assert [(share.name, share.newly_blocked) for share in outcome.by_person] == [("alice", 3)]
    assert [(share.name, share.newly_blocked) for share in outcome.by_agent] == [("atlas", 3)]
    assert not ToolRule.objects.exists()


def test_rules_of_the_agent_that_the_draft_leaves_out_count_no_more(alice: User, atlas: Agent) -> None:
    called(atlas, "filesystem.read", {"path": "a.txt"}, 4)
    rules.put(alice, atlas, tool="filesystem.*", tier="block")

    outcome = tried(alice, atlas)

    assert (outcome.newly_allowed, outcome.newly_blocked) == (4, 0)
    assert tried(alice, atlas, {"tool": "filesystem.*", "tier": "ask"}).newly_asked == 4


def test_a_draft_of_the_site_is_tried_on_every_agent(ada: User, alice: User, atlas: Agent) -> None:
    called(atlas, "filesystem.read", {"path": "a.txt"}, 2)

    assert tried(ada, None, {"tool": "*", "tier": "block"}).newly_blocked == 2
    with pytest.raises(LogosError, match="Your role does not include"):
        tried(alice, None, {"tool": "*", "tier": "block"})


def test_what_can_be_read_no_more_is_counted_apart(alice: User, atlas: Agent) -> None:
    called(atlas, "filesystem.read", {"path": "\x00"}, 2)
    called(atlas, "gone.tool", {}, 3)

    outcome = tried(alice, atlas, {"tool": "*", "tier": "block"})

    assert (outcome.calls, outcome.unclear) == (0, 5)


@pytest.mark.parametrize(
    "draft",
    [
        {"tool": "moon.walk", "tier": "ask"},
        {"tool": "*", "tier": "perhaps"},
        {"tool": "*", "tier": "ask", "condition": "path"},
        {"tool": "*", "tier": "ask", "wish": 1},
        {"tier": "ask"},
        {"tool": "*", "tier": "ask", "per_minute": 0},
    ],
)
def test_a_draft_that_no_rule_can_be_is_refused(alice: User, atlas: Agent, draft: dict) -> None:
    with pytest.raises(Invalid, match="Rule 1"):
        tried(alice, atlas, draft)


def test_others_try_nothing_on_an_agent_they_do_not_manage(bob: User, mallory: User, atlas: Agent) -> None:
    called(atlas, "filesystem.read", {"path": "secret-plan.txt"})
    for stranger in (bob, mallory):
        with pytest.raises(NotFound):
            tried(stranger, atlas, {"tool": "*", "tier": "block"})
        Program(stranger).post("tool-rules/what-if", {"agent_id": atlas.pk, "rules": []}, 404)


def test_a_manager_by_grant_does_not_read_whose_runs_they_were(bob: User, alice: User, atlas: Agent) -> None:
    permissions.grant(bob, "manage", atlas)
    run = dispatch.start(alice, "Hello", agent=atlas).run
    called(atlas, "filesystem.read", {"path": "a.txt"}, run_id=run.pk)

    outcome = tried(bob, atlas, {"tool": "*", "tier": "block"})

    assert outcome.newly_blocked == 1
    assert outcome.changes[0].run_id == ""
    assert [share.name for share in outcome.by_person] == ["nobody you see"]


def test_the_same_by_program_and_from_a_shell(ada: User, atlas: Agent, tmp_path: Path) -> None:
    called(atlas, "filesystem.read", {"path": "a.txt"}, 2)
    draft = [{"tool": "filesystem.*", "tier": "ask"}]

    told = Program(ada).post("tool-rules/what-if", {"agent_id": atlas.pk, "rules": draft})
    assert (told["newly_asked"], told["changes"][0]["after"]) == (2, "ask")
    file = tmp_path / "draft.json"
    file.write_text(json.dumps(draft))
    ended = shell.run("what-if", "atlas", "--tools", "--file", str(file))
    assert (ended.code, "2 asked for" in ended.said) == (3, True)
    file.write_text("[1]")
    assert shell.run("what-if", "atlas", "--tools", "--file", str(file)).code == 1


def test_many_equal_calls_cost_the_same_queries(
    alice: User, atlas: Agent, django_assert_max_num_queries: object
) -> None:
    called(atlas, "filesystem.read", {"path": "a.txt"}, 60)

    with django_assert_max_num_queries(12):  # type: ignore[operator]
        assert tried(alice, atlas, {"tool": "*", "tier": "block"}).newly_blocked == 60


def test_the_page_shows_it_begins_with_the_rules_that_hold_and_keeps_the_draft(
    alice: User, atlas: Agent, browser: Callable[..., Client]
) -> None:
    called(atlas, "filesystem.read", {"path": "a.txt"}, 3)
    rules.put(alice, atlas, tool="git.*", tier="ask")
    rules.put(alice, atlas, tool="filesystem.*", tier="block", condition="path", pattern="secrets")
    client, path = browser(alice), f"/agents/{atlas.pk}/tools/what-if/"

    begun = client.get(path).content.decode()
    assert "ask git.*" in begun
    assert "block filesystem.* path" in begun
    shown = client.post(path, {"rules": "block filesystem.read path a.txt", "days": "7"}).content.decode()
    assert "3 calls would be blocked, 0 asked for, 0 more would run" in shown
    assert "block filesystem.read path a.txt</textarea>" in shown
    assert ToolRule.objects.count() == 2
    assert "What if" in client.get(f"/agents/{atlas.pk}/tools/").content.decode()
    # All rules gone: nothing recorded fell under them.
    assert "Nothing would be judged otherwise" in client.post(path, {"rules": "", "days": ""}).content.decode()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"rules": "perhaps git.*"}, "Line 1 is no rule for tools."),
        ({"rules": "ask git.*\nask filesystem.read path"}, "Line 2 does not say which path"),
        ({"rules": "ask moon.walk"}, "Rule 1: There is no such tool."),
        ({"rules": "[1]"}, "A draft of tool rules is a list"),
        ({"rules": "ask git.*", "days": "1000"}, "90"),
    ],
)
def test_a_draft_on_the_page_that_no_rule_can_be_is_kept_and_told(
    alice: User, atlas: Agent, browser: Callable[..., Client], typed: dict, said: str
) -> None:
    shown = browser(alice).post(f"/agents/{atlas.pk}/tools/what-if/", typed)

    assert shown.status_code == 400
    assert said in unescape(shown.content.decode())
    assert typed["rules"] in unescape(shown.content.decode())


def test_the_site_s_page_is_for_admins_and_an_agent_s_for_who_manages_it(
    ada: User, bob: User, mallory: User, atlas: Agent, browser: Callable[..., Client]
) -> None:
    assert browser(ada).post("/tools/what-if/", {"rules": "ask *"}).status_code == 200
    for stranger in (bob, mallory):
        assert browser(stranger).get(f"/agents/{atlas.pk}/tools/what-if/").status_code == 404
        assert browser(stranger).post("/tools/what-if/", {"rules": "ask *"}).status_code in (403, 404)


def test_lines_written_are_read_back_as_the_same_rules(alice: User, atlas: Agent) -> None:
    rules.put(alice, atlas, tool="process.run", tier="ask", condition="command", pattern="git push *")
    rules.put(alice, atlas, tool="*", tier="notify")

    text = drafts.write(rules.rows_of(atlas))

    told = {(each["tier"], each["tool"], each.get("pattern", "")) for each in drafts.read(text)}
    assert told == {("ask", "process.run", "git push *"), ("notify", "*", "")}
