"""The ledger: what is reserved, extended and settled, many calls in one transaction.

The invariant that makes a crash harmless: nothing is sent to a provider, and nothing of its answer is passed on, that
the stored row of its call does not cover. A row's amount counts from the moment it is stored, so the sum over rows is
never less than what was spent; when a call ends, one conditional update puts what it cost in the place of what was
reserved. A call has one row, its own id: written twice it is written once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from agents.errors import LogosError
from runs.budgets import words
from runs.budgets.limits import Key, Limit, Spender, limits_of, rows_for
from runs.budgets.nano import Prices, cost, nano
from runs.budgets.using import Use, room_again_at, uses_of
from runs.budgets.warning import Told, warnings_for
from runs.models import Basis, Budget, Charge, ChargeState, EngineBeat, UnknownPrice
from sandboxes.claimants import is_dead
from sandboxes.models import InferenceCall

# An engine that was not heard of for so long is gone: three times its lease.
SILENCE = timedelta(seconds=45)


@dataclass(frozen=True, slots=True)
class Reserve:
    """Cover ``needed`` output tokens of a call, better ``wanted``; counted from its beginning. ``is_new``: it begins."""

    call_id: str
    spender: Spender
    route_id: str
    model: str
    prices: Prices | None
    input_tokens: int
    needed: int
    wanted: int
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Settle:
    """A call is over: what it used, and what that cost (None: unknown)."""

    call_id: str
    spender: Spender
    amount: int | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    basis: str


Op = Reserve | Settle


@dataclass(frozen=True, slots=True)
class Answer:
    """``covered`` output tokens are paid for; or ``refusal`` says why not. ``told``: thresholds just reached."""

    covered: int = 0
    refusal: LogosError | None = None
    told: tuple[Told, ...] = ()


@dataclass(slots=True)
class _Book:
    """What one transaction knows: the rows of its calls, its budgets and their use."""

    now: datetime
    holder: str
    rows: dict[str, Charge]
    budgets: list[Budget]
    uses: dict[tuple[str, str], tuple[Limit, Use]] = field(default_factory=dict)
    new: list[Charge] = field(default_factory=list)
    changed: dict[str, Charge] = field(default_factory=dict)
    touched: dict[str, list[Limit]] = field(default_factory=dict)

    def read(self, limits: dict[Key, Limit]) -> None:
        found = uses_of(list(limits.values()), self.now) if limits else {}
        self.uses = {key: (limits[key], use) for key, use in found.items()}

    def use(self, limit: Limit) -> Use:
        return self.uses[limit.key][1]


@transaction.atomic
def post(ops: list[Op], holder: str) -> list[Answer]:
    """Carry out these in order; one answer for each. Raises what the database raises: then nothing was written."""
    now = timezone.now()
    # Every transaction takes its budgets in the same order, so that two never wait for each other.
    budgets = list(rows_for({op.spender for op in ops}).select_for_update())
    rows = {row.pk: row for row in Charge.objects.filter(pk__in=[op.call_id for op in ops]).select_for_update()}
    book = _Book(now, holder, rows, budgets)
    book.read({limit.key: limit for spender in {op.spender for op in ops} for limit in limits_of(spender, budgets)})
    answers = [_reserve(book, op) if isinstance(op, Reserve) else _settle(book, op) for op in ops]
    Charge.objects.bulk_create(book.new)
    written = {row.pk for row in book.new}
    Charge.objects.bulk_update(
        [row for pk, row in book.changed.items() if pk not in written],
        ["state", "amount", "is_priced", "basis", "input_tokens", "output_tokens", "cached_tokens", "settled_at"],
        batch_size=100,
    )
    told = warnings_for(list(book.uses.values()), now)
    return [_with_warnings(book, op, answer, told) for op, answer in zip(ops, answers, strict=True)]


def _reserve(book: _Book, op: Reserve) -> Answer:
    row = book.rows.get(op.call_id)
    if (row is None and not op.is_new) or (row is not None and row.state != ChargeState.OPEN):
        return Answer(refusal=words.unchecked())  # somebody settled it, because this engine was taken for dead
    limits = book.touched[op.call_id] = limits_of(op.spender, book.budgets)
    granted = op.wanted
    for limit in limits:
        if op.prices is None and limit.unknown_price == UnknownPrice.REFUSE:
            return Answer(refusal=words.unpriced(limit, op.model))
        use = book.use(limit)
        room = limit.amount - use.amount + _counted(row, limit, op.prices)
        needed = limit.cost(op.input_tokens, op.needed, op.prices)
        if needed > max(room, 0):
            return Answer(refusal=words.over(limit, use.amount, room_again_at(limit, use.amount, book.now)))
        granted = min(granted, _share(limit, op, room - needed, use.open))
    _write(book, op, row, granted, limits)
    return Answer(covered=granted)


def _share(limit: Limit, op: Reserve, left: int, others: int) -> int:
    """How many output tokens a call may have ahead: of little, each of many calls gets a little."""
    one = limit.cost(0, 1_000_000, op.prices)
    if not one:
        return op.wanted
    return op.needed + left // (2 * max(others, 1)) * 1_000_000 // one


def _counted(row: Charge | None, limit: Limit, prices: Prices | None) -> int:
    """What a call's row counts in a budget already."""
    return (
        0 if row is None else row.amount if row.is_priced else limit.cost(row.input_tokens, row.output_tokens, prices)
    )


