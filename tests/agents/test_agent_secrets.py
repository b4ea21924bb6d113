"""Secrets of an agent go in and never come out: names, values, grants, what is kept, and what leaks nowhere."""

from __future__ import annotations

import json

import pytest
from django.core import serializers

from agents import agent_secrets, capabilities, permissions, secrets
from agents.agent_secrets import MAX_BYTES, check_name, check_value
from agents.errors import Invalid, NotFound
from agents.models import Agent, AgentSecret, SecurityEvent, User

VALUE = "s3cret-of-alice-4711"


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "A1", "NOTION_TOKEN", "X" * 64, "AWS_SECRET_ACCESS_KEY"])
def test_names_of_keys_are_taken(name: str) -> None:
    assert check_name(f" {name} ") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "lower",
        "1A",
        "A-B",
        "A B",
        "A=B",
        "Ä_KEY",
        "X" * 65,
        "A\x00B",
        "A\nB",
        "PATH",
        "HOME",
        "IFS",
        "ENV",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "LOGOS_SEAL_KEYS",
        "HERMES_YOLO_MODE",
        "API_SERVER_KEY",
        "BASH_ENV",
        "GIT_SSH_COMMAND",
        "NODE_OPTIONS",
        "HTTPS_PROXY",
        "PERL5OPT",
        "RUBYOPT",
        "SSL_CERT_FILE",
    ],
)
def test_names_that_steer_programs_are_refused(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_name(name)

    assert refused.value.field == "name"
    assert refused.value.action


@pytest.mark.parametrize(
    "value", ["", "   ", "short", "has\x00nul in it", "bell\x07 in it", "\ud800 half of it", "x" * (MAX_BYTES + 1)]
)
def test_values_that_cannot_be_kept_are_refused_without_repeating_them(value: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_value(value)

    assert refused.value.field == "value"
    assert not value.strip() or value not in f"{refused.value} {refused.value.action}"


def test_a_key_of_several_lines_is_taken_as_it_is() -> None:
    assert check_value("-----BEGIN KEY-----\r\nabc\r\n-----END KEY-----\r\n") == (
        "-----BEGIN KEY-----\nabc\n-----END KEY-----"
    )


@pytest.mark.django_db
def test_nothing_that_is_stored_or_kept_of_it_can_be_read(atlas: Agent, alice: User) -> None:
    agent_secrets.put(alice, atlas, "GITHUB_TOKEN", VALUE)
    row = agent_secrets.put(alice, atlas, "GITHUB_TOKEN", f"{VALUE}-again")

    kept = [*AgentSecret.objects.all(), *AgentSecret.history.all(), *SecurityEvent.objects.all()]

    assert VALUE not in serializers.serialize("json", kept)
    assert secrets.unseal(row.sealed) == f"{VALUE}-again"
    assert VALUE not in repr(agent_secrets.granted(atlas))
    assert [each.set_by for each in AgentSecret.history.all()] == [alice, alice]
    assert "sealed" not in {field.name for field in AgentSecret.history.model._meta.fields}
    assert [event.detail["name"] for event in SecurityEvent.objects.filter(kind="secret_set")] == ["GITHUB_TOKEN"] * 2


@pytest.mark.django_db
def test_it_goes_nowhere_until_a_capability_names_it(atlas: Agent, alice: User) -> None:
    agent_secrets.put(alice, atlas, "GITHUB_TOKEN", VALUE)
    assert agent_secrets.granted(atlas) == ()

    capabilities.switch_on(alice, atlas, "github", 1)

    assert [(each.name, each.to, each.value) for each in agent_secrets.granted(atlas)] == [
        ("GITHUB_TOKEN", ("commands",), VALUE)
    ]


@pytest.mark.django_db
def test_what_is_always_given_goes_to_commands_and_to_the_tool_that_asks_for_it(atlas: Agent, alice: User) -> None:
    agent_secrets.put(alice, atlas, "NOTION_TOKEN", VALUE, always_given=True)
    agent_secrets.put(alice, atlas, "TAVILY_API_KEY", VALUE, always_given=True)
    capabilities.switch_on(alice, atlas, "web-tavily", 1)

    assert {each.name: each.to for each in agent_secrets.granted(atlas)} == {
        "NOTION_TOKEN": ("commands",),
        "TAVILY_API_KEY": ("commands", "tools"),
    }
    agent_secrets.give(alice, atlas, "NOTION_TOKEN", always=False)
    assert agent_secrets.granted_names(atlas) == ("TAVILY_API_KEY",)


@pytest.mark.django_db
def test_a_new_value_has_another_mark_and_the_mark_tells_nothing(atlas: Agent, alice: User) -> None:
    agent_secrets.put(alice, atlas, "NOTION_TOKEN", VALUE, always_given=True)
    before = agent_secrets.granted(atlas)[0].mark
    agent_secrets.put(alice, atlas, "NOTION_TOKEN", VALUE[::-1])
    after = agent_secrets.granted(atlas)[0].mark

    assert before != after
    assert VALUE not in before


@pytest.mark.django_db
def test_a_second_one_of_the_same_name_replaces_the_first_and_there_is_an_end(
    atlas: Agent, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_secrets, "MAX_SECRETS", 2)
    for name in ("ONE_KEY", "TWO_KEY", "ONE_KEY"):
        agent_secrets.put(alice, atlas, name, VALUE)

    with pytest.raises(Invalid, match="2 secrets"):
        agent_secrets.put(alice, atlas, "THREE_KEY", VALUE)

    assert AgentSecret.objects.count() == 2


@pytest.mark.django_db
def test_who_may_chat_neither_sees_names_nor_sets_any(atlas: Agent, alice: User, bob: User, viewer: User) -> None:
    agent_secrets.put(alice, atlas, "GITHUB_TOKEN", VALUE)
    permissions.grant(viewer, "manage", atlas)

    for person in (bob, viewer):
        assert not permissions.visible(person, AgentSecret.objects.all()).exists()
        with pytest.raises(NotFound):
            agent_secrets.put(person, atlas, "GITHUB_TOKEN", VALUE)
        with pytest.raises(NotFound):
            agent_secrets.remove(person, atlas, "GITHUB_TOKEN")
        with pytest.raises(NotFound):
            agent_secrets.give(person, atlas, "GITHUB_TOKEN", always=True)


@pytest.mark.django_db
def test_what_was_removed_is_gone(atlas: Agent, alice: User) -> None:
    agent_secrets.put(alice, atlas, "NOTION_TOKEN", VALUE, always_given=True)
    agent_secrets.remove(alice, atlas, "NOTION_TOKEN")

    assert agent_secrets.granted(atlas) == ()
    assert agent_secrets.known_values(atlas) == frozenset()
    with pytest.raises(NotFound):
        agent_secrets.remove(alice, atlas, "NOTION_TOKEN")


@pytest.mark.parametrize(
    "text",
    [VALUE, json.dumps({"k": VALUE}), f"url?key={VALUE}&x", "czNjcmV0LW9mLWFsaWNlLTQ3MTE", VALUE.encode().hex()],
)
def test_every_form_of_a_known_secret_is_masked(text: str) -> None:
    masked = secrets.redact(text, secrets.forms([VALUE]))

    assert masked != text
    assert "alice-4711" not in masked


def test_a_key_of_several_lines_is_masked_line_by_line() -> None:
    masked = secrets.redact("it says: abcdefghijklmnop", secrets.forms(["first line of it\nabcdefghijklmnop\nend"]))

    assert masked == f"it says: {secrets.MASK}"


def test_growing_text_waits_while_it_may_be_half_a_known_secret() -> None:
    known = secrets.forms([VALUE])

    for cut in range(1, len(VALUE)):
        assert secrets.settled(f"it is {VALUE[:cut]}", known) == 6
    assert secrets.settled("nothing like it", known) == len("nothing like it")
    assert secrets.settled("") == 0
