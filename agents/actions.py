"""Everything a person may do to a row: the table of actions, with the level and the roles each needs."""

from __future__ import annotations

from dataclasses import dataclass

from agents.models.people import Role


@dataclass(frozen=True, slots=True)
class Action:
    """Something a person may do to a row: the level it needs there, and the roles that may do it at all.

    ``content`` marks what would tell an admin or operator what others said; ``agents.privacy`` can close that."""

    name: str
    sentence: str
    level: str
    roles: frozenset[str]
    content: bool = False


EVERYONE = frozenset(Role.values)
MEMBERS = frozenset({Role.ADMIN, Role.OPERATOR, Role.USER})
OPERATORS = frozenset({Role.ADMIN, Role.OPERATOR})
ADMINS = frozenset({Role.ADMIN})

ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (
        Action("agent.view", "See an agent and how it is composed", "view", EVERYONE),
        Action("agent.chat", "Send messages to an agent", "chat", MEMBERS),
        Action("agent.edit", "Change an agent's soul, tools, model and policies", "edit", MEMBERS),
        Action("agent.manage", "Share, archive or delete an agent", "manage", MEMBERS),
        Action("agent.limit", "Limit what an agent may spend", "manage", OPERATORS),
        Action("agent.learn", "Let an agent reach what no rule names, for a while", "manage", OPERATORS),
        Action("agent.halt", "Stop an agent at once, and let it go on", "manage", MEMBERS),
        Action("agent.create", "Create agents of one's own", "", MEMBERS),
        Action("capability.view", "See which capabilities of an agent are on", "view", EVERYONE),
        Action("capability.switch", "Turn an agent's local capabilities on, and any capability off", "edit", MEMBERS),
        Action("capability.trust", "Turn on capabilities that send an agent's data to others", "manage", MEMBERS),
        Action("secret.view", "See the names of an agent's secrets (never their values)", "edit", MEMBERS),
        Action("secret.edit", "Set, replace and remove an agent's secrets", "edit", MEMBERS),
        Action("document.view", "Read the documents installed for an agent", "view", EVERYONE),
        Action("document.edit", "Write the documents installed for an agent", "edit", MEMBERS),
        Action("note.view", "Read what an agent has noted for later", "manage", EVERYONE),
        Action("note.edit", "Write and take away notes of an agent", "manage", MEMBERS),
        Action("soul.view", "Read a soul", "view", EVERYONE),
        Action("soul.edit", "Write a new revision of a soul", "edit", MEMBERS),
        Action("soul.manage", "Share, archive or delete a soul", "manage", MEMBERS),
        Action("soul.create", "Create souls of one's own", "", MEMBERS),
        Action("route.view", "See a model route", "view", EVERYONE),
        Action("route.edit", "Change a model route and its prices", "edit", OPERATORS),
        Action("route.manage", "Share or delete a model route", "manage", OPERATORS),
        Action("route.create", "Add model routes", "", OPERATORS),
        Action("price.view", "See the files that prices of models are from", "view", OPERATORS),
        Action("price.import", "Read prices of models from a file, and undo that", "", OPERATORS),
        Action("policy.view", "See a policy", "view", EVERYONE),
        Action("policy.edit", "Change what a policy allows", "edit", OPERATORS),
        Action("policy.manage", "Share or delete a policy", "manage", OPERATORS),
        Action("policy.create", "Add policies", "", OPERATORS),
        Action("gate.view", "See the gate rules of a policy", "view", EVERYONE),
        Action("gate.edit", "Write gate rules for agents with a policy", "edit", OPERATORS),
        Action("gate.site", "Write gate rules for every agent", "", ADMINS),
        Action("preset.view", "See the presets that policies can include", "view", EVERYONE),
        Action("preset.edit", "Write, change and delete presets", "edit", ADMINS),
        Action("server.view", "See an MCP server, its tools and its state", "view", EVERYONE),
        Action("server.edit", "Change an MCP server, set its secrets, start it anew", "edit", OPERATORS),
        Action("server.manage", "Share or delete an MCP server", "manage", OPERATORS),
        Action("server.create", "Add MCP servers", "", OPERATORS),
        Action("server.launch", "Say which command of the host an MCP server runs", "", ADMINS),
        Action("access.view", "See which MCP servers an agent may use, and its tokens for them", "view", EVERYONE),
        Action("access.give", "Let an agent use an MCP server, and make it tokens", "manage", MEMBERS),
        Action("mcpcall.view", "See every call of an agent to an MCP server", "manage", EVERYONE, True),
        Action("provider.view", "See providers (never their keys)", "view", OPERATORS),
        Action("provider.edit", "Add providers and replace their keys", "edit", ADMINS),
        Action("conversation.view", "Read a conversation", "view", EVERYONE, True),
        Action("conversation.write", "Send messages in a conversation", "chat", MEMBERS, True),
        Action("run.view", "See a run and everything it recorded", "view", EVERYONE, True),
        Action("run.cancel", "Stop a run", "chat", MEMBERS, True),
        Action("run.approve", "Allow or deny what a run asks for", "chat", MEMBERS, True),
        Action("approval.decide_admin", "Decide what agents ask operators and admins for", "manage", OPERATORS),
        Action("panel.set", "Say who decides what agents ask, and how many must", "", ADMINS),
        Action("approval.rules", "See and end the rules that let an agent do things unasked", "manage", MEMBERS),
        Action(
            "reviewer.switch", "Let a model answer what an agent asks, and say where it was wrong", "manage", OPERATORS
        ),
        Action("reviewer.edit", "Say which model reviews requests, and up to which severity", "", ADMINS),
        Action("run.clone", "Send a run's message again in a new chat", "view", MEMBERS, True),
        Action("sandbox.view", "See an agent's sandbox and its state", "view", EVERYONE),
        Action("sandbox.operate", "Start and stop a sandbox, run commands in it", "manage", MEMBERS),
        Action("sandbox.limit", "Say what a sandbox may use", "manage", MEMBERS),
        Action("sandbox.shell", "Open a terminal in an agent's sandbox", "manage", MEMBERS, True),
        Action("workspace.view", "Look at the files in an agent's workspace and download them", "chat", MEMBERS, True),
        Action("workspace.write", "Upload, move and delete files in an agent's workspace", "edit", MEMBERS, True),
        Action("tool.view", "See every call of an agent's tools", "manage", EVERYONE, True),
        Action("tool.call", "Call a tool in an agent's sandbox", "manage", MEMBERS, True),
        Action("tool.rules", "Make the rules of an agent's tools stricter", "manage", MEMBERS),
        Action("tool.site", "Say what tools may do everywhere, and what one agent's may do more", "", ADMINS),
        Action("call.view", "See every model call of an agent and what it cost", "manage", EVERYONE, True),
        Action("budget.view", "See what may be spent, and how much of it was", "view", EVERYONE),
        Action("budget.set", "Limit what people and this Logos may spend", "", ADMINS),
        Action("charge.view", "See what each model call of an agent cost", "manage", EVERYONE),
        Action("egress.view", "See everything an agent's sandbox asked the network for", "manage", EVERYONE, True),
        Action("halt.everything", "Stop everything at once, and let it go on", "", OPERATORS),
        Action("halt.person", "Stop what a person asked for, and let it go on", "", ADMINS),
        Action("halt.server", "Stop what uses a server or runs on it, and let it go on", "", OPERATORS),
        Action("token.create", "Make API tokens of one's own", "", EVERYONE),
        Action("service.create", "Make service accounts that hold tokens for programs", "", MEMBERS),
        Action("audit.view", "See the audit of everything one may see", "", OPERATORS),
        Action("user.manage", "Create people, change roles, suspend", "manage", ADMINS),
    )
}
