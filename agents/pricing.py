"""Lists of prices: proposed from a file, applied as they were shown, undone; each stays with what it changed.

A price set by hand on a model's page belongs to no list. A list that is undone gives back what stood before it, a
list's or a hand's, to the models whose prices are still its own.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from agents import acting, audit, permissions
from agents.errors import Conflict, Invalid, NotFound
from agents.models import ModelRoute, PriceList, User
from agents.price_lists import Change, Price, changes, read

ACTION = "price.import"
FIELDS = ("price_input", "price_output", "price_cached")
# What was looked at and not applied is forgotten after this.
KEPT = timedelta(days=7)
MAX_SOURCE = 120


def seen_by(user: User) -> QuerySet[PriceList]:
    """Every list, for whoever may read prices from a file."""
    rows = PriceList.objects.select_related("made_by", "applied_by", "undone_by").defer("prices")
    return rows if permissions.may(user, ACTION) else rows.none()


def fetch(user: User, list_id: str) -> PriceList:
    """One of them; NotFound otherwise."""
    found = seen_by(user).filter(pk=list_id).first()
    if found is None:
        raise NotFound("List of prices")
    return found


def propose(user: User, source: str, data: bytes) -> PriceList:
    """Read a file and keep what it says, to be looked at; nothing is changed. Raises Invalid."""
    permissions.require(user, ACTION)
    source = source.strip()
    if not source or len(source) > MAX_SOURCE or not source.isprintable():
        raise Invalid(f"The name of a file has 1 to {MAX_SOURCE} visible characters.", field="source")
    prices = read(data)
    PriceList.objects.filter(applied_at=None, created_at__lt=timezone.now() - KEPT).delete()
    told = {name: [str(each.input), str(each.output), _text(each.cached)] for name, each in prices.items()}
    digest = hashlib.sha256(data).hexdigest()
    return PriceList.objects.create(source=source, sha256=digest, count=len(told), prices=told, made_by=user)


def again(user: User, list_id: str) -> PriceList:
    """The same list once more, to be looked at and applied anew."""
    old = fetch(user, list_id)
    return PriceList.objects.create(
        source=old.source, sha256=old.sha256, count=old.count, prices=old.prices, made_by=user
    )


def news(user: User, row: PriceList) -> list[Change]:
    """What the list would change now, of the models this person may edit."""
    prices = {
        name: Price(name, Decimal(told[0]), Decimal(told[1]), None if told[2] is None else Decimal(told[2]))
        for name, told in row.prices.items()
    }
    return [each for each in changes(user, prices) if each.is_news]


def digest_of(found: list[Change]) -> str:
    """Stands for exactly these changes, so that what is applied is what was shown."""
    told = [[each.route.pk, each.route.version, *map(str, each.after)] for each in found]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


@transaction.atomic
def apply(user: User, list_id: str, shown: str) -> PriceList:
    """Write what differs, each a change in the history of its route. ``shown`` is the digest of what was looked at.
    Raises NotFound, Conflict when it was applied before or would change something else by now."""
    row = _locked(user, list_id)
    if row.applied_at is not None:
        raise Conflict("This list was applied before.", reason="already_applied", action="Apply it again as a new one.")
    found = news(user, row)
    if digest_of(found) != shown:
        raise Conflict(
            "The list would change something else by now: prices or models were changed meanwhile.",
            reason="stale",
            action="Look at what it would change, then apply it.",
        )
    changed = []
    with acting.because(f"Prices from {row.source}"):
        for each in found:
            route = ModelRoute.objects.select_for_update().get(pk=each.route.pk)
            before = [*(_text(getattr(route, name)) for name in FIELDS), route.price_list_id]
            _write(route, each.after, row.pk)
            told = {"route": route.pk, "model": route.model, "before": before, "after": list(map(_text, each.after))}
            changed.append(told)
    row.changed, row.applied_at, row.applied_by = changed, timezone.now(), user
    row.save(update_fields=["changed", "applied_at", "applied_by"])
    audit.note("prices_applied", actor=user, source=row.source, sha256=row.sha256, changed=len(changed))
    return row


@transaction.atomic
def undo(user: User, list_id: str) -> int:
    """Give back what stood before to the models whose prices are still this list's; how many. Raises NotFound,
    Conflict when it was not applied, or undone before."""
    row = _locked(user, list_id)
    if row.applied_at is None or row.undone_at is not None:
        word = "undone before" if row.undone_at else "not applied"
        raise Conflict(f"This list was {word}.", reason="not_applied")
    before = {each["route"]: each["before"] for each in row.changed}
    mine = ModelRoute.objects.filter(pk__in=before, price_list=row)
    count = 0
    with acting.because(f"Prices from {row.source} undone"):
        for route in permissions.visible(user, mine, "route.edit").order_by("pk"):
            *prices, former = before[route.pk]
            known = PriceList.objects.filter(pk=former).exists()
            _write(route, [None if each is None else Decimal(each) for each in prices], former if known else None)
            count += 1
    row.undone_at, row.undone_by = timezone.now(), user
    row.save(update_fields=["undone_at", "undone_by"])
    audit.note("prices_undone", actor=user, source=row.source, sha256=row.sha256, changed=count)
    return count


def visible_changes(user: User, row: PriceList) -> list[dict[str, Any]]:
    """What an applied list changed, of the models this person may see."""
    keys = [each["route"] for each in row.changed]
    seen = set(permissions.visible(user, ModelRoute.objects.filter(pk__in=keys)).values_list("pk", flat=True))
    return [each for each in row.changed if each["route"] in seen]


def _locked(user: User, list_id: str) -> PriceList:
    row = PriceList.objects.select_for_update().filter(pk=list_id).first() if permissions.may(user, ACTION) else None
    if row is None:
        raise NotFound("List of prices")
    return row


def _write(route: ModelRoute, prices: Any, list_id: str | None) -> None:
    for name, value in zip(FIELDS, prices, strict=True):
        setattr(route, name, value)
    route.price_list_id = list_id
    route.save(update_fields=[*FIELDS, "price_list", "updated_at"])


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
