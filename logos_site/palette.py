"""Search over pages, agents, souls, models, policies, runs, people and actions: the palette, and the page that does
the same without JavaScript.

Everything found goes through ``permissions.visible``; four queries at most, whatever there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Case, CharField, F, Model, Q, QuerySet, Value, When
from django.db.models.functions import Cast, Substr
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_safe

from agents import permissions
from agents.models import Agent, ModelRoute, Policy, Soul, User
from agents.views.access import person, signed_in
from logos_site import navigation
from runs.models import Run

M = TypeVar("M", bound=Model)

SHOWN = 6
MAX_TEXT = 100
# Text of messages is looked for in the newest runs only; the list of runs looks through all of them.
RECENT_RUNS = 1_000


@dataclass(frozen=True, slots=True)
class Hit:
    """Something to open, or an action: ``do`` names one that is a form or a button, not a link."""

    title: str
    icon: str
    url: str = ""
    note: str = ""
    key: str = ""
    do: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Hits of one kind."""

    label: str
    hits: list[Hit]

    @property
    def slug(self) -> str:
        return self.label.lower().replace(" ", "-")


@require_safe
@signed_in
def search(request: HttpRequest) -> HttpResponse:
    """The page of the search."""
    return render(request, "search/page.html", _context(request))


@require_safe
@signed_in
def part(request: HttpRequest) -> HttpResponse:
    """The options of the palette."""
    return render(request, "search/_results.html", _context(request))


def _context(request: HttpRequest) -> dict[str, Any]:
    # NUL and half characters are in no name, and databases refuse them.
    typed = request.GET.get("q", "").replace("\x00", "").encode(errors="ignore").decode()
    text = " ".join(typed.split())[:MAX_TEXT]
    return {"text": text, "groups": find(person(request), text)}


def find(user: User, text: str) -> list[Group]:
    """What matches every word of ``text``, in groups; places and actions when there is no text."""
    text_words = text.split()
    found = [Group("Pages", _pages(user, text_words))]
    if text_words:
        agents = _agents(user, text_words)
        found += [Group("Agents", [_agent_hit(agent) for agent in agents]), *_roots(user, text_words)]
        found += [Group("Runs", _runs(user, text_words)), Group("People", _people(user, text_words))]
        chats = [_chat_hit(agent) for agent in agents[:3] if agent.may_chat]  # type: ignore[attr-defined]
        found.append(Group("Actions", [*chats, *_actions(user, text_words), *_run_search(user, text)]))
    else:
        found.append(Group("Actions", _actions(user, [])))
    return [group for group in found if group.hits]


def _pages(user: User, text_words: list[str]) -> list[Hit]:
    places = [Hit(link.label, link.icon, link.path, key=f"g {link.key}") for link in navigation.links_for(user)]
    places.append(Hit("Your account", "key", reverse("account"), "Name, e-mail, password, sessions", "g y"))
    for title, name in (
        ("Password", "account_change_password"),
        ("Second factor", "mfa_index"),
        ("Sessions", "account-sessions"),
        ("API tokens", "account-tokens"),
        ("Notifications", "account-notifications"),
    ):
        places.append(Hit(title, "key", reverse(name), "Your account"))
    places += (
        []
        if not permissions.may(user, "run.approve")
        else [
            Hit("Decided approvals", "inbox", reverse("runs:approvals-decided"), "Who allowed and refused what"),
            Hit("Done and told", "inbox", reverse("runs:approvals-noticed"), "What agents did unasked under a rule"),
            *(
                [Hit("Who decides", "inbox", reverse("runs:panels"), "How many people, of which group, and who after")]
                if permissions.may(user, "panel.set")
                else []
            ),
            Hit("How people decide", "inbox", reverse("runs:approval-figures"), "Figures of decisions, and canaries"),
            Hit("Approval rules", "inbox", reverse("runs:approval-rules"), "What is allowed without asking"),
        ]
    )
    places.append(Hit("API reference", "code", reverse("api:openapi-view"), "Every call, with examples"))
    return _matching(places, text_words)[: SHOWN if text_words else 12]


def _actions(user: User, text_words: list[str]) -> list[Hit]:
    known = [
        ("agent.create", "New agent", "plus", ("agents:agent-new", "admin:agents_agent_add")),
        ("agent.chat", "New chat", "chat", ("runs:chat",)),
        ("soul.create", "New soul", "plus", ("agents:soul-new", "admin:agents_soul_add")),
        ("route.create", "Add a model", "plus", ("agents:route-new",)),
        ("policy.create", "New policy", "plus", ("agents:policy-new",)),
        ("user.manage", "New person", "plus", ("agents:invite",)),
    ]
    actions = [
        Hit(title, icon, url)
        for action, title, icon, names in known
        if permissions.may(user, action) and (url := _first(user, names))
    ]
    actions += [
        Hit("New API token", "key", reverse("account-tokens")),
        Hit("Switch between dark and light", "moon", do="theme"),
        Hit("Keyboard shortcuts", "info", do="keys", key="?"),
        Hit("Sign out", "leave", reverse("account_logout"), do="sign-out"),
    ]
    return _matching(actions, text_words)


def _first(user: User, names: Iterable[str]) -> str:
    """The first of these addresses that exists; those of the console for who may enter it."""
    for name in names:
        if name.startswith("admin:") and not user.is_staff:
            continue
        try:
            return reverse(name)
        except NoReverseMatch:
            continue
    return ""


def _matching(hits: list[Hit], text_words: list[str]) -> list[Hit]:
    wanted = [word.casefold() for word in text_words]
    found = [hit for hit in hits if all(word in f"{hit.title} {hit.note}".casefold() for word in wanted)]
    return sorted(found, key=lambda hit: not (wanted and hit.title.casefold().startswith(wanted[0])))


