"""Entries of the audit as sentences for people: who did what to what, with the details that matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agents import permissions
from agents.audit import EVENTS
from agents.models import Role, SecurityEvent, User
from agents.past.kinds import kinds
from agents.past.timeline import Entry
from agents.standing import lowered

DOORS = {"page": "page", "api": "API", "console": "console", "command": "command", "task": "task"}
_WORDS = {
    "sitesettings": "site settings",
    "route": "model route",
    "approval": "question of a run",
    "onetimelink": "link",
    "gate-rule": "gate rule",
}
_ABOUT_THEMSELVES = frozenset(
    {"signed_in", "signed_out", "sign_in_failed", "sign_in_locked", "session_ended", "password_changed"}
)


@dataclass(frozen=True, slots=True)
class Told:
    """One line: ``who`` ``does`` ``what`` (a kind and a name) ``details``. ``link`` says whether the reader may open
    the history of it; ``address`` is told to admins and about oneself."""

    entry: Entry
    who: str
    does: str
    kind: str
    name: str
    details: str
    link: bool
    door: str
    address: str
    is_warning: bool

    @property
    def rest(self) -> str:
        """The details as the end of the sentence; they go on in it, or a colon stands before them."""
        return (
            f"{'' if self.details.startswith('with ') and not self.name else ':'} {self.details}"
            if self.details
            else ""
        )


# What an event says before the kind and name of the object it is about.
_OF_IT = {
    "granted": "gave access to",
    "revoked": "took back access to",
    "visibility_changed": "changed who may use",
    "transferred": "gave another owner to",
    "key_replaced": "replaced the key of",
    "key_removed": "removed the key of",
    "invited": "invited somebody with the",
    "invitation_withdrawn": "withdrew the",
    "refused": "was refused on",
    "shell_opened": "opened a terminal in the sandbox of",
    "shell_closed": "left a terminal in the sandbox of",
    "file_put": "put a file into the workspace of",
    "file_directory": "made a directory in the workspace of",
    "file_moved": "moved a file in the workspace of",
    "file_removed": "deleted a file in the workspace of",
    "sandbox_started": "started the sandbox of",
    "sandbox_stopped": "stopped the sandbox of",
    "sandbox_restarted": "started anew the sandbox of",
    "sandbox_kept": "keeps running the sandbox of",
    "sandbox_not_kept": "lets stop, when nobody uses it, the sandbox of",
    "capability_on": "turned on a capability of",
    "capability_off": "turned off a capability of",
    "learning_on": "let learn what it needs to reach, the",
    "learning_off": "ended the learning of",
    "learning_over": "noted that the time to learn is over, of",
    "halted_agent": "stopped at once the",
    "resumed_agent": "let go on, by a step, the",
    "secret_set": "set a secret of",
    "secret_removed": "removed a secret of",
    "secret_grant": "changed when commands are given a secret of",
    "approval_decided": "answered a request to operators of the",
    "approval_rule_made": "made a rule by which something is done unasked by the",
    "approval_rule_ended": "ended a rule of the",
    "tool_rule_made": "made a rule of what tools may do, for the",
    "tool_rule_changed": "changed a rule of what tools may do, for the",
    "tool_rule_removed": "removed a rule of what tools may do, for the",
    "gate_rule_made": "made the",
    "gate_rule_changed": "changed the",
    "gate_rule_removed": "removed the",
    "reviewer_agent_on": "put to the reviewer the requests of the",
    "reviewer_agent_off": "keeps from the reviewer the requests of the",
    "reviewer_allowed": "let the reviewer allow once a request of the",
    "reviewer_denied": "let the reviewer deny a request of the",
    "reviewer_reversed": "said that the reviewer was wrong about the",
    "reviewer_reversal_undone": "let the reviewer be asked again about the like by the",
    "note_written": "wrote a note for the",
    "note_changed": "changed a note of the",
    "note_removed": "took away a note of the",
    "mcp_access_given": "let use an MCP server, the",
    "mcp_access_revoked": "took an MCP server from",
    "mcp_token_made": "made an MCP token of",
    "mcp_token_revoked": "revoked an MCP token of",
    "mcp_launch_accepted": "accepted what is started of the MCP",
    "mcp_tool_accepted": "accepted a tool of the MCP",
    "mcp_restarted": "started anew the MCP",
    "mcp_account_connected": "connected an account at the MCP",
    "mcp_account_removed": "disconnected an account at the MCP",
    "mcp_account_lost": "lost an account at the MCP",
    "mcp_secret_set": "set a secret of the MCP",
    "mcp_secret_removed": "removed a secret of the MCP",
    "group_made": "made the",
    "group_renamed": "renamed the",
    "group_deleted": "deleted the",
    "member_added": "added a member to the",
    "member_removed": "removed a member from the",
}
# What an event says before the name of a person who is not whoever did it.
_OF_PERSON = {
    "sign_in_connected": "connected a sign-in provider for",
    "sign_in_removed": "disconnected a sign-in provider of",
    "sign_in_refused": "came from a sign-in provider and was not let in as",
    "sign_in_failed": "failed to sign in as",
    "sign_in_locked": "was locked out after too many failures as",
    "signed_in": "signed in as",
    "signed_out": "signed out as",
    "session_ended": "ended a session of",
    "password_changed": "changed the password of",
    "factor_added": "added a second factor for",
    "factor_removed": "removed a second factor of",
    "codes_made": "made recovery codes for",
    "token_made": "made an API token for",
    "token_revoked": "revoked an API token of",
    "token_rotated": "made a new secret for an API token of",
    "token_refused": "used a token that no longer works, of",
    "service_made": "made",
    "service_moved": "handed over",
    "person_added": "added",
    "person_removed": "removed",
    "role_changed": "changed the role of",
    "suspended": "suspended",
    "restored": "restored",
    "limit_changed": "changed the number of agents for",
    "joined": "joined by an invitation as",
    "password_link_made": "made a link to set the password of",
    "applied": "asked for an account as",
    "application_approved": "approved the application of",
    "application_refused": "refused the application of",
    "halted_person": "stopped all work for",
    "resumed_person": "let go on, by a step, the work for",
    "address_confirmed": "showed as theirs the e-mail address of",
    "push_on": "switched on notices for a browser of",
    "push_off": "switched off notices for a browser of",
    "export_asked": "asked for an archive of the data of",
    "export_fetched": "fetched an archive of the data of",
    "erasure_asked": "asked to erase",
    "approval_canary": "put a request that was none to",
    "erased": "erased",
}
_WARNINGS = frozenset({"sign_in_failed", "sign_in_locked", "refused", "token_refused"})


def told(reader: User, entry: Entry) -> Told:
    """The entry as ``reader`` may read it."""
    event = entry.event
    is_admin = permissions.role_of(reader) == Role.ADMIN
    if event is None:
        return Told(
            entry,
            name_of(entry.by) or ("somebody whose account is gone" if entry.by_id else "Logos"),
            entry.action,
            word(entry.kind),
            entry.name,
            ", ".join(entry.labels).lower(),
            True,
            DOORS.get(entry.via, ""),
            "",
            False,
        )
    is_own = reader in (event.actor, event.person)
    does, kind, name = _what(event)
    return Told(
        entry,
        _who(event),
        does,
        kind,
        name,
        details(event),
        bool(event.object_id) and event.object_kind in kinds() and (is_admin or not is_own),
        DOORS.get(event.via, ""),
        event.address if is_admin or (event.actor or event.person) == reader else "",
        event.kind in _WARNINGS,
    )


def name_of(person: User | None) -> str:
    """The name nobody else has; a program is called one. Empty for nobody."""
    if person is None:
        return ""
    return f"{person.username} (service account)" if person.is_service else person.username


def word(kind: str) -> str:
    """A kind as a person says it."""
    return _WORDS.get(kind, kind)


def _who(event: SecurityEvent) -> str:
    if event.actor is not None:
        return name_of(event.actor)
    if event.kind in _ABOUT_THEMSELVES and event.person is not None:
        return f"somebody, as {event.person.username},"
    return "somebody" if event.via else "Logos"


def _what(event: SecurityEvent) -> tuple[str, str, str]:
    """What was done, and the kind and name of what it was done to; a person's name needs no kind."""
    about_them = _person_of(event)
    if about_them and event.kind in _OF_PERSON:
        return _OF_PERSON[event.kind], "", about_them
    if event.object_name and event.object_kind != "person":
        does = _OF_IT.get(event.kind)
        if does:
            return does, word(event.object_kind), event.object_name
    return EVENTS.get(event.kind, event.kind.replace("_", " ")), "", ""


