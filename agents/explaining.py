"""Why may this person (not) do this to this row, and the smallest change that would turn the answer round.

Changes are found by trying them on the standing (``agents.standing``), so that what is proposed is what the rules
would accept. Smallest means: giving the least away. A grant to one person is less than a higher role, and the role
admin comes last, whatever it would spare. Sharing with everyone never does what a grant to the one would not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from django.apps import apps
from django.db.models import Model

from agents import guarding, permissions
from agents.actions import ACTIONS, Action
from agents.errors import Invalid, LogosError, NotFound
from agents.guarding import GRANTS, HOUSE, Rows
from agents.models import Role, User
from agents.permissions import Person
from agents.standing import LEVELS, Reason, Source, Standing, lowered, obstacles, reasons

# The roles from the least to the most.
_ROLES = (Role.VIEWER, Role.USER, Role.OPERATOR, Role.ADMIN)
_WEIGHTS = {"activate": 0, "open_chats": 5000, Role.USER: 10, Role.OPERATOR: 20, Role.ADMIN: 1000}


@dataclass(frozen=True, slots=True)
class Target:
    """The object that carries owner, visibility and grants."""

    kind: str
    id: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Step:
    """One change somebody can make. ``kind`` is "sign_in", "activate", "role", "grant", "open_chats" on the way to yes;
    "suspend", "role", "revoke", "revoke_group", "unshare", "transfer" on the way to no."""

    kind: str
    person: str = ""
    role: str = ""
    level: str = ""
    group: str = ""
    target: Target | None = None

    @property
    def sentence(self) -> str:
        return {
            "sign_in": "sign in",
            "activate": f"make the account of {self.person} active again",
            "role": f"give {self.person} the role {self.role}",
            "grant": f"grant {self.person} the level {self.level} on the {self.target}",
            "open_chats": "let admins and operators read chats again",
            "suspend": f"suspend the account of {self.person}",
            "revoke": f"take back the grant of {self.person} on the {self.target}",
            "revoke_group": f"take back the grant of the group {self.group} on the {self.target}, or let"
            f" {self.person} leave the group",
            "unshare": f"make the {self.target} private",
            "transfer": f"give the {self.target} to another owner, without keeping a grant",
        }[self.kind]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to one question, and what would change it.

    ``because`` says why, one sentence each. ``change`` are the steps that turn the answer round, all of them
    together: on the way to yes the least there is; on the way to no only when exactly one thing allows it, because
    with several each would have to go. ``person`` is "" for a stranger.
    """

    person: str
    action: str
    kind: str
    id: str
    allowed: bool
    reasons: tuple[Reason, ...]
    because: tuple[str, ...]
    change: tuple[Step, ...]

    @property
    def what(self) -> str:
        """What the action does, as a phrase."""
        return ACTIONS[self.action].sentence

    @property
    def sentence(self) -> str:
        """The verdict: may they, and what."""
        return f"{self.person or 'A stranger'} {'may' if self.allowed else 'may not'} do this: {lowered(self.what)}."

    @property
    def way(self) -> str:
        """How the answer would become the other one, in words; "" when there is no single way."""
        if not self.change:
            return ""
        steps = " and ".join(step.sentence for step in self.change)
        return f"To {'take this away' if self.allowed else 'allow this'}, {steps}."


def answer(asker: User, action: str, kind: str, row_id: str, username: str = "") -> Explanation:
    """The answer to a question somebody asks, with all that ``find`` and ``subject`` refuse. Without a row they ask
    for themselves, unless they manage people."""
    if not kind and not row_id:
        return explain(_colleague(asker, username), action)
    row = find(asker, kind, row_id)
    return explain(subject(asker, row, username), action, row)


def explain(user: Person, action: str, row: Model | None = None) -> Explanation:
    """May ``user`` do ``action`` to ``row``, why, and what would change it. Actions that concern no row take none.
    Raises Invalid for an action there is not, or that is about another kind of row."""
    wanted = _action(action, row)
    standing = permissions.by_role(user) if row is None else permissions.standing_of(user, row)
    return _explained(user, wanted, standing, row, target_of(row))


def overview(user: Person, row: Model) -> list[Explanation]:
    """The answers for every action on ``row``, for the price of one."""
    standing, target = permissions.standing_of(user, row), target_of(row)
    return [_explained(user, ACTIONS[name], standing, row, target) for name in actions_on(type(row))]


def _explained(
    user: Person, action: Action, standing: Standing, row: Model | None, target: Target | None
) -> Explanation:
    person = user.username if isinstance(user, User) else ""
    why = reasons(action, standing)
    change = _to_no(action, standing, why, person, target) if why else _to_yes(action, standing, person, target)
    return Explanation(
        person,
        action.name,
        guarding.noun(type(row)) if row is not None else "",
        str(row.pk) if row is not None else "",
        bool(why),
        why,
        tuple(reason.sentence for reason in why) or obstacles(action, standing),
        change,
    )


def _to_yes(action: Action, standing: Standing, person: str, target: Target | None) -> tuple[Step, ...]:
    if not standing.role:
        return (Step("sign_in"),)
    ways = [steps for steps, tried in _gains(standing, person, target) if reasons(action, tried)]
    if standing.is_private:
        opened = _gains(replace(standing, is_private=False), person, target)
        ways += [(*steps, Step("open_chats")) for steps, tried in opened if reasons(action, tried)]
    return min(ways, key=weight, default=())


