"""One short mail that something waits: which Logos, how much, and the link; never what it is."""

from __future__ import annotations

import logging
import smtplib

from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse

from agents.models import User

logger = logging.getLogger(__name__)


def is_set_up() -> bool:
    """Does this Logos send mail at all?"""
    return bool(settings.LOGOS_MAIL_URL)


def send(person: User, count: int) -> bool:
    """Tell ``person`` that ``count`` requests wait; 0 is a try. Whether the mail server took it."""
    what = {0: "Nothing waits for you: this is a try", 1: "An agent waits for you"}.get(
        count, f"{count} requests wait for you"
    )
    link = f"{settings.LOGOS_URL.rstrip('/')}{reverse('runs:approvals')}" if settings.LOGOS_URL else ""
    lines = [
        f"{what} in Logos.",
        f"Sign in to see and decide: {link}" if link else "Sign in to Logos to see and decide.",
        "What it is about is not in this mail. What nobody decides in time is refused by itself.",
        f"You get at most one such mail in {settings.LOGOS_MAIL_MINUTES} minutes. Your account, Notifications, turns them off.",
    ]
    return _sent(person, what, lines)


def send_noticed(person: User) -> bool:
    """Tell ``person`` that an agent did something they are to be told of."""
    what = "An agent did something you are told of"
    link = f"{settings.LOGOS_URL.rstrip('/')}{reverse('runs:approvals-noticed')}" if settings.LOGOS_URL else ""
    lines = [
        f"{what}: a rule of its tools says so. Nothing waits for you.",
        f"Sign in to see what it did: {link}" if link else "Sign in to Logos to see what it did.",
        f"You get at most one such mail in {settings.LOGOS_MAIL_MINUTES} minutes. Your account, Notifications, turns them off.",
    ]
    return _sent(person, what, lines)


def send_wrote(person: User) -> bool:
    """Tell ``person`` that an agent wrote to them unasked."""
    what = "An agent wrote to you"
    link = f"{settings.LOGOS_URL.rstrip('/')}{reverse('runs:chat')}" if settings.LOGOS_URL else ""
    lines = [
        f"{what} in Logos. Nothing waits for you.",
        f"Sign in to read it: {link}" if link else "Sign in to Logos to read it.",
        f"You get at most one such mail in {settings.LOGOS_MAIL_MINUTES} minutes. Your account, Notifications, turns them off.",
    ]
    return _sent(person, what, lines)


def send_budget(person: User, percent: int, where: str) -> bool:
    """Tell ``person`` how much of a budget that concerns them is used; ``where`` they can see which."""
    what = "A budget is used up" if percent >= 100 else f"{percent} % of a budget is used"
    link = f"{settings.LOGOS_URL.rstrip('/')}{where}" if settings.LOGOS_URL else ""
    lines = [
        f"{what} in Logos.",
        f"Sign in to see which, and what is left: {link}" if link else "Sign in to Logos to see which.",
        "Each threshold (50, 80 and 100 %) is told once in the time a budget counts. Your account, Notifications, turns"
        " such mails off.",
    ]
    return _sent(person, what, lines)


def send_code(person: User, code: str) -> bool:
    """Let ``person`` show that they read this address. Whether the mail server took it."""
    lines = [
        f"The code is {code}",
        "Somebody entered this address in an account of Logos, to be told when something waits. If it was you, type the code"
        " under Notifications of your account within half an hour.",
        "If it was not you, do nothing: no other mail will come.",
    ]
    return _sent(person, "Confirm your address", lines)


def _sent(person: User, subject: str, lines: list[str]) -> bool:
    mail = EmailMessage(
        subject=subject,
        body="\n\n".join(lines) + "\n",
        to=[person.email],
        # Answers of other machines ("out of office") are not for us.
        headers={"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"},
    )
    try:
        return bool(mail.send())
    except (OSError, smtplib.SMTPException) as error:
        logger.warning("A mail was not sent: %s", error)
        return False
