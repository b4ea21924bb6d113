"""Note security events: one call per event, nothing secret in it, nothing lost when the event's own change is undone.

An event is a row beside the change it tells of, in the same transaction: both happen or neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.cache import cache
from django.db.models import Model

from agents import acting, guarding
from agents.acting import Refusal
from agents.actions import ACTIONS
from agents.models import SecurityEvent, User
from agents.secrets import redact

# The same refusal, lock-out or dead token again within this time is not written down again.
QUIET_S = 3600

# kind -> what the audit page says after the name of whoever did it.
EVENTS: dict[str, str] = {
    "signed_in": "signed in",
    "sign_in_failed": "failed to sign in",
    "sign_in_connected": "connected a sign-in provider",
    "sign_in_removed": "disconnected a sign-in provider",
    "sign_in_refused": "came from a sign-in provider and was not let in",
    "sign_in_locked": "was locked out after too many failures",
    "signed_out": "signed out",
    "session_ended": "ended a session",
    "password_changed": "changed the password",
    "factor_added": "added a second factor",
    "factor_removed": "removed a second factor",
    "codes_made": "made recovery codes",
    "token_made": "made an API token",
    "token_revoked": "revoked an API token",
    "token_rotated": "made a new secret for an API token",
    "service_made": "made a service account",
    "service_moved": "gave a service account to another keeper",
    "token_refused": "used an API token that no longer works",
    "sandbox_started": "started a sandbox",
    "sandbox_stopped": "stopped a sandbox",
    "sandbox_restarted": "started a sandbox anew",
    "address_confirmed": "showed that an e-mail address is theirs",
    "push_on": "switched on notices for a browser",
    "push_off": "switched off notices for a browser",
    "sandbox_kept": "set a sandbox to be kept running",
    "sandbox_not_kept": "let a sandbox be stopped when nobody uses it",
    "shell_opened": "opened a terminal in a sandbox",
    "shell_closed": "left a terminal in a sandbox",
    "file_put": "put a file into a workspace",
    "file_directory": "made a directory in a workspace",
    "file_moved": "moved a file in a workspace",
    "file_removed": "deleted a file in a workspace",
    "granted": "gave access",
    "revoked": "took access back",
    "visibility_changed": "changed who may use it",
    "transferred": "gave it to another owner",
    "person_added": "added a person",
    "person_removed": "removed a person",
    "role_changed": "changed a role",
    "suspended": "suspended an account",
    "restored": "restored an account",
    "limit_changed": "changed how many agents somebody may own",
    "joined": "joined by an invitation",
    "invited": "invited somebody",
    "invitation_withdrawn": "withdrew an invitation",
    "password_link_made": "made a link to set a password",
    "group_made": "made a group",
    "group_renamed": "renamed a group",
    "group_deleted": "deleted a group",
    "member_added": "added a member to a group",
    "member_removed": "removed a member from a group",
    "applied": "asked for an account",
    "application_approved": "approved an application",
    "application_refused": "refused an application",
    "private_chats_on": "made chats private",
    "private_chats_off": "opened chats to admins",
    "four_eyes_on": "made changes that allow more need a second person",
    "four_eyes_off": "let changes that allow more need no second person",
    "prices_applied": "changed prices by a list",
    "prices_undone": "undid a list of prices",
    "export_asked": "asked for an archive of a person's data",
    "export_fetched": "fetched an archive of a person's data",
    "erasure_asked": "asked to erase a person",
    "erased": "erased a person",
    "key_replaced": "replaced a key",
    "key_removed": "removed a key",
    "capability_on": "turned on a capability",
    "capability_off": "turned off a capability",
    "learning_on": "let an agent learn what it needs to reach",
    "learning_off": "ended the learning of an agent",
    "learning_over": "let the learning of an agent end when its time was over",
    "halted": "stopped everything at once",
    "halted_agent": "stopped an agent at once",
    "halted_person": "stopped the work of a person",
    "halted_server": "stopped all work with a server",
    "resumed": "let everything go on by a step",
    "resumed_agent": "let an agent go on by a step",
    "resumed_person": "let the work of a person go on by a step",
    "resumed_server": "let work with a server go on by a step",
    "note_written": "wrote a note for an agent",
    "note_changed": "changed a note of an agent",
    "note_removed": "took a note of an agent away",
    "secret_set": "set a secret of an agent",
    "secret_removed": "removed a secret of an agent",
    "secret_grant": "changed what a secret of an agent is given to",
    "mcp_access_given": "let an agent use an MCP server",
    "mcp_access_revoked": "took an MCP server from an agent",
    "mcp_token_made": "made an MCP token of an agent",
    "mcp_token_revoked": "revoked an MCP token of an agent",
    "mcp_launch_accepted": "accepted what an MCP server starts as it is now",
    "mcp_tool_accepted": "accepted a tool of an MCP server as it is offered now",
    "mcp_category_set": "said what holds for a category of MCP servers",
    "mcp_category_removed": "took away what held for a category of MCP servers",
    "mcp_restarted": "started an MCP server anew",
    "mcp_account_connected": "connected an account at an MCP server",
    "mcp_account_removed": "disconnected an account at an MCP server",
    "mcp_account_lost": "lost an account at an MCP server: it refused to renew it",
    "mcp_secret_set": "set a secret of an MCP server",
    "mcp_secret_removed": "removed a secret of an MCP server",
    "keys_rotated": "sealed every secret with a new key",
    "tool_rule_made": "made a rule of what tools may do",
    "tool_rule_changed": "changed a rule of what tools may do",
    "tool_rule_removed": "removed a rule of what tools may do",
    "gate_rule_made": "made a rule of the command gate",
    "gate_rule_changed": "changed a rule of the command gate",
    "gate_rule_removed": "removed a rule of the command gate",
    "panel_made": "said who decides what agents ask",
    "panel_changed": "changed who decides what agents ask",
    "panel_removed": "no longer says who decides what agents ask",
    "approval_decided": "answered a request to operators",
    "approval_canary": "put a request that was none to somebody",
    "approval_rule_made": "made a rule by which an agent does something unasked",
    "approval_rule_ended": "ended a rule by which an agent did something unasked",
    "reviewer_set": "changed what the reviewer does",
    "reviewer_agent_on": "put the requests of an agent to the reviewer",
    "reviewer_agent_off": "keeps the requests of an agent from the reviewer",
    "reviewer_allowed": "let the reviewer allow a request once",
    "reviewer_denied": "let the reviewer deny a request",
    "reviewer_reversed": "said that the reviewer was wrong",
    "reviewer_reversal_undone": "let the reviewer be asked again about the like",
    "refused": "was refused",
}


def note(
    kind: str,
    *,
    actor: User | None = None,
    person: User | None = None,
    about: Model | None = None,
    address: str = "",
    **detail: Any,
) -> SecurityEvent:
    """Record that ``kind`` happened. ``actor`` defaults to who acts now (``agents.acting``), ``person`` is whom it
    happened to, ``about`` the object. Texts in ``detail`` are redacted and cut to 300 characters.

    Raises KeyError for a kind that is not in EVENTS."""
    EVENTS[kind]
    return SecurityEvent.objects.create(
        kind=kind,
        actor=actor or acting.actor(),
        person=person,
        object_kind=word_for(type(about)) if about is not None else "",
        object_id=str(about.pk) if about is not None else "",
        object_name=_name_of(about)[:200] if about is not None else "",
        via=acting.door(),
        address=(address or acting.address())[:45],
        detail={name: redact(value)[:300] if isinstance(value, str) else value for name, value in detail.items()},
    )


def seldom(kind: str, key: str, **facts: Any) -> SecurityEvent | None:
    """The same, once in QUIET_S for this ``key``: nobody fills the audit by knocking again and again."""
    if not cache.add(f"audit:{kind}:{key}", True, timeout=QUIET_S):
        return None
    return note(kind, **facts)


def note_refusals(refusals: Iterable[Refusal]) -> None:
    """Write down what somebody who is signed in tried to change and may not: once each, and only if it exists."""
    actor = acting.actor()
    for refusal in refusals if actor is not None else ():
        row = refusal.model._default_manager.filter(pk=refusal.pk).first() if refusal.model and refusal.pk else None
        if actor is not None and (row is not None or refusal.model is None):
            what = ACTIONS[refusal.action].sentence
            key = f"{actor.pk}:{refusal.action}:{refusal.pk}"
            seldom("refused", key, about=row, action=refusal.action, what=what)


def _name_of(row: Model) -> str:
    """What to call a row in the audit: of what belongs to a person (a chat, a message) nothing that was said."""
    rows = getattr(type(row), "permission", None)
    return "" if getattr(rows, "owner", "") else str(row)


def word_for(model: type[Model]) -> str:
    """What people and addresses call a row of ``model``: agent, route, person."""
    return "person" if model is User else guarding.noun(model)
