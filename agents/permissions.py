"""May this person do this to this row? The table of actions, and the four functions every door uses.

``allows`` answers with a reason, ``require`` raises NotFound (not allowed looks like not there),
``visible`` narrows a queryset in one query, ``fetch`` does both for one row. Nothing else decides.

Roots (Agent, Soul, ModelRoute, Policy, and those of rooms above) carry an owner, a visibility and grants; every other model names
the root it asks, or the person it belongs to, in a ``Rows`` attribute called ``permission``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db.models import Case, CharField, Exists, F, Model, Q, QuerySet, Value, When

from agents import acting
from agents.errors import LogosError, NotFound
from agents.models import (
    Agent,
    AgentCapability,
    AgentDocument,
    AgentGroupGrant,
    AgentNote,
    AgentSecret,
    AgentUserGrant,
    GateRule,
    ModelRoute,
    ModelRouteGroupGrant,
    ModelRouteUserGrant,
    Policy,
    PolicyGroupGrant,
    PolicyUserGrant,
    Preset,
    PriceList,
    Provider,
    Role,
    SiteSettings,
    Soul,
    SoulGroupGrant,
    SoulUserGrant,
    User,
    Visibility,
)
from agents.standing import LEVELS, Source, Standing, lowered, obstacles, reasons

M = TypeVar("M", bound=Model)


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


@dataclass(frozen=True, slots=True)
class Rows:
    """How the rows of a model that is no root are guarded.

    ``owner`` is the path to the person a row belongs to; ``root`` the path to the root object it asks.
    With both, operators who manage the root see the row too, and nobody else's level on the root counts:
    what one person said to a shared agent is not for the others.
    """

    owner: str = ""
    root: str = ""
    root_model: type[Model] = Agent


@dataclass(frozen=True, slots=True)
class Verdict:
    """Yes or no, and why, in words a person can read."""

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


# The parts of an agent that are rows of this room; those above say it in their own models.
for _part in (AgentCapability, AgentSecret, AgentDocument, AgentNote):
    setattr(_part, "permission", Rows(root="agent"))  # noqa: B010 (the models cannot name what is defined here)
setattr(GateRule, "permission", Rows(root="policy", root_model=Policy))  # noqa: B010

# The rows that hold the grants on a root: those to people, those to groups.
GRANTS: dict[type[Model], tuple[type[Model], type[Model]]] = {
    Agent: (AgentUserGrant, AgentGroupGrant),
    Soul: (SoulUserGrant, SoulGroupGrant),
    ModelRoute: (ModelRouteUserGrant, ModelRouteGroupGrant),
    Policy: (PolicyUserGrant, PolicyGroupGrant),
}

# Rows of the house, which nobody owns and nobody is granted: the role alone decides.
HOUSE: tuple[type[Model], ...] = (Provider, Preset, PriceList)

# Models without actions of their own are seen by whoever may see what they are part of. Model calls and what was
# asked of the network are the exceptions: those of a shared agent tell what everybody asked of it, so they have
# actions for who manages it.
_FAMILIES = {
    "message": "conversation",
    "approval": "run",
    "rule": "run",
    "budgetwarning": "budget",
    "tool-call": "tool",
    "tool-rule": "tool",
    "gate-rule": "gate",
}

_NOUNS = {
    "modelroute": "route",
    "pricelist": "price",
    "inferencecall": "call",
    "egressdecision": "egress",
    "agentcapability": "capability",
    "agentsecret": "secret",
    "agentdocument": "document",
    "approvalrule": "rule",
    "toolcall": "tool-call",
    "toolrule": "tool-rule",
    "gaterule": "gate-rule",
}

# What "shared" gives to everyone who may sign in.
SHARED_LEVEL: dict[type[Model], str] = {Agent: "chat", Soul: "view", ModelRoute: "chat", Policy: "view"}

Person = User | AnonymousUser | None


def call_it(model: type[Model], word: str, *, family: str = "") -> None:
    """People and addresses call rows of ``model`` this; their actions are those of ``family`` if they have none."""
    _NOUNS[model._meta.model_name or ""] = word
    if family:
        _FAMILIES[word] = family


def add_root(
    model: type[Model],
    grants: tuple[type[Model], type[Model]],
    *,
    word: str,
    shared_level: str,
    parts: Iterable[type[Model]] = (),
) -> None:
    """A room above makes ``model`` a root that people share, called ``word``; ``grants`` hold what people and groups
    were given, ``parts`` are rows that ask it and have no actions of their own. Called where its models are defined."""
    GRANTS[model], SHARED_LEVEL[model] = grants, shared_level
    _NOUNS[model._meta.model_name or ""] = word
    for part in parts:
        setattr(part, "permission", Rows(root=word, root_model=model))  # noqa: B010
        _FAMILIES[part._meta.model_name or ""] = word


_PRIVATE = SiteSettings.objects.filter(private_chats=True).order_by()


def role_of(user: Person) -> str:
    """The person's role, or "" for strangers and the suspended."""
    return user.role if isinstance(user, User) and user.is_active else ""