def _agents(user: User, text_words: list[str]) -> list[Agent]:
    usable = permissions.visible(user, Agent.objects.filter(archived_at=None), "agent.chat").order_by().values("pk")
    may_chat = Case(When(pk__in=usable, then=Value(True)), default=Value(False))
    rows = permissions.visible(user, Agent.objects.alive()).annotate(may_chat=may_chat)
    rows = _with_words(rows, text_words, "name", "description")
    return list(rows.order_by(_rank("name", text_words), "name", "pk")[:SHOWN])


def _agent_hit(agent: Agent) -> Hit:
    url = _page_of("agent", agent.pk) or (reverse("runs:chat-new", args=[agent.pk]) if agent.may_chat else "")  # type: ignore[attr-defined]
    return Hit(agent.name, "agent", url or _explained("agent", agent.pk), agent.description)


def _chat_hit(agent: Agent) -> Hit:
    return Hit(f"New chat with {agent.name}", "chat", reverse("runs:chat-new", args=[agent.pk]))


def _roots(user: User, text_words: list[str]) -> Iterator[Group]:
    """Souls, models and policies in one query: what matches best first, whatever it is."""
    soul = permissions.visible(user, Soul.objects.all())
    route = permissions.visible(user, ModelRoute.objects.all())
    policy = permissions.visible(user, Policy.objects.all())
    parts = [
        _columns(_with_words(soul, text_words, "name", "description"), "soul", "name", "description", text_words),
        _columns(
            _with_words(route, text_words, "model", "provider__name"), "route", "model", "provider__name", text_words
        ),
        _columns(_with_words(policy, text_words, "name", "description"), "policy", "name", "description", text_words),
    ]
    found: dict[str, list[Hit]] = {"soul": [], "route": [], "policy": []}
    for kind, pk, title, note, _ in parts[0].union(*parts[1:], all=True).order_by("rank", "title")[: 4 * SHOWN]:
        icon = {"soul": "book", "route": "model", "policy": "shield"}[kind]
        found[kind].append(Hit(title, icon, _page_of(kind, pk) or _explained(kind, pk), note))
    for kind, label in (("soul", "Souls"), ("route", "Models"), ("policy", "Policies")):
        yield Group(label, found[kind][:SHOWN])


def _columns(rows: QuerySet[Any], kind: str, title: str, note: str, text_words: list[str]) -> QuerySet[Any]:
    named = {
        "kind": Value(kind),
        "row": F("pk"),
        "title": Cast(F(title), CharField()),
        "note": Cast(F(note), CharField()),
        "rank": _rank(title, text_words),
    }
    return rows.order_by().annotate(**named).values_list(*named)


def _runs(user: User, text_words: list[str]) -> list[Hit]:
    visible = permissions.visible(user, Run.objects.all())
    if len(text_words) == 1 and text_words[0].startswith("run_"):
        rows = visible.filter(pk__startswith=text_words[0])
    else:
        recent = visible.order_by("-pk").values("pk")[:RECENT_RUNS]
        rows = _with_words(Run.objects.filter(pk__in=recent), text_words, "message__text")
    rows = rows.annotate(preview=Substr("message__text", 1, 120)).order_by("-pk")
    return [
        Hit(preview.split("\n", 1)[0] or pk, "runs", reverse("runs:run-detail", args=[pk]), agent)
        for pk, preview, agent in rows.values_list("pk", "preview", "agent__name")[:SHOWN]
    ]


def _run_search(user: User, text: str) -> list[Hit]:
    query = QueryDict(mutable=True)
    query["text"] = text
    url = f"{reverse('runs:run-list')}?{query.urlencode()}"
    return [Hit(f"Look for “{text}” in all runs", "search", url)] if permissions.may(user, "run.view") else []


def _people(user: User, text_words: list[str]) -> list[Hit]:
    if not permissions.may(user, "user.manage"):
        return []
    rows = _with_words(User.objects.all(), text_words, "username", "first_name", "last_name", "email")
    people = rows.order_by(_rank("username", text_words), "username")[:SHOWN]
    return [
        Hit(each.display_name, "people", _person_page(user, each.pk), f"{each.username} · {each.get_role_display()}")
        for each in people
    ]


def _person_page(user: User, pk: int) -> str:
    return reverse("agents:person", args=[pk])


def _page_of(kind: str, pk: Any) -> str:
    """The page of a row, once there is one."""
    try:
        return reverse(f"agents:{kind}-detail", args=[pk])
    except NoReverseMatch:
        return ""


def _explained(kind: str, pk: str) -> str:
    return reverse("runs:explain", args=[kind, pk])


def _with_words(rows: QuerySet[M], text_words: list[str], *fields: str) -> QuerySet[M]:
    for word in text_words:
        found = Q()
        for field in fields:
            for spelling in _spellings(word):
                found |= Q(**{f"{field}__icontains": spelling})
        rows = rows.filter(found)
    return rows


def _spellings(word: str) -> set[str]:
    """SQLite folds the case of a to z only, so that other letters are tried both ways."""
    return {word} if word.isascii() else {word, word.lower(), word.upper(), word.capitalize()}


def _rank(field: str, text_words: list[str]) -> Case:
    """What is called exactly so, then what begins so, then the rest."""
    text = " ".join(text_words)
    exactly, begins = Q(**{f"{field}__iexact": text}), Q(**{f"{field}__istartswith": text_words[0]})
    return Case(When(exactly, then=Value(0)), When(begins, then=Value(1)), default=Value(2))
