"""People, their role, and the API tokens they made."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models, transaction
from django.utils import timezone

from agents.errors import Conflict
from agents.models.history import Changes

# What ``User.max_agents`` holds for somebody without a limit.
NO_LIMIT = -1


class Role(models.TextChoices):
    """What a person may do at most; the matrix is in ``agents/actions.py``."""

    ADMIN = "admin", "Admin"
    OPERATOR = "operator", "Operator"
    USER = "user", "User"
    VIEWER = "viewer", "Viewer"


class Kind(models.TextChoices):
    """Who signs in, and what only ever holds tokens (``agents.service_accounts``)."""

    PERSON = "person", "Person"
    SERVICE = "service", "Service account"


class People(UserManager["User"]):
    """Makes people; a superuser made by Django's command is an admin here."""

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **extra: Any
    ) -> User:
        return super().create_superuser(username, email, password, **{**extra, "role": Role.ADMIN})


class User(AbstractUser):
    """One person. ``is_staff`` and ``is_superuser`` follow the role, so there is one truth.

    Somebody who applied and waits for an answer, and somebody erased, are not active either: ``applied_at`` and
    ``erased_at`` tell them from the suspended."""

    role = models.CharField(max_length=10, choices=Role.choices, default=Role.USER)
    max_agents = models.SmallIntegerField(
        "agents at most",
        null=True,
        blank=True,
        help_text=f"Empty: what LOGOS_MAX_AGENTS gives the role; {NO_LIMIT}: no limit.",
    )
    applied_at = models.DateTimeField(null=True, editable=False)
    refused_at = models.DateTimeField(null=True, editable=False)
    application = models.CharField(max_length=500, blank=True, editable=False)
    erased_at = models.DateTimeField(null=True, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.PERSON, editable=False)
    # Who answers for a service account; nobody for a person, and for one the team keeps.
    keeper = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, editable=False, related_name="kept")

    objects: ClassVar[People] = People()
    history = Changes(secret=("password",), quiet=("last_login",), m2m_fields=["groups"])

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.is_superuser = self.role == Role.ADMIN
        self.is_staff = self.role in (Role.ADMIN, Role.OPERATOR)
        if (fields := kwargs.get("update_fields")) is not None and "role" in fields:
            kwargs["update_fields"] = {*fields, "is_staff", "is_superuser"}
        with transaction.atomic():
            if not self._state.adding and (fields is None or {"role", "is_active"} & set(fields)):
                self._keep_an_admin()
            super().save(*args, **kwargs)

    def _keep_an_admin(self) -> None:
        """Raises Conflict if saving this row would leave no active admin. Whoever asks at the same time waits."""
        if self.role == Role.ADMIN and self.is_active:
            return
        admins = set(active_admins().select_for_update().values_list("pk", flat=True))
        if admins == {self.pk}:
            raise LastAdmin

    @property
    def is_admin(self) -> bool:
        return self.is_active and self.role == Role.ADMIN

    @property
    def state(self) -> str:
        """ "active", "suspended", "waiting" for an answer to their application, "refused" one, or "erased"."""
        if self.erased_at:
            return "erased"
        if self.is_active:
            return "active"
        if self.refused_at:
            return "refused"
        return "waiting" if self.applied_at else "suspended"

    @property
    def is_service(self) -> bool:
        return self.kind == Kind.SERVICE

    @property
    def display_name(self) -> str:
        name = self.get_full_name() or self.username
        return f"{name} (service account)" if self.is_service else name


class LastAdmin(Conflict):
    """Nobody could administer Logos any more."""

    def __init__(self) -> None:
        super().__init__("This is the last admin: make somebody else one first.", reason="last_admin")


def active_admins() -> models.QuerySet[User]:
    """The people (a program cannot sign in) who may administer right now, in an order, so that two who lock them do not wait for each other."""
    return User.objects.filter(role=Role.ADMIN, is_active=True, kind=Kind.PERSON).order_by("pk")


def keep_an_admin(instance: User, **rest: Any) -> None:
    """Receiver of ``post_delete``: raises LastAdmin, which undoes the deletion, if no admin is left by it."""
    if instance.is_admin and instance.kind == Kind.PERSON and not active_admins().select_for_update().exists():
        raise LastAdmin


class ApiToken(models.Model):
    """An API token of a person or a service account. Only its SHA-256 is kept; the token itself is shown once."""

    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    # Words of ``agents.scopes.SCOPES``, separated by blanks.
    scopes = models.CharField(max_length=60, default="admin", editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=16, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @classmethod
    def make(cls, user: User, name: str, days: int | None = None, scopes: str = "admin") -> tuple[ApiToken, str]:
        """A new token and its secret, which cannot be read again."""
        secret = f"logos_{secrets.token_urlsafe(32)}"
        expires_at = timezone.now() + timedelta(days=days) if days else None
        token = cls.objects.create(
            user=user,
            name=name[:80],
            scopes=scopes,
            digest=cls.digest_of(secret),
            hint=secret[:12],
            expires_at=expires_at,
        )
        return token, secret

    @staticmethod
    def digest_of(secret: str) -> str:
        # The secret has 256 random bits, so a plain fast hash cannot be searched.
        return hashlib.sha256(secret.encode()).hexdigest()

    @classmethod
    def live(cls, secret: str) -> ApiToken | None:
        """The token that opens with ``secret`` now, or None: not when it is revoked or over, nor when the person, or
        whoever keeps the service account, is suspended. Notes the use, at most once a minute."""
        now = timezone.now()
        token = (
            cls.objects.select_related("user")
            .filter(digest=cls.digest_of(secret), revoked_at=None, user__is_active=True)
            .filter(models.Q(expires_at=None) | models.Q(expires_at__gt=now))
            .filter(models.Q(user__keeper=None) | models.Q(user__keeper__is_active=True))
            .first()
        )
        if token is not None and (token.last_used_at is None or now - token.last_used_at > timedelta(minutes=1)):
            cls.objects.filter(pk=token.pk).update(last_used_at=now)
        return token
