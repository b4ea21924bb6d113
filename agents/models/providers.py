"""Where models come from: providers with a sealed key, and routes (provider and model) that agents use."""

from __future__ import annotations

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models

from agents import ids, secrets
from agents.addresses import web_address
from agents.models.history import Changes
from agents.models.shared import Shareable, Versioned, levels


class ProviderKind(models.TextChoices):
    """How a provider is spoken to."""

    REHEARSAL = "rehearsal", "Rehearsal model (built in, scripted, no key)"
    OPENAI_COMPATIBLE = "openai-compatible", "OpenAI-compatible address"
    ANTHROPIC = "anthropic", "Anthropic (Messages)"


class Provider(Versioned):
    """A place that answers model calls. The key is sealed and never shown again."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.provider_id, editable=False)
    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=20, choices=ProviderKind.choices)
    base_url = models.CharField("address", max_length=300, blank=True, validators=[web_address])
    sealed_key = models.TextField(blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = Changes(secret=("sealed_key",))

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def has_key(self) -> bool:
        return bool(self.sealed_key)

    def set_key(self, key: str) -> None:
        """Seal ``key`` into this row; save it yourself."""
        self.sealed_key = secrets.seal(key.strip())


class ModelRoute(Shareable):
    """One model of one provider, with its prices. Exactly one route is the default (``agents.routes``)."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.route_id, editable=False)
    provider = models.ForeignKey(Provider, models.PROTECT, related_name="routes")
    model = models.CharField(max_length=200)
    is_default = models.BooleanField(default=False, editable=False)
    context_length = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens; empty when unknown.")
    price_input = models.DecimalField(
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text="USD per million input tokens; empty means unknown, which is not free.",
    )
    price_output = models.DecimalField(
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text="USD per million output tokens; empty means unknown, which is not free.",
    )

    price_cached = models.DecimalField(
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text="USD per million input tokens read from the provider's cache; empty: as any other input.",
    )
    price_list = models.ForeignKey(
        "agents.PriceList",
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="routes",
        help_text="The file these prices are from; empty when they were set by hand.",
    )

    # Who is asked when this one's provider fails; it may have a fallback of its own (``agents.routes.chain``).
    fallback = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="stands_in_for",
        help_text="Asked when the provider of this model fails before its first word; of a provider of the same kind.",
    )

    history = Changes()

    class Meta:
        ordering = ["provider__name", "model"]
        permissions = levels("modelroute")
        constraints = [
            models.UniqueConstraint(fields=["provider", "model"], name="one_route_per_provider_and_model"),
            models.UniqueConstraint(
                fields=["is_default"], condition=models.Q(is_default=True), name="at_most_one_default_route"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} · {self.provider}"

    @property
    def wire(self) -> str:
        """The format in which its provider is asked: routes of one wire can stand in for each other."""
        return "anthropic" if self.provider.kind == ProviderKind.ANTHROPIC else "openai"

    @property
    def is_rehearsal(self) -> bool:
        return self.provider.kind == ProviderKind.REHEARSAL