def _gains(standing: Standing, person: str, target: Target | None) -> Iterator[tuple[tuple[Step, ...], Standing]]:
    """Every combination of one more role and one more level, with what it would make of the standing."""
    first = () if standing.is_active else (Step("activate", person),)
    base = replace(standing, is_active=True)
    for role in _ROLES[_ROLES.index(Role(standing.role)) :]:
        by_role = () if role == standing.role else (Step("role", person, role=role),)
        promoted = replace(base, role=role)
        yield first + by_role, promoted
        if target is None or not standing.root:
            continue
        for level in LEVELS:
            step = Step("grant", person, level=level, target=target)
            yield first + by_role + (step,), replace(promoted, sources=(*base.sources, Source("grant", level)))


def weight(steps: tuple[Step, ...]) -> int:
    """How much these steps give away; the order in which changes are smaller and larger."""
    return sum(1 + LEVELS.index(s.level) if s.kind == "grant" else _WEIGHTS[s.role or s.kind] for s in steps)


def _to_no(
    action: Action, standing: Standing, why: tuple[Reason, ...], person: str, target: Target | None
) -> tuple[Step, ...]:
    if len(why) > 1:
        return ()
    source = why[0].source
    if source is not None:
        kind = {"ownership": "transfer", "sharing": "unshare", "grant": "revoke", "group": "revoke_group"}[source.kind]
        return (Step(kind, person, group=source.group, level=source.level, target=target),)
    lower = _ROLES[: _ROLES.index(Role(standing.role))]
    for role in reversed(lower):
        if not reasons(action, replace(standing, role=role)):
            return (Step("role", person, role=role),)
    return (Step("suspend", person),)


@cache
def kinds() -> dict[str, type[Model]]:
    """Every guarded model by the word for it: agent, soul, route, policy, provider, conversation, run, …"""
    guarded = [
        model
        for model in apps.get_models()
        if model in GRANTS or model in HOUSE or isinstance(getattr(model, "permission", None), Rows)
    ]
    return {guarding.noun(model): model for model in guarded}


def actions_on(model: type[Model]) -> list[str]:
    """The actions there are on rows of ``model``, in the order of the table."""
    first = f"{guarding.family(model)}."
    return [name for name, action in ACTIONS.items() if name.startswith(first) and action.level]


def root_of(row: Model) -> Model | None:
    """The object whose owner, visibility and grants count for ``row``; None when the role alone decides, and when
    that object is gone."""
    if type(row) in GRANTS:
        return row
    if type(row) in HOUSE:
        return None
    found: Any = row
    for part in row.permission.root.split("__"):  # type: ignore[attr-defined]
        found = getattr(found, part, None)
    return found


def target_of(row: Model | None) -> Target | None:
    """The root of ``row`` for people to read."""
    root = root_of(row) if row is not None else None
    return None if root is None else Target(guarding.noun(type(root)), str(root.pk), str(root))


def manages(user: Person, row: Model) -> bool:
    """May ``user`` give others access to ``row``?"""
    root = root_of(row)
    if root is None:
        return permissions.may(user, f"{guarding.noun(type(row))}.edit")
    return bool(permissions.allows(user, f"{guarding.noun(type(root))}.manage", root))


def subject(asker: User, row: Model, username: str) -> User:
    """The person a question of ``asker`` about ``row`` is about: themselves, or somebody else if they manage the row.
    Raises LogosError(reason="forbidden") when they do not, NotFound for a name nobody has."""
    if username in ("", asker.username):
        return asker
    if not manages(asker, row):
        raise _only_oneself("Whoever manages the object may ask for others.")
    return _person(username)


def _colleague(asker: User, username: str) -> User:
    if username in ("", asker.username):
        return asker
    if not permissions.may(asker, "user.manage"):
        raise _only_oneself("Admins may ask for others.")
    return _person(username)


def _only_oneself(who_else: str) -> LogosError:
    return LogosError("You may ask for yourself here.", reason="forbidden", action=who_else)


def _person(username: str) -> User:
    found = User.objects.filter(username=username).first()
    if found is None:
        raise NotFound("This person")
    return found


def find(asker: User, kind: str, row_id: str) -> Model:
    """The row of this kind and id, if ``asker`` may see it; NotFound otherwise."""
    model = kinds().get(kind)
    if model is None:
        raise NotFound()
    return permissions.fetch(asker, f"{guarding.family(model)}.view", model._default_manager.all(), pk=row_id)


def _rowless() -> list[str]:
    """The actions that the role alone decides: to make something, and those on rows that carry no levels (people)."""
    on_rows = {name for model in kinds().values() for name in actions_on(model)}
    return [name for name in ACTIONS if name not in on_rows]


def _action(name: str, row: Model | None) -> Action:
    known = _rowless() if row is None else actions_on(type(row))
    if name in known:
        return ACTIONS[name]
    if name in ACTIONS and row is None:
        raise Invalid(f"{name} is done to something; say to what.", field="id")
    about = "without an object" if row is None else f"on a {guarding.noun(type(row))}"
    raise Invalid(f"There is no action {name} {about}.", field="action", action=f"There are: {', '.join(known)}.")
