"""May this person do this to this row? The four functions every door uses.

``allows`` answers with a reason, ``require`` raises NotFound (not allowed looks like not there),
``visible`` narrows a queryset in one query, ``fetch`` does both for one row. Nothing else decides.

The actions are the table of ``agents.actions``; which rows ask which is said in ``agents.guarding``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db.models import Case, CharField, Exists, F, Model, Q, QuerySet, Value, When

from agents import acting
from agents.actions import ACTIONS
from agents.errors import LogosError, NotFound
from agents.guarding import GRANTS, HOUSE, SHARED_LEVEL, Rows, family, noun
from agents.models import Role, SiteSettings, User, Visibility
from agents.standing import LEVELS, Source, Standing, lowered, obstacles, reasons

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Yes or no, and why, in words a person can read."""

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


Person = User | AnonymousUser | None

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
