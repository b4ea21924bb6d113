"""Whose address it is: a mail goes only to one that an admin gave, or whose owner has shown that they read it.

The code in the mail is made of the address, the person and the half hour, so nothing of it is stored. Confirming takes
the mark away that the person had typed the address themselves.
"""

from __future__ import annotations

import base64
import hmac
import time

from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.utils.crypto import salted_hmac

from agents import audit
from agents.errors import Conflict, Invalid
from agents.models import User
from channels_app import mailing

# A code is good for this half hour and the next; so many tries, and so many mails, are let through in one.
WINDOW_S = 1800
MOST_TRIES = 10
AGAIN_S = 300
LETTERS = 8


def is_confirmed(person: User) -> bool:
    """May mail be sent to this person's address?"""
    if not person.email:
        return False
    return not EmailAddress.objects.filter(user=person, email__iexact=person.email, verified=False).exists()


def send_code(person: User) -> None:
    """Mail a code to the address. Conflict when nothing can be sent, or one was a moment ago."""
    if not mailing.is_set_up() or not person.email:
        raise Conflict("No mail can be sent to you.", action="It needs a mail server and an address in your account.")
    if is_confirmed(person):
        raise Conflict("This address is confirmed already.", reason="already_done")
    if not cache.add(f"mail-code:{person.pk}", True, timeout=AGAIN_S):
        raise Conflict("A code was sent a moment ago.", action="Look at your mail, then try again.")
    if not mailing.send_code(person, _code(person, _window())):
        raise Conflict("The mail server did not take it.", action="Try again later, or ask the operator.")


def confirm(person: User, code: str) -> None:
    """The person read the code in their mail. Invalid for any other; Conflict after too many."""
    if is_confirmed(person):
        return
    tries = f"mail-tries:{person.pk}"
    cache.add(tries, 0, timeout=WINDOW_S)
    if cache.incr(tries) > MOST_TRIES:
        raise Conflict("Too many codes were tried.", action="Wait half an hour and ask for a new one.")
    given = "".join(code.split()).upper().encode(errors="replace")
    known = (_code(person, window).encode() for window in (_window(), _window() - 1))
    if not any(hmac.compare_digest(given, each) for each in known) or not person.email:
        raise Invalid("This is not the code, or it is too old.", field="code", action="Ask for a new one.")
    if EmailAddress.objects.filter(user=person, email__iexact=person.email, verified=False).update(verified=True):
        audit.note("address_confirmed", actor=person, person=person)


def _window() -> int:
    return int(time.time() // WINDOW_S)


def _code(person: User, window: int) -> str:
    digest = salted_hmac("channels_app.confirming", f"{person.pk}|{person.email}|{window}", algorithm="sha256").digest()
    return base64.b32encode(digest).decode()[:LETTERS]