def may(user: Person, action: str) -> bool:
    """Does the person's role allow this action on some row? Buttons and navigation ask this first."""
    return role_of(user) in ACTIONS[action].roles


def visible(user: Person, queryset: QuerySet[M], action: str = "") -> QuerySet[M]:
    """The rows of ``queryset`` on which ``user`` may do ``action`` (default: see them)."""
    model = queryset.model
    wanted = ACTIONS[action or f"{family(model)}.view"]
    if not isinstance(user, User) or role_of(user) not in wanted.roles:
        return queryset.none()
    if role_of(user) == Role.ADMIN:
        return queryset.filter(_own_or_open(user, model, wanted.level)) if wanted.content else queryset
    return queryset.filter(_rule(user, model, wanted.level))


def fetch(user: Person, action: str, queryset: QuerySet[M], **lookup: Any) -> M:
    """The one row of ``queryset`` that matches, if ``user`` may do ``action`` to it; else NotFound. One query."""
    row = visible(user, queryset, action).filter(**lookup).first()
    if row is None:
        acting.remember_refusal(action, queryset.model, lookup.get("pk", ""))
        raise NotFound(noun(queryset.model).capitalize())
    return row


def allows(user: Person, action: str, row: Model) -> Verdict:
    """May ``user`` do ``action`` to ``row``, and why (not). One query, none when the role decides."""
    wanted, role = ACTIONS[action], role_of(user)
    decides = (role == Role.ADMIN and not wanted.content) or role not in wanted.roles
    standing = by_role(user) if decides else standing_of(user, row)
    if why := reasons(wanted, standing):
        return Verdict(True, why[0].sentence)
    return Verdict(False, obstacles(wanted, standing)[0])


def by_role(user: Person) -> Standing:
    """What counts when an action concerns no row."""
    return Standing(user.role, user.is_active) if isinstance(user, User) else Standing("")


def standing_of(user: Person, row: Model) -> Standing:
    """What counts between ``user`` and ``row``, all of it in one query."""
    model = type(row)
    if model in HOUSE or not isinstance(user, User):
        return by_role(user)
    rows: Rows = Rows() if model in GRANTS else model.permission  # type: ignore[attr-defined]
    root_model = model if model in GRANTS else rows.root_model
    owns, visibility, is_own, is_private, found = False, "", False, False, []
    for kind, first, second, third in _facts(user, row, rows, root_model):
        if kind == "row":
            owns, visibility, is_own = bool(first), second, bool(third)
        elif kind == "private":
            is_private = True
        else:
            found.append(Source(kind, first.partition("_")[0], second))
    if visibility == Visibility.SHARED:
        found.append(Source("sharing", SHARED_LEVEL[root_model]))
    if owns:
        found.append(Source("ownership", LEVELS[-1]))
    sources = _best(found)
    return Standing(user.role, user.is_active, noun(root_model), sources, bool(rows.owner), is_own, is_private)


def _facts(user: User, row: Model, rows: Rows, root_model: type[Model]) -> Iterable[tuple[str, str, str, str]]:
    """("row", owns the root, visibility of the root, owns the row), (kind, codename, group, "") per grant, and
    "private" when chats are."""
    by_person, by_group = GRANTS[root_model]
    path = f"{rows.root}__" if rows.root else ""
    this = type(row)._default_manager.filter(pk=row.pk).order_by()
    on_root = {"content_object__in": this.values(rows.root)} if rows.root else {"content_object": row.pk}
    parts = [
        _texts(this, "row", _flag(f"{path}owner", user), F(f"{path}visibility"), _flag(rows.owner, user)),
        _texts(by_person._default_manager.filter(user=user, **on_root).order_by(), "grant", F("permission__codename")),
        _texts(
            by_group._default_manager.filter(group__user=user, **on_root).order_by(),
            "group",
            F("permission__codename"),
            F("group__name"),
        ),
        _texts(_PRIVATE.all(), "private"),
    ]
    return parts[0].union(*parts[1:])


def _texts(rows: QuerySet[Any], kind: str, *columns: Any) -> QuerySet[Any]:
    """Four columns of text, so that a union can hold facts of several tables."""
    filled = [Value(kind), *columns, *[Value("")] * (3 - len(columns))]
    named = {f"fact_{number}": column for number, column in enumerate(filled)}
    return rows.annotate(**named).values_list(*named)


