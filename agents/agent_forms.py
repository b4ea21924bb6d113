"""The forms of an agent's pages: what can be chosen, and the words beside it; the rules are those of ``composition``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms

from agents import choosing, permissions, sprites, starters
from agents.models import Agent, ModelRoute, Policy, Soul, User, Visibility
from agents.toolsets import TOOLSETS

# Of more than these one types the name: a list of thousands helps nobody, and is a heavy page.
MAX_OPTIONS = 60
STARTER = "starter:"
# What an agent has and the person may not see; saving keeps it.
KEPT = "keep"

Options = list[tuple[str, str]]


class Offered(forms.ChoiceField):
    """A choice; a starter soul may be chosen on a page that is older than one's copy of it."""

    def valid_value(self, value: Any) -> bool:
        return super().valid_value(value) or value.removeprefix(STARTER) in [s.slug for s in starters.every()]


class AgentForm(forms.Form):
    """A new agent, or with ``agent`` how that one is composed."""

    name = forms.CharField(max_length=60, strip=True)
    description = forms.CharField(max_length=300, required=False, widget=forms.Textarea(attrs={"rows": 2}))
    soul = forms.CharField(max_length=100)
    route = forms.CharField(label="Model", max_length=250, required=False)
    tools = forms.ChoiceField(
        choices=(("soul", "What the soul suggests"), ("own", "Exactly these")), widget=forms.RadioSelect, initial="soul"
    )
    toolsets = forms.MultipleChoiceField(
        choices=[(name, name) for name in TOOLSETS], required=False, widget=forms.CheckboxSelectMultiple
    )
    policies = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    visibility = forms.ChoiceField(
        choices=Visibility.choices, widget=forms.RadioSelect, initial=Visibility.PRIVATE, label="Who may use it"
    )
    sprite_shape = forms.ChoiceField(required=False, label="Shape", widget=forms.RadioSelect)
    sprite_palette = forms.ChoiceField(required=False, label="Colours", widget=forms.RadioSelect)
    prepare = forms.BooleanField(required=False, initial=True, label="Prepare its sandbox now")
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    use_required_attribute = False

    def __init__(self, user: User, *args: Any, agent: Agent | None = None, manages: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user, self.agent = user, agent
        self._offer("soul", soul_options(user, agent))
        self._offer("route", route_options(user, agent))
        shown = policy_options(user, agent)
        self._choice("policies").choices = shown
        self._choice("sprite_shape").choices = [("", "Its own"), *((name, name) for name in sprites.SHAPES)]
        self._choice("sprite_palette").choices = [("", "Its own"), *((name, name) for name in sprites.PALETTES)]
        if not shown:
            del self.fields["policies"]
        if not manages:
            del self.fields["visibility"]
        if agent is not None:
            del self.fields["tools"], self.fields["prepare"]

    def _choice(self, name: str) -> Any:
        return self.fields[name]

    def _offer(self, name: str, options: Options) -> None:
        """A list to choose from, or with too many a field to type the name into, with some as suggestions."""
        old = self.fields[name]
        if len(options) <= MAX_OPTIONS:
            self.fields[name] = Offered(
                choices=_grouped(options), required=old.required, label=old.label, initial=old.initial
            )
        else:
            old.widget.attrs["list"] = f"{name}-options"
            old.help_text = "There are many: type the name it has in addresses, or its id."
            self.suggestions = getattr(self, "suggestions", {}) | {name: options[:MAX_OPTIONS]}

    @property
    def toolset_rows(self) -> list[dict[str, Any]]:
        """Every toolset with its sentence, and what the agent's soul says of it."""
        lists = self.agent.soul.toolsets if self.agent and not getattr(self.agent, "hides_soul", False) else None
        chosen = set(self["toolsets"].value() or ())
        return [
            {
                "name": name,
                "sentence": sentence,
                "is_chosen": name in chosen,
                "is_enforced": bool(lists and name in lists.enforced),
                "is_forbidden": bool(lists and name in lists.forbidden),
            }
            for name, sentence in TOOLSETS.items()
        ]

    @property
    def seed(self) -> str:
        return self.agent.pk if self.agent else "new"

    @property
    def shapes(self) -> list[dict[str, str]]:
        """Pictures to choose a shape by, in the colours the agent has."""
        palette = self["sprite_palette"].value() or ""
        options = [("", "its own"), *((name, name) for name in sprites.SHAPES)]
        return [self._picture("sprite_shape", value, word, value, palette) for value, word in options]

    @property
    def palettes(self) -> list[dict[str, str]]:
        """Pictures to choose the colours by, in the shape the agent has."""
        shape = self["sprite_shape"].value() or ""
        options = [("", "its own"), *((name, name) for name in sprites.PALETTES)]
        return [self._picture("sprite_palette", value, word, shape, value) for value, word in options]

    def _picture(self, field: str, value: str, word: str, shape: str, palette: str) -> dict[str, Any]:
        picture = sprites.svg(sprites.look(self.seed, shape, palette))
        is_chosen = (self[field].value() or "") == value
        return {"value": value, "word": word, "picture": picture, "is_chosen": is_chosen}


def _grouped(options: Options) -> list[Any]:
    own = [option for option in options if not option[0].startswith(STARTER)]
    starter = [option for option in options if option[0].startswith(STARTER)]
    return [*own, ("Starter souls, copied for you", starter)] if starter else own


def soul_options(user: User, agent: Agent | None = None) -> Options:
    """Souls one may choose (those one has first), the starters one has not copied yet, and what the agent has."""
    rows: list[Soul] = list(choosing.souls_for(user).order_by("name", "pk")[: MAX_OPTIONS + 1])
    if agent is not None and not agent.hides_soul and agent.soul not in rows:
        rows.insert(0, agent.soul)
    copied = {row.origin.removeprefix(STARTER).partition("@")[0] for row in rows if row.origin.startswith(STARTER)}
    options = [(row.pk, row.name) for row in rows]
    if agent is not None and agent.hides_soul:
        options.insert(0, (KEPT, "Keep the soul it has, which you may not see"))
    if permissions.may(user, "soul.create"):
        options += [(f"{STARTER}{s.slug}", s.sheet.name) for s in starters.every() if s.slug not in copied]
    return options


def route_options(user: User, agent: Agent | None = None) -> Options:
    """The default, the routes one may see, and what the agent has."""
    rows = permissions.visible(user, ModelRoute.objects.select_related("provider"))
    found = list(rows.order_by("model", "pk")[: MAX_OPTIONS + 1])
    default = next((row.model for row in found if row.is_default), "")
    options = [("", f"The default ({default})" if default else "The default")]
    if agent is not None and agent.hides_route:
        options.append((KEPT, "Keep the model it has, which you may not see"))
    elif agent is not None and agent.route is not None and agent.route not in found:
        found.append(agent.route)
    return [*options, *((row.pk, f"{row.model} · {row.provider.name}") for row in found)]


def policy_options(user: User, agent: Agent | None = None) -> Options:
    """The policies one may see: those of the agent, then others."""
    rows = permissions.visible(user, Policy.objects.all())
    own = list(rows.filter(agents=agent).order_by("name")) if agent is not None else []
    others = rows.exclude(pk__in=[row.pk for row in own]).order_by("name")[:MAX_OPTIONS]
    return [(row.pk, row.name) for row in [*own, *others]]


def initial_of(agent: Agent, policies: Iterable[Policy]) -> dict[str, Any]:
    """What the form shows of an agent; ``composed.mark`` has noted what is hidden."""
    return {
        "name": agent.name,
        "description": agent.description,
        "soul": KEPT if agent.hides_soul else agent.soul_id,
        "route": KEPT if agent.hides_route else agent.route_id or "",
        "toolsets": agent.toolsets,
        "policies": [policy.pk for policy in policies],
        "visibility": agent.visibility,
        "sprite_shape": agent.sprite_shape,
        "sprite_palette": agent.sprite_palette,
        "version": agent.version,
    }
