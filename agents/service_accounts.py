"""Service accounts: who acts for a program and is no person. One has tokens and nothing else, never more of a role
than whoever keeps it, and stops when its keeper is suspended, until somebody else takes it over.

A keeper is a person, or nobody: then the team keeps it, which is to say the admins.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.signals import post_save, pre_delete, pre_save

from agents import audit, limits, permissions, tokens
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.lookalikes import mixes_alphabets
from agents.models import Kind, Role, User

LONGEST = 60
RANKS = [Role.VIEWER, Role.USER, Role.OPERATOR, Role.ADMIN]


def of(user: User) -> QuerySet[User]:
    """Those ``user`` looks after: the ones they keep; for admins, all."""
    rows = User.objects.filter(kind=Kind.SERVICE).select_related("keeper").order_by("username")
    return rows if permissions.may(user, "user.manage") else rows.filter(keeper=user)


def fetch(user: User, account_id: int) -> User:
    """One of those; NotFound for any other."""
    found = of(user).filter(pk=account_id).first() if permissions.may(user, "service.create") else None
    if found is None:
        raise NotFound("Service account")
    return found


def roles_for(user: User) -> list[Role]:
    """The roles ``user`` may give to one: their own at most."""
    return RANKS[: RANKS.index(Role(user.role)) + 1]


def make(user: User, name: str, role: str, *, for_team: bool = False) -> User:
    """A new one, kept by ``user`` or, made by an admin, by the team. Raises Invalid for a name or a role that cannot
    be, Conflict(reason="name_taken"), LogosError(reason="forbidden") for a service account."""
    permissions.require(user, "service.create")
    if user.is_service:
        # It would go on when the person who answers for all of them is suspended.
        raise LogosError(
            "A service account keeps no others.", reason="forbidden", action="Somebody who signs in makes them."
        )
    if for_team:
        permissions.require(user, "user.manage")
    name = _checked_name(name)
    if role not in roles_for(user):
        raise Invalid("It may have your own role at most.", field="role", action=f"Take {_words(roles_for(user))}.")
    account = User(username=name, role=role, kind=Kind.SERVICE, keeper=None if for_team else user)
    account.set_unusable_password()
    try:
        with transaction.atomic():
            if User.objects.filter(username__iexact=name).exists():
                raise IntegrityError
            account.save()
            audit.note("service_made", actor=user, person=account, role=role, team=for_team)
    except IntegrityError as error:
        raise Conflict("This name cannot be used here.", reason="name_taken", action="Take another.") from error
    return account


def suspend(user: User, account_id: int, *, suspended: bool = True) -> User:
    """Its tokens stop working at once; or work again."""
    with transaction.atomic():
        account = _locked(user, account_id)
        if account.is_active is suspended:
            account.is_active = not suspended
            account.save(update_fields=["is_active"])
            audit.note("suspended" if suspended else "restored", actor=user, person=account)
    return account


def give(user: User, account_id: int, to: str, *, revoke: bool = True) -> User:
    """Another keeper, by user name; "" for the team, which only admins hand to. Their role must be enough.

    Whoever kept it may have copies of its tokens: they are revoked with it unless ``revoke`` is False."""
    with transaction.atomic():
        account = _locked(user, account_id)
        keeper = None
        if to:
            keeper = User.objects.filter(username=to, kind=Kind.PERSON, is_active=True).first()
            if keeper is None:
                raise Invalid("There is nobody of this user name.", field="keeper")
            if account.role not in roles_for(keeper) or not permissions.may(keeper, "service.create"):
                raise Invalid("Their role is not enough to keep this account.", field="keeper")
            if keeper != account.keeper:
                limits.require_room(keeper, limits.owned(account))
        else:
            permissions.require(user, "user.manage")
        before, account.keeper = account.keeper, keeper
        account.save(update_fields=["keeper"])
        # The token that asks for this ends too: it is a copy like any other.
        ended = tokens.revoke_all(tokens.of(account)) if revoke and before != keeper else 0
        audit.note(
            "service_moved",
            actor=user,
            person=account,
            before=before.username if before else "the team",
            after=keeper.username if keeper else "the team",
            tokens="all revoked" if ended else "kept" if tokens.of(account).exists() else "none",
        )
    return account


def _locked(user: User, account_id: int) -> User:
    fetch(user, account_id)
    return User.objects.select_for_update(of=("self",)).select_related("keeper").get(pk=account_id)


def _checked_name(name: str) -> str:
    name = name.strip()
    try:
        User.username_validator(name)
    except ValidationError as error:
        raise Invalid("A name has letters, digits and @ . + - _ and no blanks.", field="name") from error
    if mixes_alphabets(name):
        raise Invalid("A name has letters of one alphabet, so that none passes for another.", field="name")
    if len(name) > LONGEST:
        raise Invalid(f"A name has at most {LONGEST} characters.", field="name")
    return name


def _words(roles: list[Role]) -> str:
    return " or ".join(role.value for role in roles)


def connect() -> None:
    """Keep the rules whoever saves: never more than the keeper, nothing that signs in, nothing without a keeper."""
    pre_save.connect(_keep_in_bounds, sender=User)
    post_save.connect(_follow_the_keeper, sender=User)
    pre_delete.connect(_stop_without_keeper, sender=User)


def _keep_in_bounds(instance: User, **rest: Any) -> None:
    if not instance.is_service:
        return
    if instance.has_usable_password():
        instance.set_unusable_password()
    if instance.keeper and instance.role not in roles_for(instance.keeper):
        raise Invalid("A service account may have its keeper's role at most.", field="role")


def _follow_the_keeper(instance: User, created: bool, update_fields: Any = None, **rest: Any) -> None:
    if created or instance.is_service or (update_fields is not None and "role" not in update_fields):
        return
    for account in User.objects.filter(keeper=instance).exclude(role__in=roles_for(instance)):
        account.role = instance.role
        account.save(update_fields=["role"])
        audit.note("role_changed", person=account, after=account.role)


def _stop_without_keeper(instance: User, **rest: Any) -> None:
    # Its keeper's row becomes empty, and so would say that the team keeps it.
    for account in User.objects.filter(keeper=instance, is_active=True):
        account.is_active = False
        account.save(update_fields=["is_active"])
        audit.note("suspended", person=account)