def _write(book: _Book, op: Reserve, row: Charge | None, granted: int, limits: list[Limit]) -> None:
    is_new = row is None
    if row is None:
        row = Charge(
            id=op.call_id,
            run_id=op.spender.run_id,
            conversation_id=op.spender.conversation_id,
            schedule_id=op.spender.schedule_id,
            agent_id=op.spender.agent_id,
            person_id=op.spender.person_id,
            route_id=op.route_id,
            model=op.model[:200],
            holder=book.holder,
            amount=0,
            is_priced=op.prices is not None,
            input_tokens=0,
            output_tokens=0,
            opened_at=book.now,
        )
        book.rows[op.call_id] = row
        book.new.append(row)
    amount = 0 if op.prices is None else cost(op.input_tokens, granted, op.prices)
    for limit in limits:
        use = book.use(limit)
        use.amount += limit.cost(op.input_tokens, granted, op.prices) - _counted(row, limit, op.prices)
        use.open += is_new
    row.amount, row.input_tokens, row.output_tokens = amount, op.input_tokens, granted
    book.changed[op.call_id] = row


def _settle(book: _Book, op: Settle) -> Answer:
    row = book.rows.get(op.call_id)
    if row is None or row.state != ChargeState.OPEN:
        return Answer()
    limits = book.touched[op.call_id] = limits_of(op.spender, book.budgets)
    for limit in limits:
        use = book.use(limit)
        before = row.amount if row.is_priced else limit.cost(row.input_tokens, row.output_tokens, None)
        after = limit.cost(op.input_tokens, op.output_tokens, None) if op.amount is None else op.amount
        use.amount, use.open = use.amount + after - before, use.open - 1
    row.state, row.settled_at, row.basis = ChargeState.SETTLED, book.now, op.basis
    row.amount, row.is_priced = op.amount or 0, op.amount is not None
    row.input_tokens, row.output_tokens, row.cached_tokens = op.input_tokens, op.output_tokens, op.cached_tokens
    book.changed[op.call_id] = row
    return Answer()


def _with_warnings(book: _Book, op: Op, answer: Answer, told: dict[tuple[str, str], Told]) -> Answer:
    if not told:
        return answer
    keys = {(limit.budget_id, limit.bucket) for limit in book.touched.get(op.call_id, ())}
    # The first call that touched the budget tells of it; pop, so that it is said once.
    said = tuple(told.pop(key) for key in list(told) if key in keys)
    return Answer(answer.covered, answer.refusal, said)


def settle_left(holders: Iterable[str]) -> int:
    """Settle the calls of engines that are gone: by what their record says, else by what was reserved. How many."""
    with transaction.atomic():
        rows = list(Charge.objects.filter(state=ChargeState.OPEN, holder__in=list(holders)).select_for_update())
        records = {call.pk: call for call in InferenceCall.objects.filter(pk__in=[row.pk for row in rows])}
        for row in rows:
            _settle_left(row, records.get(row.pk))
        Charge.objects.bulk_update(
            rows, ["state", "amount", "basis", "input_tokens", "output_tokens", "settled_at"], batch_size=100
        )
    return len(rows)


def _settle_left(row: Charge, record: InferenceCall | None) -> None:
    row.state, row.settled_at = ChargeState.SETTLED, timezone.now()
    if record is not None and record.cost is not None and row.is_priced:
        row.amount, row.basis = nano(record.cost), Basis.RECORD
        row.input_tokens = row.input_tokens if record.input_tokens is None else record.input_tokens
        row.output_tokens = row.output_tokens if record.output_tokens is None else record.output_tokens


def settle_left_by_others(me: str) -> int:
    """The same for every engine but ``me`` that has ended, or was not heard of for as long as its runs are its own."""
    going_on = Charge.objects.filter(state=ChargeState.OPEN).exclude(holder=me).order_by()
    holders = set(going_on.values_list("holder", flat=True).distinct())
    if not holders:
        return 0
    heard = timezone.now() - SILENCE
    alive = set(EngineBeat.objects.filter(owner__in=holders, seen_at__gt=heard).values_list("owner", flat=True))
    gone = [holder for holder in holders if holder not in alive or is_dead(holder)]
    return settle_left(gone) if gone else 0
