"""What may be spent, and what was: budgets, and one charge for every model call that a run made."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models

from agents import ids
from agents.guarding import Rows
from agents.models import Agent, ModelRoute
from agents.models.history import Changes
from agents.models.shared import Versioned


class BudgetScope(models.TextChoices):
    """Whose spending a budget counts."""

    SITE = "site", "This Logos"
    PERSON = "person", "A person"
    AGENT = "agent", "An agent"
    SCHEDULE = "schedule", "A schedule"
    CONVERSATION = "conversation", "A conversation"
    RUN = "run", "A run"


class Window(models.TextChoices):
    """Over which time a budget counts."""

    DAY = "day", "The last 24 hours"
    MONTH = "month", "The calendar month"
    LIFE = "life", "Its whole life"


class UnknownPrice(models.TextChoices):
    """What a budget does about a model whose price nobody has told."""

    REFUSE = "refuse", "Refuse the call"
    AT_LEAST = "at_least", "Allow it and count nothing: figures say “at least”"
    ASSUME = "assume", "Count it at the price given here"


class OnLimit(models.TextChoices):
    """What becomes of the next message when a budget is used up."""

    REFUSE = "refuse", "Refuse it"
    FALLBACK = "fallback", "Let a local model answer until there is room again"


def _price(of: str) -> models.DecimalField[Decimal | None, Decimal | None]:
    return models.DecimalField(
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text=f"USD per million {of} tokens, for models whose price is unknown.",
    )


class Budget(Versioned):
    """A limit on what may be spent. Without a person, agent or subject it holds for each one of its scope."""

    permission = Rows(root="agent")

    id = models.CharField(primary_key=True, max_length=40, default=ids.budget_id, editable=False)
    name = models.CharField(max_length=80, blank=True, help_text="Empty: called after what it limits.")
    scope = models.CharField(max_length=12, choices=BudgetScope.choices)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="budgets")
    agent = models.ForeignKey(Agent, models.CASCADE, null=True, blank=True, related_name="budgets")
    subject = models.CharField(
        max_length=40, blank=True, help_text="The id of one schedule, conversation or run; empty means each one."
    )
    window = models.CharField(max_length=5, choices=Window.choices)
    zone = models.CharField(max_length=40, default="UTC", help_text="The time zone in which months begin.")
    amount = models.DecimalField(
        max_digits=12, decimal_places=6, validators=[MinValueValidator(Decimal(0))], help_text="USD"
    )
    unknown_price = models.CharField(max_length=8, choices=UnknownPrice.choices, default=UnknownPrice.REFUSE)
    assumed_input = _price("input")
    assumed_output = _price("output")
    on_limit = models.CharField(max_length=8, choices=OnLimit.choices, default=OnLimit.REFUSE)
    fallback = models.ForeignKey(ModelRoute, models.SET_NULL, null=True, blank=True, related_name="+")
    is_active = models.BooleanField(default=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = Changes()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["is_active", "scope"])]

    def __str__(self) -> str:
        return self.name or f"${self.amount:.2f} for {self.get_scope_display().lower()}"


class ChargeState(models.TextChoices):
    """Whether a call may still cost more."""

    OPEN = "open", "Reserved"
    SETTLED = "settled", "Settled"


class Basis(models.TextChoices):
    """Where a charge's figure comes from."""

    HELD = "held", "What was reserved"
    USAGE = "usage", "What the provider told"
    COUNTED = "counted", "Counted as it passed"
    RECORD = "record", "The call's record"
    NOTHING = "nothing", "Nothing was used"


class Charge(models.Model):
    """What one model call costs: while it is open, what is reserved for it; then, what it cost.

    ``amount`` is therefore at every moment what counts, and the sum over a person's, an agent's or a run's rows is
    what they have spent. In billionths of a dollar, because every database adds whole numbers exactly.
    """

    permission = Rows(root="agent")

    id = models.CharField(primary_key=True, max_length=40, editable=False)  # of the call
    run_id = models.CharField(max_length=40)
    conversation_id = models.CharField(max_length=40)
    schedule_id = models.CharField(max_length=40, blank=True)
    agent = models.ForeignKey(Agent, models.SET_NULL, null=True, related_name="charges")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="charges")
    route_id = models.CharField(max_length=40)
    model = models.CharField(max_length=200)
    state = models.CharField(max_length=8, choices=ChargeState.choices, default=ChargeState.OPEN)
    holder = models.CharField(max_length=60, blank=True, help_text="The engine that carries the call.")
    amount = models.BigIntegerField(help_text="Billionths of a dollar.")
    is_priced = models.BooleanField(help_text="Without a price the amount is 0 and sums say 'at least'.")
    basis = models.CharField(max_length=8, choices=Basis.choices, default=Basis.HELD)
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField(default=0)
    opened_at = models.DateTimeField(db_index=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-opened_at"]
        indexes = [
            models.Index(fields=["agent", "opened_at"]),
            models.Index(fields=["person", "opened_at"]),
            models.Index(fields=["run_id"]),
            models.Index(fields=["conversation_id"]),
            models.Index(fields=["schedule_id", "opened_at"]),
            # What is under way, without reading what is over.
            models.Index(fields=["holder"], condition=models.Q(state="open"), name="charges_under_way"),
        ]

    def __str__(self) -> str:
        return f"{self.model} ${self.amount / 1_000_000_000:.4f} ({self.run_id})"


class BudgetWarning(models.Model):
    """That somebody was told how much of a budget is used: once for each threshold and window."""

    permission = Rows(root="budget__agent")

    budget = models.ForeignKey(Budget, models.CASCADE, related_name="warnings")
    bucket = models.CharField(max_length=60, help_text="Which one, of a budget that holds for each one.")
    threshold = models.PositiveSmallIntegerField(help_text="Percent.")
    used = models.BigIntegerField(help_text="Billionths of a dollar.")
    run_id = models.CharField(max_length=40, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["budget", "bucket", "at"])]

    def __str__(self) -> str:
        return f"{self.threshold} % of {self.budget}"
