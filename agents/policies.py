"""Write policies: create, change and delete them, with what holds for every door, and try one host on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from agents import acting, four_eyes, permissions, programs, rule_lines
from agents.editing import editing
from agents.errors import Conflict, Invalid
from agents.invisible import first_hidden
from agents.models import Agent, Policy, Preset, User, Visibility
from agents.models.history import REASON_LENGTH, one_record
from agents.reach import Reach, Rule, Verdict, parse
from agents.reaching import rules_in

MAX_NAMED = 5


def clean_name(name: str, what: str = "A policy") -> str:
    """The name without surrounding blanks; Invalid when empty, too long or holding what cannot be seen."""
    name = name.strip()
    if not 1 <= len(name) <= 80 or "\n" in name or "\t" in name or first_hidden(name) is not None:
        raise Invalid(f"{what}'s name has 1 to 80 visible characters.", field="name")
    return name


def clean_rules(given: Any) -> list[dict[str, Any]]:
    """Rules, as rows or as a policy's JSON, in their one spelling. Invalid as ``agents.reach.parse``, and for programs
    that can never be told."""
    if isinstance(given, tuple) and all(isinstance(each, Rule) for each in given):
        given = [rule.as_json() for rule in given]
    rules = parse(given)
    programs.check(rules)
    return [rule.as_json() for rule in rules]


@four_eyes.proposes
@transaction.atomic
def create(
    owner: User,
    name: str,
    rules: Any = (),
    *,
    description: str = "",
    visibility: str = Visibility.PRIVATE,
    preset_ids: Iterable[str] = (),
) -> Policy:
    """A new policy of ``owner``, who must be allowed to add policies. ``rules`` as ``clean_rules`` takes them."""
    permissions.require(owner, "policy.create")
    policy = Policy(owner=owner, visibility=visibility)
    _fill(policy, {"name": name, "description": description, "rules": rules})
    included = chosen(preset_ids)
    _ask_for_new(policy, included)
    _saved(policy)
    if included:
        policy.presets.set(included)
    return policy


def _ask_for_new(policy: Policy, included: list[Preset]) -> None:
    """A new policy that allows something waits, as its changes do."""
    after = four_eyes.rules_with(policy, policy.rules, included)
    if not four_eyes.waits() or not four_eyes.widens((), after):
        return
    if Policy.objects.filter(name=policy.name).exists():
        raise _name_taken()
    said = four_eyes.proposal_of(policy, (), after, figures="", fields={})
    subject = {
        "policy": policy.name,
        "newly_allowed": "\n".join(said.adds),
        "fields": {
            "name": policy.name,
            "rules": policy.rules,
            "description": policy.description,
            "visibility": str(policy.visibility),
            "preset_ids": sorted(each.pk for each in included),
        },
    }
    raise four_eyes.SecondPerson(wish=four_eyes.Wish("policy_new", f"Write the policy {policy.name}", subject))


def _carry_new(owner: User, subject: dict[str, Any]) -> None:
    create(owner, **subject["fields"])


four_eyes.CARRY["policy_new"] = _carry_new


def change(user: User, policy_id: str, version: int, **fields: Any) -> Policy:
    """Set these of name, description, rules and preset_ids. Raises NotFound, Stale when somebody saved since
    ``version``, Invalid, Conflict for a name that is taken. Nothing is saved when nothing differs."""
    with editing(user, "policy.edit", Policy.objects.all(), policy_id, version) as policy:
        before = (policy.name, policy.description, policy.rules)
        _fill(policy, fields)
        held = set(policy.presets.all())
        wanted = set(chosen(fields["preset_ids"])) if "preset_ids" in fields else held
        if held == wanted and before == (policy.name, policy.description, policy.rules):
            return policy
        says_other = held != wanted or before[2] != policy.rules
        figures = foreseen(user, policy, wanted) if says_other else ""
        proposal = _proposed(policy, wanted, figures) if says_other and four_eyes.waits() else None
        if proposal is None:
            with one_record(policy), acting.because(acting.reason() or figures):
                policy.presets.remove(*(held - wanted))
                policy.presets.add(*(wanted - held))
                return _saved(policy)
    # After the block, so that nothing of it is undone with the refusal.
    raise four_eyes.SecondPerson(four_eyes.DESK[0](user, proposal) if four_eyes.DESK else "")


# Rooms above say in a sentence what a change would have done, for its history: (who changes, the policy with the rules
# it would have, the presets it would include).
FORESEEN: list[Callable[[User, Policy, Iterable[Preset]], str]] = []


def foreseen(user: User, policy: Policy, presets: Iterable[Preset]) -> str:
    """What the change would have done to what was recorded."""
    return " ".join(filter(None, (each(user, policy, presets) for each in FORESEEN)))[:REASON_LENGTH]


def _proposed(policy: Policy, presets: set[Preset], figures: str) -> four_eyes.Proposal | None:
    """The change as a proposal if it allows more; None when it may be saved."""
    before, after = four_eyes.rules_now(policy), four_eyes.rules_with(policy, policy.rules, presets)
    if not four_eyes.widens(before, after):
        return None
    kept = {"name": policy.name, "description": policy.description, "rules": policy.rules}
    fields = {**kept, "preset_ids": sorted(each.pk for each in presets)}
    return four_eyes.proposal_of(policy, before, after, figures=figures, fields=fields)


def chosen(ids: Iterable[str], *, lock: bool = True) -> list[Preset]:
    """The presets of these ids; ``lock``: nobody deletes them meanwhile. Raises Invalid for one that is not there."""
    wanted, rows = list(dict.fromkeys(ids)), Preset.objects.all()
    found = {row.pk: row for row in (rows.select_for_update() if lock else rows).filter(pk__in=wanted)}
    if unknown := [each for each in wanted if each not in found]:
        raise Invalid(f"There is no preset {unknown[0][:60]!r}.", field="preset_ids", action="Look at the library.")
    return [found[each] for each in wanted]


def may_change(user: User, policy_id: str) -> Policy:
    """The policy, if ``user`` may edit it; NotFound otherwise."""
    return permissions.fetch(user, "policy.edit", Policy.objects.all(), pk=policy_id)


def remove(user: User, policy_id: str) -> None:
    """Delete a policy for which no living agent needs it; Conflict otherwise, naming the agents ``user`` may see."""
    with editing(user, "policy.manage", Policy.objects.all(), policy_id, None) as policy:
        using = Agent.objects.alive().filter(policies=policy)
        if using.exists():
            raise Conflict(
                f"This policy is used by {named_agents(user, using)}.", action="Take it from those agents first."
            )
        policy.delete()


def named_agents(user: User, agents: Any) -> str:
    """The names ``user`` may see, for a sentence; of the others only that there are some."""
    seen = list(permissions.visible(user, agents).order_by("name").values_list("name", flat=True)[: MAX_NAMED + 1])
    is_more = len(seen) > MAX_NAMED or agents.exclude(pk__in=permissions.visible(user, agents).values("pk")).exists()
    if not seen:
        return "agents you may not see"
    return ", ".join(seen[:MAX_NAMED]) + (" and others" if is_more else "")


def would_reach(policy: Policy, host: str, port: int, binary: str = "") -> Verdict:
    """Would an agent that has only this policy reach this host and port? The same rule the egress proxy decides by."""
    try:
        return Reach(rules_in(policy)).decide(host.strip(), port, binary.strip())
    except Invalid as error:
        return Verdict(False, "", f"This policy cannot be used: {error.message}")


def _fill(policy: Policy, fields: dict[str, Any]) -> None:
    if "name" in fields:
        policy.name = clean_name(fields["name"])
    if "description" in fields:
        policy.description = fields["description"].strip()
        if len(policy.description) > 300:
            raise Invalid("A description may have 300 characters.", field="description")
    if "rules" in fields:
        policy.rules = clean_rules(fields["rules"])


def _saved(policy: Policy) -> Policy:
    try:
        with transaction.atomic():
            policy.save()
    except IntegrityError as error:
        raise _name_taken() from error
    return policy


def _name_taken() -> Conflict:
    return Conflict("This name is taken.", reason="name_taken", action="Choose another one.")


class RuleLines(forms.CharField):
    """A form field of rules, one a line (or JSON), as a policy stores them."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return rule_lines.write(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[dict[str, Any]]:
        try:
            return clean_rules(rule_lines.read(super().clean(value) or ""))
        except Invalid as error:
            raise ValidationError(f"{error.message} {error.action}".strip()) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)