def _flag(path: str, user: User) -> Any:
    """ "yes" where the person at ``path`` is ``user``, else nothing."""
    if not path:
        return Value("")
    return Case(When(**{path: user.pk}, then=Value("yes")), default=Value(""), output_field=CharField())


def _best(sources: Iterable[Source]) -> tuple[Source, ...]:
    """One source per kind and group, that of the highest level; the strongest first."""
    best: dict[tuple[str, str], Source] = {}
    for source in sources:
        known = best.setdefault((source.kind, source.group), source)
        if source.reaches(known.level):
            best[source.kind, source.group] = source
    order = ("ownership", "grant", "group", "sharing")
    return tuple(sorted(best.values(), key=lambda source: (order.index(source.kind), source.group)))


def require(user: Person, action: str, row: Model | None = None) -> None:
    """Return if ``user`` may; raise NotFound for a row, LogosError(reason="forbidden") for an action as such."""
    if row is None:
        if not may(user, action):
            acting.remember_refusal(action)
            raise LogosError(
                f"Your role does not include: {lowered(ACTIONS[action].sentence)}.",
                reason="forbidden",
                action="Ask an admin to change your role.",
            )
    elif not allows(user, action, row):
        acting.remember_refusal(action, type(row), row.pk)
        raise NotFound(noun(type(row)).capitalize())


def grant(subject: Any, level: str, row: Model) -> None:
    """Give a person or a group ``level`` on a root object; repeating it changes nothing."""
    from guardian.shortcuts import assign_perm

    assign_perm(_codename(level, type(row)), subject, row)


def revoke(subject: Any, level: str, row: Model) -> None:
    """Take the grant back."""
    from guardian.shortcuts import remove_perm

    remove_perm(_codename(level, type(row)), subject, row)


def _rule(user: User, model: type[Model], level: str) -> Q:
    if model in GRANTS:
        return Q(pk__in=_ids(user, model, level))
    if model in HOUSE:
        return Q()
    rows: Rows = model.permission  # type: ignore[attr-defined]
    if not rows.owner:
        return Q(**{f"{rows.root}__in": _ids(user, rows.root_model, level)})
    own = Q(**{rows.owner: user})
    if user.role != Role.OPERATOR or level != "view":
        return own
    # One index for each half: "or" over two joins reads every row there is, 100,000 runs for a page of 25.
    every = model._default_manager.order_by()
    managed = every.filter(_chats_are_open(), **{f"{rows.root}__in": _ids(user, rows.root_model, "manage")})
    return Q(pk__in=every.filter(own).values("pk").union(managed.values("pk")))


def _own_or_open(user: User, model: type[Model], level: str) -> Q:
    """What an admin reads. A set of ids, not a join: else the database begins with the other table, and sorts."""
    own = model._default_manager.order_by().filter(_rule(user, model, level)).values("pk")
    return Q(pk__in=own) | _chats_are_open()


def _chats_are_open() -> Q:
    """No admin has made chats private. Asked inside the query itself: it costs none, and is never out of date."""
    return Q(~Exists(_PRIVATE.all()))


def _ids(user: User, model: type[Model], level: str) -> QuerySet[Any]:
    """Ids of the roots on which ``user`` has ``level``: one union, which beats Exists-with-OR 15 times."""
    by_person, by_group = GRANTS[model]
    codenames = [_codename(name, model) for name in LEVELS[LEVELS.index(level) :]]
    rows = model._default_manager.all().order_by()
    sets = [
        rows.filter(owner=user).values("pk"),
        _granted(by_person, codenames).filter(user=user).values("content_object"),
        _granted(by_group, codenames).filter(group__user=user).values("content_object"),
    ]
    if LEVELS.index(level) <= LEVELS.index(SHARED_LEVEL[model]):
        sets.append(rows.filter(visibility=Visibility.SHARED).values("pk"))
    return sets[0].union(*sets[1:])


def _granted(grants: type[Model], codenames: Iterable[str]) -> QuerySet[Any]:
    return grants._default_manager.filter(permission__codename__in=list(codenames)).order_by()


@cache
def _codename(level: str, model: type[Model]) -> str:
    return f"{level}_{model._meta.model_name}"


@cache
def noun(model: type[Model]) -> str:
    """What people and addresses call a row of ``model``: agent, route, call."""
    name = model._meta.model_name or ""
    return _NOUNS.get(name, name)


def family(model: type[Model]) -> str:
    """The first word of the actions on rows of ``model``: a message asks those of its conversation."""
    return _FAMILIES.get(noun(model), noun(model))
