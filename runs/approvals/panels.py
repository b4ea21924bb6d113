"""Panels as rows: which one a request is put to, and who says so. Admins set them; what they set is for later requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from agents import audit, permissions
from agents.editing import check_version
from agents.errors import Invalid, NotFound
from agents.gate.rules import rank
from agents.invisible import first_hidden
from agents.models import Agent, Policy, User
from runs.approvals.kinds import KINDS
from runs.models import Approval, ApprovalKind, Panel, Tier
from runs.models.panels import KINDS as KIND_CHOICES
from runs.models.panels import MOST_MINUTES, MOST_NEEDED, SEVERITIES

FIELDS = ("policy", "kind", "severity", "needed", "team", "escalate_min", "escalate_to", "note", "is_active")
MOST = 200


@dataclass(frozen=True, slots=True)
class Terms:
    """How one request is decided, as it is frozen into it."""

    needed: int
    panel: Panel | None = None
    team: Group | None = None
    escalates_at: datetime | None = None
    escalates_to: Group | None = None

    def freeze(self, asked: Approval) -> None:
        """Write them into a request that is not stored yet."""
        asked.needed, asked.panel, asked.team = self.needed, self.panel, self.team
        asked.team_name = self.team.name if self.team else ""
        asked.escalates_at, asked.escalates_to = self.escalates_at, self.escalates_to


def terms(kind: str, tier: str, agent: Agent | None, severity: str, needed: int = 1) -> Terms:
    """How such a request is decided: by its panel, or as the site's settings say. Never by fewer than ``needed``."""
    panel = chosen(kind, agent, severity)
    if panel is None:
        site = settings.LOGOS_APPROVERS if tier == Tier.ADMIN else 1
        wait_s = settings.LOGOS_ESCALATE_AFTER_S if tier == Tier.USER else 0
        wanted = max(needed, site)
        return Terms(1 if kind == ApprovalKind.QUESTION else max(1, wanted), escalates_at=_in(wait_s))
    wait_s = settings.LOGOS_ESCALATE_AFTER_S if panel.escalate_min is None else panel.escalate_min * 60
    # Operators decide what is put to operators: calling them changes something only where a team stands before them.
    if tier == Tier.ADMIN and panel.team is None and panel.escalate_to is None:
        wait_s = 0
    wanted = 1 if kind == ApprovalKind.QUESTION else max(needed, panel.needed, 1)
    return Terms(wanted, panel, panel.team, _in(wait_s), panel.escalate_to if wait_s else None)


def chosen(kind: str, agent: Agent | None, severity: str) -> Panel | None:
    """The most specific panel that fits: one for a policy before one for a kind before one for a severity; of equals the
    one that needs most people."""
    if agent is None or kind not in dict(KIND_CHOICES):
        return None
    held = Q(policy=None) | Q(policy__in=agent.policies.order_by().values("pk"))
    rows = Panel.objects.filter(held, Q(kind="") | Q(kind=kind), is_active=True).select_related("team", "escalate_to")
    fitting = [row for row in rows if not row.severity or rank(severity) >= rank(row.severity)]
    return max(fitting, key=_weight, default=None)


def _weight(row: Panel) -> tuple[bool, bool, int, int, str]:
    return row.policy_id is not None, bool(row.kind), rank(row.severity), row.needed, row.pk


def _in(seconds: int) -> datetime | None:
    return timezone.now() + timedelta(seconds=seconds) if seconds else None


def seen_by(user: User) -> QuerySet[Panel]:
    """Those one may see: admins all, others those of policies they see."""
    found = permissions.visible(user, Panel.objects.all())
    return found.select_related("policy", "team", "escalate_to", "made_by").order_by("-pk")


def fetch(user: User, panel_id: str) -> Panel:
    """One of them; NotFound otherwise."""
    found = seen_by(user).filter(pk=panel_id).first()
    if found is None:
        raise NotFound("Panel")
    return found


def create(user: User, **fields: Any) -> Panel:
    """A new panel, for requests from now on. Raises LogosError (one may not), Invalid."""
    permissions.require(user, "panel.set")
    if Panel.objects.count() >= MOST:
        raise Invalid(f"There are {MOST} panels already.", action="Delete one first.")
    row = Panel(made_by=user)
    _fill(row, fields)
    row.save()
    audit.note("panel_made", actor=user, panel=row.pk, says=says(row))
    return row


def change(user: User, panel_id: str, version: int | None, **fields: Any) -> Panel:
    """Set these fields; what waits already is not touched. Raises NotFound, Stale, Invalid."""
    permissions.require(user, "panel.set")
    with transaction.atomic():
        row = seen_by(user).select_for_update(of=("self",)).filter(pk=panel_id).first()
        if row is None:
            raise NotFound("Panel")
        check_version(row, version)
        before = says(row)
        _fill(row, fields)
        row.save()
        audit.note("panel_changed", actor=user, panel=row.pk, says=says(row), before=before)
        return row


def remove(user: User, panel_id: str) -> None:
    """Delete one; what waits already is not touched."""
    permissions.require(user, "panel.set")
    row = fetch(user, panel_id)
    audit.note("panel_removed", actor=user, panel=row.pk, says=says(row))
    row.delete()


def says(row: Panel) -> str:
    """What a panel says, in one sentence."""
    who = f"{row.team.name}" if row.team else "whoever decides it anyway"
    people = "one person" if row.needed == 1 else f"{row.needed} people"
    words = f"{people} of {who}" if row.team else (f"{people}: {who}" if row.needed > 1 else who)
    if row.escalate_min:
        then = row.escalate_to.name if row.escalate_to else "operators who manage the agent"
        words += f"; after {row.escalate_min} min also {then}"
    return words if row.is_active else f"{words} (off)"


def _fill(row: Panel, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if name not in FIELDS:
            raise Invalid(f"A panel has no {name}.", field=name)
        setattr(row, name, value.strip() if isinstance(value, str) else value)
    if row.kind and row.kind not in dict(KIND_CHOICES):
        raise Invalid("Panels are for commands, hosts, tool calls, MCP servers and questions.", field="kind")
    if row.severity and row.severity not in dict(SEVERITIES):
        raise Invalid("Choose low, medium, high or critical.", field="severity")
    if not 1 <= row.needed <= MOST_NEEDED:
        raise Invalid(f"1 to {MOST_NEEDED} people can be needed.", field="needed")
    if row.kind == ApprovalKind.QUESTION and row.needed > 1:
        raise Invalid("A question has one answer, so one person gives it.", field="needed")
    if row.escalate_min is not None and not 0 <= row.escalate_min <= MOST_MINUTES:
        raise Invalid(f"Others are called after 0 to {MOST_MINUTES:,} minutes.", field="escalate_min")
    if row.kind and row.escalate_min and row.escalate_min * 60 >= KINDS[row.kind].lifetime_s():
        raise Invalid(
            "Such a request is over by then.", field="escalate_min",
            action=f"It waits {KINDS[row.kind].lifetime_s() // 60} minutes.",
        )  # fmt: skip
    if row.escalate_to is not None and not row.escalate_min:
        raise Invalid("Say after how many minutes that group may decide too.", field="escalate_min")
    if row.escalate_to is not None and row.escalate_to == row.team:
        raise Invalid("That group decides it from the beginning.", field="escalate_to")
    if len(row.note) > 200 or not row.note.isprintable() or first_hidden(row.note) is not None:
        raise Invalid("A note is one line of at most 200 visible characters.", field="note")


def policies(user: User) -> QuerySet[Policy]:
    """Those a panel can be for."""
    return permissions.visible(user, Policy.objects.all()).order_by("name")
