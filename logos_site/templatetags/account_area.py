"""Template tags of one's own account: where passkeys work, and what is still missing."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from django import template
from django.conf import settings
from django.http import HttpRequest

from agents import limits, permissions, privacy, second_factor
from agents.models import User
from logos_site.oidc.configuration import Issuer

register = template.Library()


@register.filter
def has_a_name(request: HttpRequest) -> bool:
    """Was this site opened by name? Browsers bind passkeys to names, never to addresses such as 127.0.0.1."""
    try:
        ip_address(urlsplit(f"//{request.get_host()}").hostname or "")
    except ValueError:
        return True
    return False


@register.filter
def may(user: User, action: str) -> bool:
    """Does the person's role include this action?"""
    return permissions.may(user, action)


@register.filter
def scope_words(stored: str) -> str:
    """What a token may, in a few words."""
    if stored == "read":
        return "may look"
    return "may everything" if stored == "admin" else f"may look, {', '.join(stored.split())}"


@register.simple_tag
def issuers() -> list[Issuer]:
    """The providers one may sign in with."""
    return list(settings.LOGOS_OIDC.values())


@register.filter
def lacks_second_factor(user: User) -> bool:
    """Must this person set one up before anything else?"""
    return second_factor.is_missing(user)


@register.simple_tag
def registration_mode() -> str:
    """ "closed", "approval" or "open": may a stranger ask for an account?"""
    return str(settings.LOGOS_REGISTRATION)


@register.simple_tag
def chats_are_private() -> bool:
    """Are admins and operators kept out of other people's chats?"""
    return privacy.is_on()


@register.filter
def agents_used(user: User) -> str:
    """ "2 of 3 agents"."""
    return limits.used(user)