def _person_of(event: SecurityEvent) -> str:
    """The name of whom it happened to, unless they did it or are said to be who tried."""
    if event.person is not None:
        says_who = event.actor is None and event.kind in _ABOUT_THEMSELVES
        return "" if event.person == event.actor or says_who else name_of(event.person)
    return event.object_name if event.object_kind == "person" else ""


def details(event: SecurityEvent) -> str:
    """What else there is to know of an event, in a few words."""
    given, person = event.detail, name_of(event.person)
    if event.kind in ("granted", "revoked"):
        whom = f"the group {given['group']}" if given.get("group") else person or "somebody whose account is gone"
        return f"{given.get('level', '')} {'to' if event.kind == 'granted' else 'from'} {whom}"
    if event.kind == "refused":
        return lowered(str(given.get("what", "")))
    if event.kind in ("sign_in_failed", "sign_in_locked") and event.person is None:
        return "with a name nobody has"
    parts = [_part(name, value) for name, value in given.items() if name not in ("before", "after", "token")]
    if "before" in given and "after" in given:
        parts.insert(0, f"{given['before'] or 'nobody'} → {given['after'] or 'nobody'}")
    elif "after" in given:
        parts.insert(0, f"{given['after']} from now on")
    elif event.kind == "group_renamed":
        parts.insert(0, f"it was {given.get('before', '')}")
    if event.kind in ("member_added", "member_removed"):
        parts.insert(0, person)
    return ", ".join(filter(None, parts))


# What a detail is called when it is true.
_TRUE = {"always_given": "given to every command", "team": "kept by the team", "contents": "with what was said"}


def _part(name: str, value: Any) -> str:
    if value in (None, "", [], {}) or value is False:
        return ""
    if value is True:
        return _TRUE.get(name, name.replace("_", " "))
    if name in ("name", "device", "factor", "role", "provider", "capability"):
        return str(value)
    if name == "count":
        return f"{value} of them" if value != 1 else ""
    if name == "days":
        return f"for {value} days"
    if name == "minutes":
        return f"for {value} minutes"
    if name == "hours":
        return f"the old one works for {value} more hours"
    if isinstance(value, int):
        return f"{value} {name}"
    return f"{name.replace('_', ' ')} {value}"


def plural(kind: str) -> str:
    """Several of a kind, as a heading."""
    name = word(kind)
    return f"{name[:-1]}ies".capitalize() if name.endswith("y") else f"{name}s".capitalize()


def sentence(said: Told) -> str:
    """The line as plain text."""
    what = " ".join(filter(None, (said.who, said.does, said.kind if said.name else "", said.name)))
    return f"{what}{said.rest}"
