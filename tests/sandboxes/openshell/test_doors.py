"""The OpenShell document of policies and agents, by page, file, API and command: for who may see the rules, whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agents import agent_secrets, permissions, policies, rule_lines
from agents.models import Agent, AgentCapability, Policy, Preset, User
from sandboxes.openshell import schema
from sandboxes.openshell.of_rows import of_agent, of_policy
from tests import shell
from tests.api_client import Program
from tests.sandboxes.openshell.reading import allows, read

Browser = Callable[..., Client]


@pytest.fixture
def policy(ada: User, atlas: Agent) -> Policy:
    made = policies.create(ada, "Python packages", rule_lines.read("pypi.org by /usr/bin/pip as packages"))
    atlas.policies.add(made)
    return made


@pytest.fixture
def partly(ada: User) -> Policy:
    return policies.create(ada, "Corp", rule_lines.read("*.corp.example\ndeny secret.corp.example"))


def test_the_page_shows_the_document_and_what_differs(browser: Browser, ada: User, policy: Policy) -> None:
    page = browser(ada).get(f"/policies/{policy.pk}/openshell/").content.decode()

    assert "Every rule can be said" in page
    assert "host: pypi.org" in page
    assert "enforcement: enforce" in page
    assert "private address" in page
    assert "Left out" not in page
    assert f"/policies/{policy.pk}/openshell/policy.yaml" in page
    assert f"/policies/{policy.pk}/openshell/" in browser(ada).get(f"/policies/{policy.pk}/").content.decode()


def test_the_page_says_what_is_left_out(browser: Browser, ada: User, partly: Policy) -> None:
    page = browser(ada).get(f"/policies/{partly.pk}/openshell/").content.decode()

    assert "Left out" in page
    assert "secret.corp.example denies a part of it" in page
    assert "Name the hosts you need" in page
    assert "Every rule can be said" not in page


def test_the_file_is_the_whole_document_and_says_its_notes(browser: Browser, ada: User, partly: Policy) -> None:
    answer = browser(ada).get(f"/policies/{partly.pk}/openshell/policy.yaml")

    assert answer["Content-Disposition"] == 'attachment; filename="corp.openshell.yaml"'
    assert answer["Content-Type"].startswith("application/yaml")
    text = answer.content.decode()
    assert "# left out: *.corp.example on port 443" in text
    assert schema.problems(read(text)) == []


def test_a_name_of_other_letters_still_makes_a_file_name(browser: Browser, ada: User, policy: Policy) -> None:
    policies.change(ada, policy.pk, policy.version, name='日本 "; x\\')

    answer = browser(ada).get(f"/policies/{policy.pk}/openshell/policy.yaml")

    assert answer["Content-Disposition"] == 'attachment; filename="x.openshell.yaml"'


def test_an_agents_document_has_all_its_policies_limits_and_no_secret(
    browser: Browser, alice: User, ada: User, atlas: Agent, policy: Policy, partly: Policy
) -> None:
    for each in (policy, partly):
        permissions.grant(alice, "view", each)
    atlas.policies.add(partly)
    atlas.limits = {"memory_mb": 512}
    atlas.save()
    page = browser(alice).get(f"/agents/{atlas.pk}/openshell/").content.decode()

    assert "memory 512 MiB" in page
    assert "pypi.org" in page
    assert "Left out" in page
    assert "when it makes the sandbox" in page


def test_where_a_capability_leads_by_a_secret_is_not_shown(ada: User, atlas: Agent) -> None:
    agent_secrets.put(ada, atlas, "HASS_URL", "https://home.hidden.example:8443")
    AgentCapability.objects.create(agent=atlas, key="smart-home", agreed_version=1, consented_by=ada)

    told = of_agent(ada, atlas).as_yaml("x")

    assert "Where HASS_URL leads is a secret" in told
    assert "hidden.example" not in told


def test_a_policy_the_reader_may_not_see_closes_the_agents_document(
    browser: Browser, alice: User, atlas: Agent, policy: Policy
) -> None:
    client = browser(alice)

    page = client.get(f"/agents/{atlas.pk}/openshell/")
    api = Program(alice)("GET", f"agents/{atlas.pk}/openshell")

    assert (page.status_code, api.status_code) == (200, 409)
    assert "a policy you may not see" in page.content.decode()
    assert api.json()["error"]["reason"] == "hidden_policy"
    for text in (page.content.decode(), api.content.decode()):
        assert "pypi.org" not in text
        assert "Python packages" not in text
    file = client.get(f"/agents/{atlas.pk}/openshell/policy.yaml")
    assert file.status_code == 409
    assert "pypi.org" not in file.content.decode()


@pytest.mark.parametrize("who", ["bob", "mallory"])
def test_who_may_not_see_the_policy_finds_nothing(
    browser: Browser, request: pytest.FixtureRequest, policy: Policy, who: str
) -> None:
    user = request.getfixturevalue(who)

    assert browser(user).get(f"/policies/{policy.pk}/openshell/").status_code == 404
    assert browser(user).get(f"/policies/{policy.pk}/openshell/policy.yaml").status_code == 404
    assert Program(user)("GET", f"policies/{policy.pk}/openshell").status_code == 404


def test_the_api_tells_the_same(ada: User, atlas: Agent, policy: Policy, partly: Policy) -> None:
    program = Program(ada)
    one = program.get(f"policies/{policy.pk}/openshell")
    half = program.get(f"policies/{partly.pk}/openshell")
    agent = program.get(f"agents/{atlas.pk}/openshell")

    assert one["is_whole"]
    assert one["document"] == read(one["yaml"]) == of_policy(policy).document
    assert allows(one["document"], "pypi.org", 443, "/usr/bin/pip")
    assert not half["is_whole"]
    assert [note["kind"] for note in half["notes"]] == ["left out", "elsewhere"]
    assert half["notes"][0]["rule"] == f"{partly.pk}/*.corp.example"
    assert agent["document"]["network_policies"].keys() == one["document"]["network_policies"].keys()


def test_a_policy_that_cannot_be_read_is_an_empty_document_that_says_so(ada: User, policy: Policy) -> None:
    Policy.objects.filter(pk=policy.pk).update(rules=[{"hosts": ["10.0.0.1"]}])

    told = Program(ada).get(f"policies/{policy.pk}/openshell")

    assert told["document"]["network_policies"] == {}
    assert "cannot be used" in told["notes"][0]["sentence"]


def test_the_command_writes_the_file_and_says_what_is_left_out(ada: User, policy: Policy, partly: Policy) -> None:
    whole = shell.run("openshell", "policy", "Python packages")
    half = shell.run("openshell", "policy", partly.pk)
    agent = shell.run("openshell", "agent", "atlas", "--json")

    assert whole.code == 0
    assert schema.problems(read(whole.out)) == []
    assert half.code == 3
    assert "left out: *.corp.example on port 443 is left out" in half.said
    assert agent.json["is_whole"]
    assert shell.run("openshell", "policy", "nothing").code == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\nversion: 1\n", "twice"),
        ("version: [1", "no YAML"),
        ("a: &x 1\nb: *x\n", "alias"),
        ("!!python/object/apply:os.system ['true']", "no YAML"),
        ("version: 2\n", "version must be 1"),
        ("? [a]\n: 1\n", "no YAML"),
        ("- version: 1\n", "no mapping"),
    ],
)
def test_a_file_with_two_readings_or_a_wrong_word_is_not_good(db: None, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "policy.yaml").write_text(text)

    result = shell.run("openshell", "check", str(tmp_path / "policy.yaml"))

    assert result.code == 1
    assert said in result.out + result.said


def test_what_is_written_is_good_to_the_check(ada: User, policy: Policy, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(shell.run("openshell", "policy", policy.pk).out)

    assert shell.run("openshell", "check", str(tmp_path / "policy.yaml")).code == 0
    assert shell.run("openshell", "check", str(tmp_path / "none.yaml")).code == 1


def test_the_page_costs_the_same_however_many_policies_there_are(
    browser: Browser, ada: User, atlas: Agent, policy: Policy, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(8):
        atlas.policies.add(policies.create(ada, f"More {number}", rule_lines.read(f"h{number}.example")))
    client = browser(ada)

    with django_assert_max_num_queries(14):
        page = client.get(f"/agents/{atlas.pk}/openshell/")
    assert b"h7.example" in page.content


def test_a_page_stays_light_and_the_file_whole(browser: Browser, ada: User, policy: Policy) -> None:
    many = "\n".join(f"host-{number}.example, other-{number}.example : 443, 80" for number in range(900))
    policies.change(ada, policy.pk, policy.version, rules=policies.clean_rules(rule_lines.read(many)))
    client = browser(ada)

    page = client.get(f"/policies/{policy.pk}/openshell/")

    assert len(page.content) < 60_000
    assert "This is the beginning" in page.content.decode()
    assert "other-899.example" in client.get(f"/policies/{policy.pk}/openshell/policy.yaml").content.decode()


def test_every_preset_that_comes_with_logos_can_be_said_whole(ada: User) -> None:
    everything = policies.create(ada, "Everything", preset_ids=Preset.objects.values_list("pk", flat=True))

    made = of_policy(everything)

    assert made.is_whole
    assert schema.problems(made.document) == []
    assert len(made.document["network_policies"]) >= Preset.objects.count() > 10
