"""What a run was permitted: frozen rules, walls, what is otherwise now, one connection tried; for whom it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agents import agent_secrets, permissions, policies, preset_library, rule_lines
from agents.models import Agent, AgentCapability, Policy, User
from runs import permitted
from runs.models import Run
from tests import shell
from tests.api_client import Program
from tests.runs.acting import ask, finished, play

Browser = Callable[..., Client]

LAYERS = ["userns", "mnt", "pid", "net", "ipc", "uts", "seccomp", "landlock:7", "memory:cgroup2", "cpu:nice"]


@pytest.fixture
def policy(ada: User, alice: User, atlas: Agent) -> Policy:
    made = policies.create(ada, "Packages", rule_lines.read("pypi.org by /usr/bin/pip\ndeny evil.example"))
    permissions.grant(alice, "view", made)
    atlas.policies.add(made)
    return made


@pytest.fixture
def run(alice: User, atlas: Agent, policy: Policy) -> Run:
    return play(ask(alice, atlas), [("run.started", {"layers": LAYERS})])


def edited(ada: User, policy: Policy, text: str) -> None:
    policy.refresh_from_db()
    policies.change(ada, policy.pk, policy.version, rules=policies.clean_rules(rule_lines.read(text)))


def test_rules_stay_as_they_were_and_what_changed_since_is_told(ada: User, run: Run, policy: Policy) -> None:
    edited(ada, policy, "pypi.org by /usr/bin/pip\nfiles.example")

    had = permitted.told(ada, run)

    assert [(source.name, source.lines) for source in had.sources] == [
        ("Packages", ("pypi.org by /usr/bin/pip", "deny evil.example"))
    ]
    assert (had.added, had.removed, had.is_as_now) == (("files.example",), ("deny evil.example",), False)


def test_a_policy_that_is_gone_or_renamed_is_told_as_it_is(ada: User, run: Run, atlas: Agent, policy: Policy) -> None:
    policies.change(ada, policy.pk, policy.version, name="Python")
    assert permitted.told(ada, run).sources[0].name == "Python"

    atlas.policies.clear()
    policies.remove(ada, policy.pk)

    had = permitted.told(ada, Run.objects.get(pk=run.pk))
    assert (had.sources[0].name, had.sources[0].url) == (permitted.GONE, "")
    assert had.removed == had.sources[0].lines


def test_a_deleted_agent_is_compared_with_nothing(ada: User, run: Run, atlas: Agent) -> None:
    atlas.mark_deleted()

    had = permitted.told(ada, Run.objects.get(pk=run.pk))

    assert (had.added, had.removed) == (None, None)


def test_an_older_record_says_that_it_has_hosts_alone(ada: User, run: Run) -> None:
    run.stamp = {**run.stamp, "permissions": {"driver": "local", "hosts": ["pypi.org"], "approvals": "manual"}}
    run.save()

    had = permitted.told(ada, run)

    assert (had.has_rules, had.hosts, had.sources, had.added) == (False, ("pypi.org",), (), None)
    assert Program(ada)("GET", f"runs/{run.pk}/reach?host=pypi.org").json()["error"]["reason"] == "no_rules"


@pytest.mark.parametrize("stamp", [{}, {"permissions": None}, {"permissions": {"rules": []}}])
def test_a_record_with_nothing_in_it_is_no_error(ada: User, browser: Browser, run: Run, stamp: dict) -> None:
    Run.objects.filter(pk=run.pk).update(stamp=stamp)

    assert browser(ada).get(f"/runs/{run.pk}/permissions/").status_code == 200


def test_the_walls_are_those_of_the_last_start(ada: User, run: Run) -> None:
    play(run, [("run.started", {"layers": [*LAYERS[:-2], "memory:guard", "cpu:nice"]})])

    walls = {wall.name: wall for wall in permitted.told(ada, run).walls}

    assert not walls["Memory"].is_up
    assert walls["System calls"].is_up


def test_the_page_shows_rules_walls_and_what_changed(browser: Browser, ada: User, alice: User, run: Run, policy: Policy) -> None:  # fmt: skip
    edited(ada, policy, "files.example")

    page = browser(alice).get(f"/runs/{run.pk}/permissions/").content.decode()

    assert "pypi.org by /usr/bin/pip" in page
    assert "files.example" in page
    assert "ABI 7" in page
    assert "weaker" in page
    assert f"/policies/{policy.pk}/" in page
    assert f"/runs/{run.pk}/permissions/" in browser(alice).get(f"/runs/{run.pk}/").content.decode()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("host=pypi.org&port=443&binary=/usr/bin/pip", "The rule pypi.org allows it."),
        ("host=pypi.org&port=443&binary=/usr/bin/curl", "for other programs"),
        ("host=evil.example&port=443", "denies evil.example"),
        ("host=pypi.org&port=0", "A port is a number"),
        ("host=10.0.0.1&port=443", "is not a host name"),
        ("host=%00&port=443", "Would it have been let through?"),
    ],
)
def test_one_connection_is_tried_on_the_frozen_rules(
    browser: Browser, ada: User, alice: User, run: Run, policy: Policy, query: str, said: str
) -> None:
    edited(ada, policy, "other.example")

    assert said in browser(alice).get(f"/runs/{run.pk}/permissions/?{query}").content.decode()


def test_who_may_not_see_the_policy_is_told_no_rule_of_it(
    browser: Browser, bob: User, atlas: Agent, policy: Policy
) -> None:
    run = play(ask(bob, atlas), [("run.started", {"layers": LAYERS})])

    page = browser(bob).get(f"/runs/{run.pk}/permissions/?host=pypi.org&port=443").content.decode()
    told = Program(bob).get(f"runs/{run.pk}/permissions")
    tried = Program(bob)("GET", f"runs/{run.pk}/reach?host=pypi.org")

    assert "policies that you may not see" in page
    assert "Packages" not in page
    assert "evil.example" not in page
    assert "/usr/bin/pip" not in page
    assert (told["hides"], told["sources"], told["added"], told["removed"]) == (True, [], [], [])
    assert tried.json()["error"]["reason"] == "hidden_policy"
    now = Program(bob).get(f"agents/{atlas.pk}/reach?host=pypi.org")
    assert (now["allowed"], now["rule"]) == (False, "")
    assert "pip" not in now["reason"]


def test_all_rules_of_an_agent_are_tried_on_a_page(
    browser: Browser, alice: User, bob: User, mallory: User, atlas: Agent, policy: Policy
) -> None:
    path = f"/agents/{atlas.pk}/reach/try/"

    page = browser(alice).get(f"{path}?host=pypi.org&port=443&binary=/usr/bin/pip").content.decode()
    hidden = browser(bob).get(f"{path}?host=evil.example&port=443").content.decode()

    assert "The rule pypi.org allows it." in page
    assert "You may not see all its policies" in hidden
    assert "denies evil.example" not in hidden
    assert path in browser(alice).get(f"/agents/{atlas.pk}/reach/").content.decode()
    assert browser(mallory).get(path).status_code == 404


def test_a_preset_is_named_beside_its_policy(ada: User, alice: User, atlas: Agent, policy: Policy) -> None:
    preset = preset_library.create(ada, "Mirrors", rule_lines.read("mirror.example"), id="mirrors")
    policies.change(ada, policy.pk, policy.version, preset_ids=[preset.pk])

    run = ask(alice, atlas)
    preset_library.change(ada, preset.pk, preset.version, rules=rule_lines.read("other.example"))

    had = permitted.told(ada, run)
    assert [source.name for source in had.sources] == ["Packages", "Packages, by the preset mirrors"]
    assert (had.added, had.removed) == (("other.example",), ("mirror.example",))
    assert permitted.attempt(ada, run, "mirror.example", 443).allowed


def test_a_stranger_finds_nothing(browser: Browser, mallory: User, run: Run, atlas: Agent) -> None:
    assert browser(mallory).get(f"/runs/{run.pk}/permissions/").status_code == 404
    for path in (f"runs/{run.pk}/permissions", f"runs/{run.pk}/reach", f"agents/{atlas.pk}/reach"):
        assert Program(mallory)("GET", path).status_code == 404


def test_the_api_tells_the_same_and_names_the_rule(ada: User, run: Run, atlas: Agent, policy: Policy) -> None:
    program = Program(ada)
    edited(ada, policy, "pypi.org")

    told = program.get(f"runs/{run.pk}/permissions")
    then = program.get(f"runs/{run.pk}/reach?host=pypi.org&binary=/usr/bin/curl")
    now = program.get(f"agents/{atlas.pk}/reach?host=pypi.org&binary=/usr/bin/curl")
    alone = program.get(f"policies/{policy.pk}/reach?host=pypi.org")

    assert told["layers"] == LAYERS
    assert told["driver"]
    assert told["removed"] == ["pypi.org by /usr/bin/pip", "deny evil.example"]
    assert not then["allowed"]
    assert now == {"allowed": True, "rule": f"{policy.pk}/pypi.org", "reason": "The rule pypi.org allows it."}
    assert alone["allowed"]


def test_where_a_capability_led_is_named_by_it_and_a_secret_address_is_not_told(
    ada: User, alice: User, atlas: Agent
) -> None:
    agent_secrets.put(ada, atlas, "HASS_URL", "https://home.hidden.example:8443")
    for key in ("github", "smart-home"):
        AgentCapability.objects.create(agent=atlas, key=key, agreed_version=1, consented_by=ada)

    had = permitted.told(ada, finished(alice, atlas))

    assert {source.name for source in had.sources} == {"GitHub, a capability", "Smart home, a capability"}
    lines = [line for source in had.sources for line in source.lines]
    assert "the address in HASS_URL" in lines
    assert not any("hidden.example" in line for line in lines)
    assert had.is_as_now


def test_commands_tell_the_same(ada: User, run: Run, policy: Policy) -> None:
    told = shell.run("runs", "permissions", run.pk)
    edited(ada, policy, "pypi.org")

    assert "Packages\n  pypi.org by /usr/bin/pip\n  deny evil.example\n" in told.out
    assert "up      Namespaces" in told.out
    assert "weaker  Processor time" in told.out
    assert "gone since: deny evil.example" in shell.run("runs", "permissions", run.pk).out
    assert shell.run("runs", "permissions", run.pk, "--json").json["driver"]
    assert shell.run("egress", "try", "atlas", "pypi.org").out == "let through: The rule pypi.org allows it.\n"
    refused = shell.run("egress", "try", "atlas", "evil.example", "443", "--by", "/usr/bin/pip")
    assert (refused.code, refused.out) == (1, "refused: No rule names evil.example.\n")


def test_the_page_costs_the_same_however_many_policies_there_were(
    browser: Browser, ada: User, alice: User, atlas: Agent, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(8):
        atlas.policies.add(policies.create(ada, f"More {number}", rule_lines.read(f"h{number}.example")))
    run, client = finished(alice, atlas), browser(ada)

    with django_assert_max_num_queries(16):
        page = client.get(f"/runs/{run.pk}/permissions/")
    assert b"h7.example" in page.content
