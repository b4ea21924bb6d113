"""Every kind of security event as an English sentence: who did what to whom or what, each said once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group

from agents import audit
from agents.audit import EVENTS
from agents.models import Agent, User
from agents.past import telling
from agents.past.timeline import Entry

OF_AGENTS = (
    "granted", "revoked", "visibility_changed", "transferred", "refused", "sandbox_kept", "sandbox_not_kept", "sandbox_started", "sandbox_stopped",
    "sandbox_restarted",
    "capability_on", "capability_off", "learning_on", "learning_off", "learning_over", "secret_set", "secret_removed", "secret_grant", "key_replaced", "key_removed",
    "halted_agent", "resumed_agent",
    "approval_decided", "approval_rule_made", "approval_rule_ended",
    "tool_rule_made", "tool_rule_changed", "tool_rule_removed",
    "gate_rule_made", "gate_rule_changed", "gate_rule_removed",
    "reviewer_agent_on", "reviewer_agent_off", "reviewer_allowed", "reviewer_denied", "reviewer_reversed",
    "reviewer_reversal_undone",
    "mcp_access_given", "mcp_access_revoked", "mcp_token_made", "mcp_token_revoked", "mcp_restarted", "mcp_tool_accepted", "mcp_secret_set", "mcp_secret_removed",
    "mcp_account_connected", "mcp_account_removed", "mcp_account_lost", "mcp_launch_accepted",
    "note_written", "note_changed", "note_removed",
    "shell_opened", "shell_closed", "file_put", "file_directory", "file_moved", "file_removed",
)  # fmt: skip
OF_GROUPS = ("group_made", "group_renamed", "group_deleted", "member_added", "member_removed")
OF_NOBODY = (
    "panel_made",
    "panel_changed",
    "panel_removed",
    "four_eyes_on",
    "four_eyes_off",
    "reviewer_set",
    "halted",
    "halted_server",
    "resumed",
    "resumed_server",
    "keys_rotated",
    "prices_applied",
    "prices_undone",
    "private_chats_on",
    "private_chats_off",
    "invited",
    "invitation_withdrawn",
    "mcp_category_set",
    "mcp_category_removed",
)
DETAILS: dict[str, dict[str, Any]] = {
    "granted": {"level": "chat"},
    "revoked": {"level": "chat"},
    "refused": {"what": "Change the agent"},
    "visibility_changed": {"before": "private", "after": "shared"},
    "transferred": {"before": "ada", "after": "alice"},
    "learning_on": {"minutes": 60},
    "role_changed": {"before": "user", "after": "operator"},
    "limit_changed": {"before": "3", "after": "unlimited"},
    "service_moved": {"before": "ada", "after": "alice", "tokens": "all revoked"},
    "secret_set": {"name": "KEY", "always_given": True},
    "secret_grant": {"name": "KEY", "always_given": False},
    "shell_opened": {"transcript": "shell_1"},
    "approval_decided": {"approval": "appr_1", "asked": "egress", "choice": "once"},
    "approval_canary": {"approval": "appr_1"},
    "approval_rule_made": {"rule": "rule_1", "scope": "agent"},
    "approval_rule_ended": {"rule": "rule_1", "scope": "agent"},
    "tool_rule_made": {"rule": "Block: git.push", "whose": "the agent"},
    "tool_rule_changed": {"rule": "Block: git.push", "whose": "the agent", "before": "Ask first: git.push"},
    "tool_rule_removed": {"rule": "Block: git.push", "whose": "the agent"},
    "shell_closed": {"transcript": "shell_1", "seconds": 3, "bytes": 90},
    "file_put": {"path": "a.txt", "bytes": 3, "replaced": False},
    "file_directory": {"path": "notes"},
    "file_moved": {"path": "a.txt", "to": "b.txt"},
    "file_removed": {"path": "a.txt"},
    "group_renamed": {"before": "Old"},
    "token_rotated": {"token": 9, "before": 8, "name": "laptop", "hours": 24},
    "token_made": {"token": 9, "name": "laptop", "days": 90},
    "export_asked": {"contents": True},
    "keys_rotated": {"rows": 12},
    "group_deleted": {"members": 3, "grants": 2},
}
# What may stand directly before a name: a preposition, a kind, or a verb that takes the name as its object.
BEFORE_A_NAME = {
    *("of", "for", "as", "to", "from", "agent", "group", "over", "made", "added", "removed", "suspended"),
    *("restored", "erase", "erased"),
}
PREPOSITIONS = r"\b(?:of|to|for|from|with|on|as) (?:of|to|for|from|with|on|as|:|,)(?:\s|$)"


def sentence_of(reader: User, kind: str, **facts: Any) -> str:
    event = audit.note(kind, **facts)
    entry = Entry(
        "event", event.pk, event.at, None, event.via, kind, event.object_kind, event.object_id, event.object_name, "", (),
        event,
    )  # fmt: skip
    return telling.sentence(telling.told(reader, entry))


@pytest.mark.parametrize("kind", EVENTS)
def test_every_event_reads_as_a_sentence_with_its_object_once(ada: User, bob: User, atlas: Agent, kind: str) -> None:
    about: Any = atlas if kind in OF_AGENTS else Group.objects.create(name="ops") if kind in OF_GROUPS else None
    person = None if kind in OF_NOBODY or (about and not kind.startswith(("granted", "revoked", "member"))) else bob

    said = sentence_of(ada, kind, actor=ada, person=person, about=about, **DETAILS.get(kind, {}))

    assert said.startswith("ada ")
    assert "  " not in said
    assert not re.search(PREPOSITIONS, said), said
    assert not re.search(r"True|False|None|nobody →|→ nobody|\b(a|an|the)$", said), said
    for name in filter(None, (person and "bob", about and str(about))):
        assert len(re.findall(rf"\b{name}\b", said)) == 1, said
        before = re.search(rf"(\S+) {name}\b", said)[1]
        assert before[-1] == ":" or before in BEFORE_A_NAME, said
    if person is None and about is None:
        assert not re.search(r"\b(of|to|for|from|with)$", said), said


@pytest.mark.parametrize("kind", sorted({*EVENTS} - {*OF_AGENTS, *OF_GROUPS, *OF_NOBODY}))
def test_what_people_do_to_themselves_names_them_once(ada: User, bob: User, kind: str) -> None:
    said = sentence_of(ada, kind, actor=bob, person=bob, **DETAILS.get(kind, {}))

    assert re.findall(r"\bbob\b", said) == ["bob"]
    assert not re.search(r"\b(of|to|for|as)(?=$|:)", said), said


@pytest.mark.parametrize(
    ("kind", "facts", "sentence"),
    [
        ("password_link_made", {}, "ada made a link to set the password of bob"),
        ("role_changed", {"before": "user", "after": "operator"}, "ada changed the role of bob: user → operator"),
        ("suspended", {}, "ada suspended bob"),
        ("token_revoked", {"token": 4, "name": "laptop"}, "ada revoked an API token of bob: laptop"),
    ],
)
def test_what_one_does_to_another_is_said_in_order(ada: User, bob: User, kind: str, facts: dict, sentence: str) -> None:
    assert sentence_of(ada, kind, actor=ada, person=bob, **facts) == sentence
    assert sentence_of(ada, kind, actor=ada, person=bob, about=bob, **facts) == sentence


def test_what_is_gone_keeps_its_name(ada: User, bob: User, atlas: Agent) -> None:
    assert sentence_of(ada, "person_removed", actor=ada, about=bob) == "ada removed bob"
    assert (
        sentence_of(ada, "secret_set", actor=ada, about=atlas, name="KEY", always_given=True)
        == "ada set a secret of agent atlas: KEY, given to every command"
    )
