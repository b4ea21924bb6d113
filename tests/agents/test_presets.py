"""Presets: what comes with Logos, how rows follow it, what counts for whom, who uses one, and every way to change one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from agents import hosts, permissions, policies, preset_library, presets, reaching, rule_lines
from agents.editing import Stale
from agents.errors import Conflict, Invalid, LogosError
from agents.models import Agent, Policy, Preset, PresetCategory, Role, User, Visibility
from agents.past import reverting
from agents.presets import Shipped
from agents.reach import parse
from tests import shell
from tests.api_client import Program
from tests.conftest import person
from tests.rules import rules

Browser = Callable[..., Client]


@pytest.fixture
def policy(ada: User, atlas: Agent) -> Policy:
    """One that includes the preset of Python packages, of an agent."""
    made = policies.create(ada, "Build", rules("own.example"), preset_ids=["python-packages"])
    atlas.policies.add(made)
    return made


def text(answer: Any) -> str:
    return str(answer.content.decode())


# What comes with Logos ---------------------------------------------------------------------------


def test_every_shipped_preset_is_sound_and_there_is_one_of_each_kind() -> None:
    every = presets.every()

    assert {each.category for each in every} == {*PresetCategory.values} - {"other"}
    assert len({each.name for each in every}) == len(every) >= 20
    for each in every:
        assert parse(list(each.rules))
        assert each.description
        assert {rule["effect"] for rule in each.rules} == {"allow"}
        for rule in each.rules:
            assert set(rule["ports"]) <= {80, 443}
            # Plain HTTP only for what checks signatures itself.
            assert 80 not in rule["ports"] or rule["binaries"] == ["/usr/lib/apt/methods/*"]
            assert [hosts.pattern(host) for host in rule["hosts"]] == rule["hosts"]
    assert rule_lines.write(list(presets.get("python-packages").rules)) == (
        "pypi.org as index\nfiles.pythonhosted.org as files"
    )


@pytest.mark.parametrize("odd", [
    "a: 1\na: 2", "a: &x [1]\nb: *x", "1: 2", "<<: {a: 1}", "a: !!python/name:os.system", "a: [", "a: {b: 1, b: 2}",
    "? [a]\n: 1", "[" * 5_000,
])  # fmt: skip
def test_yaml_with_two_readings_is_refused(odd: str) -> None:
    with pytest.raises(Invalid):
        presets.loads(odd)


def test_the_library_is_there_from_the_first_migration_on(db: None) -> None:
    assert set(Preset.objects.values_list("pk", flat=True)) == {each.slug for each in presets.every()}
    assert not any(preset_library.is_edited(preset) for preset in Preset.objects.all())


def shipping(monkeypatch: pytest.MonkeyPatch, *changed: Shipped) -> None:
    """A later version of Logos ships these."""
    monkeypatch.setattr(presets, "every", lambda: changed)


def test_an_upgrade_changes_what_nobody_touched_and_nothing_else(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    preset_library.change(ada, "slack", 1, rules=rules("mine.example"))
    preset_library.remove(ada, "discord")
    home = preset_library.create(ada, "Made here", rules("home.example"), id="newcomer")
    newer = [
        Shipped(slug, f"Newer {slug}", "messaging", "", tuple(rules(f"{slug}.example")))
        for slug in ("telegram", "slack", "discord", "newcomer", "fresh")
    ]
    shipping(monkeypatch, *newer)

    preset_library.seed(apps=apps)

    told = {preset.pk: preset.hosts for preset in Preset.objects.filter(category__in=["messaging", "other"])}
    assert told["telegram"] == ["telegram.example"]
    assert told["slack"] == ["mine.example"]
    assert told["newcomer"] == home.hosts
    assert told["fresh"] == ["fresh.example"]
    assert "discord" not in told
    record = Preset.history.filter(id="telegram").first()
    assert (record.history_user, record.history_change_reason) == (None, "comes with this version of Logos")
    records = Preset.history.count()
    preset_library.seed(apps=apps)
    assert Preset.history.count() == records, "the same once more is no change"
    assert Preset.history.filter(id="telegram").count() == 2


def test_a_shipped_name_that_is_taken_is_told_apart(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    preset_library.create(ada, "Fresh")
    shipping(monkeypatch, Shipped("fresh-one", "Fresh", "code", "", tuple(rules("fresh.example"))))

    preset_library.seed(apps=apps)
    records = Preset.history.count()
    preset_library.seed(apps=apps)

    assert Preset.objects.get(pk="fresh-one").name == "Fresh (of Logos)"
    assert Preset.history.count() == records


# What counts -------------------------------------------------------------------------------------


def test_the_rules_of_a_preset_count_and_records_name_it(atlas: Agent, policy: Policy) -> None:
    reach = reaching.reach_of(atlas)

    verdict = reach.decide("pypi.org", 443)
    assert (verdict.allowed, verdict.rule) == (True, f"{policy.pk}+python-packages/index")
    assert verdict.reason == "The rule index of the preset python-packages allows it."
    assert reach.decide("own.example", 443).rule == f"{policy.pk}/own.example"
    assert not reach.decide("pypi.org", 80)
    assert policy.hosts == ["own.example", "pypi.org", "files.pythonhosted.org"]
    assert policies.would_reach(policy, "pypi.org", 443)


def test_an_edit_of_a_preset_changes_the_version_of_every_agent_that_has_it(
    ada: User, atlas: Agent, policy: Policy
) -> None:
    before = reaching.version_of(atlas.pk)
    preset_library.change(ada, "github", 1, rules=rules("other.example"))
    assert reaching.version_of(atlas.pk) == before

    preset_library.change(ada, "python-packages", 1, rules=rules("deny pypi.org"))
    edited = reaching.version_of(atlas.pk)
    policies.change(ada, policy.pk, policy.version, preset_ids=[])
    taken = reaching.version_of(atlas.pk)

    assert len({before, edited, taken}) == 3


@pytest.mark.django_db(transaction=True)
def test_a_served_sandbox_hears_of_an_edit_at_once(ada: User, atlas: Agent, policy: Policy) -> None:
    from asgiref.sync import sync_to_async

    from sandboxes.egress.reaches import Reaches

    async def story() -> list[bool]:
        async def db(work: Callable[..., Any], *args: Any) -> Any:
            return await sync_to_async(work)(*args)

        reaches, told = Reaches(db), []
        told.append(bool((await reaches.of(atlas.pk)).decide("pypi.org", 443)))
        await sync_to_async(preset_library.change)(ada, "python-packages", 1, rules=rules("new.example"))
        told.append(bool((await reaches.of(atlas.pk)).decide("pypi.org", 443)))
        told.append(bool((await reaches.of(atlas.pk)).decide("new.example", 443)))
        await sync_to_async(policies.change)(ada, policy.pk, policy.version, preset_ids=["github"])
        told.append(bool((await reaches.of(atlas.pk)).decide("api.github.com", 443)))
        return told

    assert asyncio.run(story()) == [True, False, True, True]


def test_a_preset_that_cannot_be_read_closes_everything(atlas: Agent, policy: Policy) -> None:
    Preset.objects.filter(pk="python-packages").update(rules=[{"hosts": "?"}])

    assert not reaching.reach_of(atlas).decide("own.example", 443)


def test_a_run_records_the_rules_and_where_they_stand(
    ada: User, alice: User, atlas: Agent, policy: Policy, route: Any
) -> None:
    from runs import withheld
    from runs.composing import compose

    stamp = compose(atlas)

    held = {(rule["in"], rule["name"]) for rule in stamp["permissions"]["rules"]}
    assert held == {
        (policy.pk, "own.example"),
        (f"{policy.pk}+python-packages", "index"),
        (f"{policy.pk}+python-packages", "files"),
    }
    assert withheld.told(ada, stamp) == stamp
    hers = withheld.told(alice, stamp)["permissions"]
    assert (hers["rules"], hers["hosts"]) == ([], [withheld.HIDDEN_HOSTS]), "the policy is not hers to see"


# Change ------------------------------------------------------------------------------------------


def test_one_in_use_stays_and_says_who_has_it(ada: User, alice: User, atlas: Agent, policy: Policy) -> None:
    with pytest.raises(Conflict) as refused:
        preset_library.remove(ada, "python-packages")
    assert refused.value.message == "This preset is used by the policy Build and through them by the agent atlas."

    olga = person("olga", Role.OPERATOR)
    use = preset_library.use_of(olga, Preset.objects.get(pk="python-packages"))
    assert use.sentence == "1 policy you may not see and through them by 1 agent you may not see"
    permissions.grant(olga, "view", policy)
    policies.create(ada, "Second", preset_ids=["python-packages"])
    assert preset_library.use_of(olga, Preset.objects.get(pk="python-packages")).sentence.startswith(
        "the policies Build and 1 more and"
    )

    for held in Policy.objects.all():
        policies.change(ada, held.pk, held.version, preset_ids=[])
    preset_library.remove(ada, "python-packages")
    assert "python-packages" in {each.slug for each in preset_library.missing()}
    assert preset_library.bring_back(ada, "python-packages").hosts == ["pypi.org", "files.pythonhosted.org"]
    assert preset_library.bring_back(ada, "python-packages").version == 1, "two clicks at once bring back one"


def test_only_admins_change_the_library(alice: User) -> None:
    olga = person("olga", Role.OPERATOR)
    for who in (alice, olga):
        for attempt in (
            lambda: preset_library.create(who, "Mine"),  # noqa: B023
            lambda: preset_library.change(who, "github", 1, rules=[]),  # noqa: B023
            lambda: preset_library.restore(who, "github", 1),  # noqa: B023
            lambda: preset_library.bring_back(who, "github"),  # noqa: B023
            lambda: preset_library.remove(who, "github"),  # noqa: B023
        ):
            with pytest.raises(LogosError) as refused:
                attempt()
            assert refused.value.reason in ("forbidden", "not_found")
    assert Preset.objects.get(pk="github").version == 1


def test_nobody_overwrites_what_they_have_not_read(ada: User) -> None:
    preset_library.change(ada, "github", 1, description="First.")

    with pytest.raises(Stale):
        preset_library.change(ada, "github", 1, description="Second.")
    with pytest.raises(Stale):
        preset_library.restore(ada, "github", 1)
    assert preset_library.change(ada, "github", 2, description="First.").version == 2, "nothing differs"
    assert preset_library.is_edited(Preset.objects.get(pk="github"))
    assert not preset_library.is_edited(preset_library.restore(ada, "github", 2))


@pytest.mark.parametrize("fields", [
    {"name": ""}, {"name": "x" * 81}, {"name": "a\u202eb"}, {"category": "none"}, {"description": "x" * 301},
    {"rules": [{"hosts": ["10.0.0.1"]}]}, {"name": "GitHub"}, {"id": "github"}, {"id": "Ünïcode"}, {"id": "-a"},
    {"id": "a" * 41}, {"id": "a\n"}, {"id": "a+b"},
])  # fmt: skip
def test_what_is_not_right_is_refused(ada: User, fields: dict[str, Any]) -> None:
    with pytest.raises((Invalid, Conflict)):
        preset_library.create(ada, **{"name": "Fine", **fields})


def test_two_who_bring_the_same_back_at_once_find_it_there(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    preset_library.remove(ada, "slack")
    take = preset_library._take

    def somebody_else_first(preset: Preset, came: Shipped) -> Preset:
        monkeypatch.setattr(preset_library, "_take", take)
        preset_library.bring_back(ada, came.slug)
        return take(preset, came)

    monkeypatch.setattr(preset_library, "_take", somebody_else_first)

    assert preset_library.bring_back(ada, "slack").name == "Slack"
    assert Preset.objects.filter(pk="slack").count() == 1


def test_ids_are_made_from_names_and_never_used_again(ada: User) -> None:
    first = preset_library.create(ada, "Größe & Maß")
    preset_library.remove(ada, first.pk)

    assert (first.pk, preset_library.create(ada, "Größe & Maß").pk) == ("groe-ma", "groe-ma-2")
    assert preset_library.create(ada, "日本").pk == "preset"
    preset_library.remove(ada, "telegram")
    assert preset_library.create(ada, "telegram").pk == "telegram-2"


def test_the_past_of_a_policy_and_a_preset_comes_back(ada: User, policy: Policy) -> None:
    policies.change(ada, policy.pk, policy.version, preset_ids=["github"], rules=[])
    records = policy.history.count()

    reverting.revert(ada, "policy", policy.pk, records - 1, records)
    reread = Policy.objects.get(pk=policy.pk)
    assert ([each.pk for each in reread.presets.all()], reread.hosts[0]) == (["python-packages"], "own.example")

    preset_library.change(ada, "slack", 1, rules=[])
    reverting.revert(ada, "preset", "slack", 1)
    assert "slack.com" in Preset.objects.get(pk="slack").hosts


# Pages, programs, shell --------------------------------------------------------------------------


def test_pages_show_the_library_and_admins_change_it(
    browser: Browser, ada: User, alice: User, atlas: Agent, policy: Policy
) -> None:
    client = browser(ada)
    listed = text(client.get("/presets/"))
    for words in ("Code hosts", "Package indexes", "Messaging", "Search", "Model hubs", "Telegram", "New preset"):
        assert words in listed, words
    page = text(client.get("/presets/python-packages/"))
    assert "Build" in page
    assert "atlas" in page
    sent = {"name": "Python packages", "category": "packages", "description": "", "rules": "pypi.org", "version": 1}

    assert client.post("/presets/python-packages/", sent).status_code == 302
    assert "edited" in text(client.get("/presets/"))
    stale = client.post("/presets/python-packages/", {**sent, "rules": "mine.example"})
    assert stale.status_code == 409
    assert "mine.example" in text(stale)
    wrong = client.post("/presets/python-packages/", {**sent, "version": 2, "rules": "10.0.0.1"})
    assert wrong.status_code == 400
    assert "10.0.0.1" in text(wrong)
    shown = text(client.get("/presets/python-packages/shipped/"))
    assert "<ins>" in shown
    assert "pythonhosted" in shown
    assert client.post("/presets/python-packages/shipped/", {"version": 1}).status_code == 409
    assert client.post("/presets/python-packages/shipped/", {"version": 2}).status_code == 302
    refused = client.post("/presets/python-packages/delete/")
    assert refused.status_code == 409
    assert "used by the policy Build" in text(refused)
    assert client.post("/presets/github/delete/").status_code == 302
    assert "Add it again" in text(client.get("/presets/"))
    assert client.post("/presets/back/", {"slug": "github"}).status_code == 302
    assert client.post("/presets/back/", {"slug": "nothing"}).status_code == 404
    new = {"name": "Ours", "category": "other", "rules": "ours.example"}
    assert client.post("/presets/new/", new).url == "/presets/ours/"
    assert client.post("/presets/new/", new).status_code == 400
    assert client.get("/presets/ours/shipped/").status_code == 404


def test_others_read_it_and_learn_nothing_of_who_uses_it(
    browser: Browser, alice: User, atlas: Agent, policy: Policy
) -> None:
    client = browser(alice)
    page = text(client.get("/presets/python-packages/"))

    assert "pypi.org" in page
    assert "Build" not in page
    assert "New preset" not in text(client.get("/presets/"))
    mallory = text(browser(person("marvin")).get("/presets/python-packages/"))
    assert "Policies you may not see" in mallory
    assert "atlas" not in mallory
    sent = {"name": "x", "category": "other", "rules": "", "version": 1}
    assert client.post("/presets/python-packages/", sent).status_code == 404
    assert client.post("/presets/python-packages/delete/").status_code == 404
    assert client.post("/presets/python-packages/what-if/", sent).status_code == 404
    assert client.get("/history/preset/python-packages/").status_code == 404
    assert Preset.objects.get(pk="python-packages").version == 1


def test_a_policy_includes_presets_by_its_form(browser: Browser, ada: User, policy: Policy) -> None:
    client, path = browser(ada), f"/policies/{policy.pk}/"
    page = text(client.get(path))
    assert 'value="python-packages" id="preset-python-packages" checked' in page
    sent = {"name": "Build", "rules": "own.example", "presets": ["github", "slack"], "version": policy.version}

    assert client.post(path, sent).status_code == 302

    assert {each.pk for each in policy.presets.all()} == {"github", "slack"}
    assert policy.history.count() == 3, "one more record for one more save"
    stale = client.post(path, {**sent, "presets": ["telegram"], "rules": "mine.example"})
    assert stale.status_code == 409
    assert 'id="preset-telegram" checked' in text(stale)
    assert "mine.example" in text(stale)
    assert client.post(path, {**sent, "version": policy.version + 1, "presets": ["nothing"]}).status_code == 400
    assert "2 presets" in text(client.get("/policies/"))
    made = client.post("/policies/new/", {"name": "N", "rules": "", "visibility": "private", "presets": ["tavily"]})
    assert made.status_code == 302
    assert Policy.objects.get(name="N").hosts == ["api.tavily.com"]
    history = text(client.get(f"/history/policy/{policy.pk}/"))
    assert "GitHub" in history


def test_who_sees_a_policy_sees_which_presets_it_includes(browser: Browser, alice: User, policy: Policy) -> None:
    policy.visibility = Visibility.SHARED
    policy.save()

    assert "/presets/python-packages/" in text(browser(alice).get(f"/policies/{policy.pk}/"))


def test_programs_keep_the_library(ada: User, alice: User, policy: Policy) -> None:
    program, hers = Program(ada), Program(alice)
    body = {"name": "Ours", "category": "search", "rules": [{"hosts": ["ours.example"]}]}

    made = program("POST", "presets", body)
    assert (made.status_code, made.json()["id"], made.json()["is_shipped"]) == (201, "ours", False)
    assert {each["id"] for each in hers.get("presets?category=search")["items"]} > {"ours", "tavily"}
    assert hers.get("presets/ours")["rules"][0]["hosts"] == ["ours.example"]
    assert hers("POST", "presets", body).status_code == 403
    assert hers("PATCH", "presets/ours", {"version": 1, "rules": []}).status_code == 404
    assert hers("GET", "presets/ours/use").status_code == 404
    assert program("PATCH", "presets/ours", {"version": 1, "rules": []}).json()["version"] == 2
    assert program("PATCH", "presets/ours", {"version": 1, "rules": []}).status_code == 409
    assert program("POST", "presets/ours/restore", {"version": 2}).status_code == 404
    assert program.get("presets/python-packages/use")["policies"][0]["name"] == "Build"
    in_use = program("DELETE", "presets/python-packages").json()["error"]
    assert (in_use["reason"], "Build" in in_use["message"]) == ("in_use", True)
    assert program("DELETE", "presets/ours").status_code == 204
    patched = program("PATCH", f"policies/{policy.pk}", {"version": policy.version, "preset_ids": ["github"]})
    assert patched.json()["preset_ids"] == ["github"]
    again = {"version": policy.version + 1, "preset_ids": ["nothing"]}
    assert program("PATCH", f"policies/{policy.pk}", again).json()["error"]["field"] == "preset_ids"


def test_from_a_shell(ada: User, policy: Policy) -> None:
    assert "python-packages" in shell.run("presets", "list", "--category", "packages").out
    assert shell.run("presets", "list", "--json").json[0]["is_shipped"] is True
    shown = shell.run("presets", "show", "python-packages")
    assert "pypi.org as index" in shown.out
    assert "the policy Build" in shown.said
    assert shell.run("presets", "create", "Ours", "--rules", "ours.example", "--category", "search").out == "ours\n"
    assert shell.run("presets", "edit", "ours", "--name", "Theirs", "--rules").code == 0
    assert shell.run("presets", "delete", "Theirs").code == 0
    assert shell.run("presets", "delete", "python-packages").code == 1
    assert shell.run("presets", "delete", "github").code == 0
    assert "is back" in shell.run("presets", "restore", "github").said
    assert shell.run("presets", "edit", "slack", "--rules", "x.example").code == 0
    assert shell.run("presets", "restore", "Slack").code == 0
    assert not preset_library.is_edited(Preset.objects.get(pk="slack"))
    edited = shell.run("policy", "edit", "Build", "--include", "github", "slack", "--leave-out", "python-packages")
    assert edited.code == 0
    assert {each.pk for each in policy.presets.all()} == {"github", "slack"}
    assert shell.run("policy", "create", "Other", "--preset", "tavily").code == 0


def test_the_list_costs_the_same_however_long(
    browser: Browser, ada: User, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    client = browser(ada)
    for number in range(60):
        preset_library.create(ada, f"Preset {number}", rules(f"host{number}.example"), description="d" * 300)

    client.get("/presets/")
    with django_assert_max_num_queries(10):
        page = text(client.get("/presets/"))
    assert len(page) < 60_000
    assert "Preset 7" in text(client.get("/presets/", {"text": "host7.example"}))
