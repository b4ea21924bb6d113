"""Whose account does a sign-in with a provider open? The provider's subject decides; an address only under conditions.

An address that somebody typed for themselves proves nothing: it could be set by A so that B, signing in for the first
time, ends up in A's account. Only an address that somebody else gave (an admin, a command) opens an account.
"""

from __future__ import annotations

import re
from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialLogin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Q

from agents import audit, groups, people
from agents.invisible import all_hidden
from agents.lookalikes import mixes_alphabets
from agents.models import Role, User
from logos_site.oidc.configuration import Issuer

Claims = dict[str, Any]
# In a connection's data: this provider's word made the account.
MADE_HERE = "made_here"


def verified_email(one: Issuer, claims: Claims) -> str:
    """The address the provider vouches for, of a domain we take; else ""."""
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str) or email.count("@") != 1:
        return ""
    domain = email.rpartition("@")[2].lower()
    return email if not one.domains or domain in one.domains else ""


def may_enter(one: Issuer, claims: Claims) -> bool:
    """With domains set, nobody comes in with another address, however well known they are."""
    return not one.domains or bool(verified_email(one, claims))


def by_email(one: Issuer, claims: Claims) -> User | None:
    """The account whose address the provider vouches for, if the operator trusts it with that."""
    email = verified_email(one, claims) if one.trusts_email else ""
    if not email:
        return None
    found = list(User.objects.filter(email__iexact=email)[:2])
    if len(found) != 1 or found[0].role == Role.ADMIN or not found[0].is_active or found[0].is_service:
        return None
    return None if is_typed_by_themselves(found[0]) else found[0]


def is_typed_by_themselves(user: User) -> bool:
    """Did the person enter this address for themselves?"""
    return EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=False).exists()


def note_who_typed(user: User, by_themselves: bool) -> None:
    """Keep whether an address is the person's own word; an admin's word takes the mark away."""
    EmailAddress.objects.filter(user=user).delete()
    if by_themselves and user.email:
        EmailAddress.objects.create(user=user, email=user.email, verified=False, primary=True)


def make(one: Issuer, claims: Claims) -> User | None:
    """A new account without a password, if the operator wants that; None when the address is somebody's already."""
    if not one.makes_people:
        return None
    email = verified_email(one, claims)
    if email and User.objects.filter(Q(email__iexact=email) | Q(username__iexact=email)).exists():
        return None
    first, _, last = str(claims.get("name") or "").strip().partition(" ")
    user = User(
        username=_free_name(claims, email),
        email=email,
        first_name=_shown(claims.get("given_name") or first),
        last_name=_shown(claims.get("family_name") or last),
        role=role_for(one, claims),
    )
    user.set_unusable_password()
    user.save()
    note_who_typed(user, by_themselves=False)  # the provider vouches for it
    return user


def connect(sociallogin: SocialLogin, user: User) -> None:
    """From now on this subject of the provider opens the account. IntegrityError when it opens one already."""
    sociallogin.user = sociallogin.account.user = user
    sociallogin.account.save()
    audit.note("sign_in_connected", actor=user, person=user, provider=sociallogin.account.provider)


def _free_name(claims: Claims, email: str) -> str:
    wanted = re.sub(r"[^\w.+-]", "", str(claims.get("preferred_username") or email.partition("@")[0]))[:60] or "person"
    wanted = wanted if not mixes_alphabets(wanted) else "person"
    taken = {
        name.lower() for name in User.objects.filter(username__istartswith=wanted).values_list("username", flat=True)
    }
    numbered = (f"{wanted}{number}" for number in range(2, len(taken) + 3))
    return wanted if wanted.lower() not in taken else next(name for name in numbered if name.lower() not in taken)


def _shown(name: Any) -> str:
    """A name from elsewhere, without what nobody can see."""
    text = " ".join(str(name).split())
    hidden = set(all_hidden(text))
    return "".join(character for index, character in enumerate(text) if index not in hidden)[: people.MAX_NAME]


def _values(one: Issuer, claims: Claims) -> set[str]:
    found = claims.get(one.claim)
    return {str(value) for value in found} if isinstance(found, list) else {str(found)} if found else set()


def role_for(one: Issuer, claims: Claims) -> str:
    """The role of the first pair that fits, else the provider's default. Never admin (refused when read)."""
    values = _values(one, claims)
    return next((role for value, role in one.roles if value in values), one.role)


@transaction.atomic
def follow(one: Issuer, claims: Claims, user: User) -> None:
    """Role and groups of a person this provider made are what it says now; an admin is left alone."""
    if user.role == Role.ADMIN:
        return
    if one.roles and user.role != (role := role_for(one, claims)):
        user.role = role
        user.save(update_fields=["role"])
    if one.groups:
        values = _values(one, claims)
        wanted = {name for value, name in one.groups if value in values}
        ours = Group.objects.filter(name__in={name for _, name in one.groups})
        with groups.noting_members(user):
            user.groups.remove(*[group for group in ours if group.name not in wanted])
            user.groups.add(*[group for group in ours if group.name in wanted])
