"""Tell people that something waits for them, without saying what: by push at once, by e-mail seldom.

Whoever may decide is told (``runs.approvals.open_for``), each as they chose. Neither a push nor a mail holds a command,
a host, the name of an agent or what anybody said: it waits behind the sign-in. Sending happens in background work, after
the question is committed, and a lost task costs a notice, never a question.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from agents.errors import Conflict, Invalid
from agents.models import User
from channels_app import confirming, mailing, pushing
from channels_app.models import Notices, PushDevice
from runs import approvals
from runs.models import Approval, Conversation
from runs.noticed import concerned

# Questions that come in a row are one notice; the number in it tells how many.
QUIET_S = 20
TOPIC = "logos-waiting"
WROTE_TOPIC = "logos-wrote"
NOTICED_TOPIC, NOTICED_TTL_S = "logos-noticed", 3600
# A try goes to every browser one has switched on.
TRY_AGAIN_S = 10


def wants(person: User) -> Notices:
    """What this person chose; what holds for everyone until they do."""
    return Notices.objects.filter(user=person).first() or Notices(user=person)


def choose(person: User, *, by_push: bool, by_mail: bool) -> Notices:
    """Set it."""
    row, _ = Notices.objects.update_or_create(
        user=person, defaults={"by_push": by_push, "by_mail": by_mail, "owes_mail": False}
    )
    return row


def change(person: User, *, by_push: bool | None = None, by_mail: bool | None = None) -> Notices:
    """Set what is not None. Invalid for mail that could not be sent."""
    now = wants(person)
    if by_mail and not (mailing.is_set_up() and person.email):
        raise Invalid(
            "No mail can be sent to you.",
            field="by_mail",
            action="It needs a mail server (LOGOS_MAIL_URL) and an e-mail address in your account.",
        )
    if by_mail and not confirming.is_confirmed(person):
        raise Invalid(
            "Your address is not confirmed.",
            field="by_mail",
            action="Ask for a code and enter it, so that nobody else gets your mail.",
        )
    wished = (now.by_push if by_push is None else by_push, now.by_mail if by_mail is None else by_mail)
    return choose(person, by_push=wished[0], by_mail=wished[1])


def try_out(person: User, *, by_mail: bool = False) -> tuple[int, bool]:
    """Send a push to every browser of this person, and a mail if wished; who took it. Conflict when it was just done."""
    if not cache.add(f"notices-try:{person.pk}", True, timeout=TRY_AGAIN_S):
        raise Conflict("One was sent a moment ago.", action="Look at your browsers, then try again.")
    trial = {"title": "Logos can reach you here", "body": "This is a try.", "url": reverse("account-notifications")}
    mailed = by_mail and mailing.is_set_up() and confirming.is_confirmed(person) and mailing.send(person, 0)
    return pushing.push(person, trial, ttl_s=60), mailed


def asked(approval_id: str) -> int:
    """Tell whoever may decide this question; how many were told. Nothing once it is decided."""
    question = Approval.objects.filter(pk=approval_id).first()
    if question is None:
        return 0
    return sum(_tell(person, question) for person in candidates() if _may_decide(person, question))


def noticed(agent_id: str, run_id: str) -> int:
    """Tell whom it concerns that an agent did something people are to be told of, and not what; how many were told."""
    people = candidates().filter(pk__in=concerned(agent_id, run_id).values("pk"))
    return sum(_tell_noticed(person) for person in people)


def _tell_noticed(person: User) -> bool:
    wished = wants(person)
    pushed = wished.by_push and pushing.push(person, noticed_message(), ttl_s=NOTICED_TTL_S, topic=NOTICED_TOPIC)
    quiet_s = settings.LOGOS_MAIL_MINUTES * 60
    may_mail = wished.by_mail and mailing.is_set_up() and confirming.is_confirmed(person)
    mailed = may_mail and cache.add(f"noticed-mail:{person.pk}", True, timeout=quiet_s) and mailing.send_noticed(person)
    return bool(pushed or mailed)


def noticed_message() -> dict[str, object]:
    """What such a push says."""
    title, body = "An agent did something you are told of", "Nothing waits for you. Open Logos to see what it did."
    return {"title": title, "body": body, "url": reverse("runs:approvals-noticed")}


def wrote(conversation_id: str) -> bool:
    """Tell the person of this chat that an agent wrote to them unasked, and not what; was anything sent?"""
    talk = Conversation.objects.filter(pk=conversation_id).first()
    person = candidates().filter(pk=talk.owner_id).first() if talk is not None else None
    if talk is None or person is None:
        return False
    wished = wants(person)
    pushed = wished.by_push and pushing.push(person, wrote_message(talk), ttl_s=NOTICED_TTL_S, topic=WROTE_TOPIC)
    may_mail = wished.by_mail and mailing.is_set_up() and confirming.is_confirmed(person)
    quiet_s = settings.LOGOS_MAIL_MINUTES * 60
    mailed = may_mail and cache.add(f"wrote-mail:{person.pk}", True, timeout=quiet_s) and mailing.send_wrote(person)
    return bool(pushed or mailed)


def wrote_message(talk: Conversation) -> dict[str, object]:
    """What such a push says, and where it leads."""
    where = reverse("runs:chat-conversation", args=[talk.pk])
    return {"title": "An agent wrote to you", "body": "Nothing waits for you. Open Logos to read it.", "url": where}


def candidates() -> QuerySet[User]:
    """Who can be told at all."""
    has_browser = Q(pk__in=PushDevice.objects.values("user")) & ~Q(notices__by_push=False)
    has_mail = Q(notices__by_mail=True) & ~Q(email="")
    return User.objects.filter(has_browser | has_mail, is_active=True).select_related("notices")


def settle() -> int:
    """Send the mails that had to wait; how many."""
    owed = candidates().filter(notices__owes_mail=True)
    return sum(_mail(person, approvals.count_for(person)) for person in owed)


def _may_decide(person: User, question: Approval) -> bool:
    return approvals.open_for(person).filter(pk=question.pk).exists()


def _tell(person: User, question: Approval) -> bool:
    row, _ = Notices.objects.get_or_create(user=person)
    count = approvals.count_for(person)
    left_s = max(1, int((question.expires_at - timezone.now()).total_seconds()))
    pushed = row.by_push and _claim(person, "pushed_at", QUIET_S) and _push(person, question, count, left_s)
    mailed = row.by_mail and _mail(person, count)
    return bool(pushed or mailed)


def _push(person: User, question: Approval, count: int, left_s: int) -> int:
    return pushing.push(person, message(question, count), ttl_s=left_s, topic=TOPIC)


def message(question: Approval, count: int) -> dict[str, object]:
    """What a push says, and where it leads: one question, or all of them."""
    title = "An agent waits for you" if count < 2 else f"{count} requests wait for you"
    where = reverse("runs:approval", args=[question.pk]) if count < 2 else reverse("runs:approvals")
    return {"title": title, "body": "Open Logos to see what it asks.", "url": where, "count": count}


def _mail(person: User, count: int) -> bool:
    if not count:
        Notices.objects.filter(user=person).update(owes_mail=False)
        return False
    if not mailing.is_set_up() or not confirming.is_confirmed(person):
        return False
    if not _claim(person, "mailed_at", settings.LOGOS_MAIL_MINUTES * 60):
        Notices.objects.filter(user=person).update(owes_mail=True)
        return False
    Notices.objects.filter(user=person).update(owes_mail=False)
    return mailing.send(person, count)


def _claim(person: User, column: str, quiet_s: float) -> bool:
    """Is it time again? True for one caller only, however many ask at once."""
    now = timezone.now()
    due = Q(**{column: None}) | Q(**{f"{column}__lte": now - timedelta(seconds=quiet_s)})
    return bool(Notices.objects.filter(due, user=person).update(**{column: now}))
