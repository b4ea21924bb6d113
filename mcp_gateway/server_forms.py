"""The form of an MCP server: its fields in parts, what this person may change of it, and what was filled in.

One more field is a line in ``ServerForm`` and its name in a part of ``PARTS``; a field that is called otherwise than in
the model, or is part of one there, is known to ``stored`` and ``told`` too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.db.models import TextChoices
from django.forms import BoundField

from agents import permissions
from agents.models import User, Visibility
from mcp_gateway import access, categories, launching, servers
from mcp_gateway.form_fields import PLAIN, Lines, Pairs
from mcp_gateway.models import AccessTier, AccountUse, Children, McpServer, Place, Resources, ServerKind
from mcp_gateway.sampling import setting
from runs.templatetags.run_format import plural

# What belongs to one kind alone, with what it is when the server is of the other.
OF_KIND: dict[str, dict[str, Any]] = {
    ServerKind.STDIO: {
        **{"command": "", "args": [], "env": {}, "cwd": "", "limits": {}},
        **{"place": Place.SANDBOX, "shows": [], "hosts": [], "children": Children.SHARED},
    },
    ServerKind.HTTP: {
        **{"url": "", "headers": {}, "allows_private": False},
        **{"account": AccountUse.NONE, "client_id": "", "scopes": ""},
    },
}
# What its kind cannot be without.
MISSING = {"command": "Say which program is the server.", "url": "Say where the server is."}
# What holds where nothing is said.
USUAL = {
    **{"timeout_s": 120, "connect_timeout_s": 60, "max_result_kb": 1024, "max_argument_kb": 1024},
    **{"idle_s": 600, "max_children": 8},
    **setting.USUAL,
}
REFERENCE = "${NAME} stands for a secret of the server, set on its page"


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the fields under one heading; those in a tuple stand side by side. ``kind``: only for servers of it;
    ``is_folded``: shut until somebody opens it or something in it is wrong."""

    title: str
    names: tuple[str | tuple[str, ...], ...]
    words: str = ""
    kind: str = ""
    is_folded: bool = False


PARTS = [
    Part("The server", ("name", "description", "category")),
    Part(
        "The program",
        ("command", "args", "env", "cwd", ("memory_mb", "open_files", "file_mb")),
        "No shell reads the command.",
        kind=ServerKind.STDIO,
    ),
    Part(
        "Its walls",
        ("place", "shows", "hosts"),
        "In a sandbox of its own it sees the system, read-only, and a folder of its own at /workspace. Without one "
        "the command runs on the host, as Logos itself does: it can do there what Logos can.",
        kind=ServerKind.STDIO,
    ),
    Part("Whom a process serves", ("children", ("idle_s", "max_children")), kind=ServerKind.STDIO, is_folded=True),
    Part(
        "The address",
        ("url", "headers", "allows_private", "account", ("client_id", "scopes")),
        kind=ServerKind.HTTP,
    ),
    Part("Who may use it", ("tier", "end_access", "visibility")),
    Part(
        "What agents see of it",
        ("include", "exclude", "allows_new", "resources", "asks_caller"),
        "Names of tools as the server spells them, one a line. Without any, agents have all that were accepted.",
        is_folded=True,
    ),
    Part(
        "Models it may ask",
        (
            *("sampling", "sampling_route", "sampling_models"),
            *(("sampling_tokens", "sampling_timeout_s"), ("sampling_rpm", "sampling_rounds")),
            "sampling_tool_rounds",
        ),
        "Some servers ask a model while they work. It costs the run or the agent that called, else whose server it is; "
        "every budget holds.",
        is_folded=True,
    ),
    Part("Times", (("timeout_s", "connect_timeout_s"), "enabled"), is_folded=True),
    Part(
        "What comes back",
        (("max_result_kb", "max_argument_kb"), "masks_keys"),
        "Its own secrets are blotted out of all it says, whatever stands here.",
        is_folded=True,
    ),
]


def _text(longest: int, **more: Any) -> forms.CharField:
    return forms.CharField(required=False, max_length=longest, **more)


def _typed(longest: int, label: str, **more: Any) -> forms.CharField:
    return _text(longest, label=label, widget=forms.TextInput(attrs=PLAIN), **more)


def _number(low: int, high: int, **more: Any) -> forms.IntegerField:
    return forms.IntegerField(required=False, min_value=low, max_value=high, **more)


def _limit(name: str, label: str) -> forms.IntegerField:
    return _number(*launching.LIMITS[name], label=label)


def _bound(name: str, label: str) -> forms.IntegerField:
    least, most, _ = setting.NUMBERS[name]
    return _number(least, most, label=label, help_text=f"{setting.USUAL[name]} unless you say otherwise.")


def _choice(label: str, choices: type[TextChoices], **more: Any) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=choices.choices, **more)


class ServerForm(forms.Form):
    """A new server, or with ``server`` what is to change of that one."""

    kind = _choice("Where it is", ServerKind, widget=forms.RadioSelect, initial=ServerKind.STDIO)
    name = forms.CharField(
        max_length=40,
        help_text="Small letters, digits and dashes. Part of its address and in front of its tools' names.",
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )
    description = _text(300, help_text="People and agents read it to know what it is for.")
    category = _text(
        40,
        help_text="It decides who gives access and what becomes of calls, where the server and rules say nothing.",
        widget=forms.TextInput(attrs={"list": "categories", "autocomplete": "off"}),
    )
    command = _typed(300, "Command", help_text="One program, by its name or whole path.")
    args = Lines(label="Arguments", help_text="One a line. Everybody on this host can read them: no secrets.")
    env = Pairs(label="Environment", help_text=f"NAME=VALUE, one a line. {REFERENCE}.")
    cwd = _typed(300, "Working directory", help_text="A whole path. Without one it has an empty directory of its own.")
    place = _choice("Where it runs", Place, initial=Place.SANDBOX, required=False)
    shows = Lines(
        rows=2,
        label="Shown to it",
        help_text="Folders of this host that it may read, one a line; its working directory is.",
    )
    hosts = Lines(
        rows=2,
        label="Hosts it may reach",
        help_text="One a line, with :PORT where it is not 443; *.example.org for all below it, and private: "
        "before a name of your own network. None: it has no network.",
    )
    memory_mb = _limit("memory_mb", "Memory (MB)")
    open_files = _limit("open_files", "Open files")
    file_mb = _limit("file_mb", "Largest file (MB)")
    url = _typed(500, "Address", help_text="https://… on the open internet.")
    headers = Pairs(sign=":", also="=", rows=2, label="Headers", help_text=f"Name: value, one a line. {REFERENCE}.")
    allows_private = forms.BooleanField(
        required=False,
        label="It may be in our own network, also without https",
        help_text="Only admins say so: the host reaches what people outside cannot.",
    )
    account = forms.TypedChoiceField(
        label="Account there",
        choices=AccountUse.choices,
        required=False,
        empty_value=AccountUse.NONE,
        help_text="Connected with OAuth, on the page of accounts, once the server is added.",
    )
    client_id = _typed(300, "Client id", help_text="Only where its sign-in wants one.")
    scopes = _typed(500, "Scopes", help_text="Empty: what the server asks for.")
    tier = _choice("Who gives agents access", AccessTier)
    visibility = _choice("Who sees it", Visibility)
    include = Lines(label="Only these tools")
    exclude = Lines(label="Not these tools")
    asks_caller = forms.BooleanField(
        required=False,
        label="Its questions go to the caller",
        help_text="What it asks of a client is passed on to the agent that called it, where that can answer.",
    )
    children = _choice(
        "Whom a process serves",
        Children,
        initial=Children.SHARED,
        required=False,
        help_text="A copy for each agent keeps what one does in the program from the others, and takes memory for each.",
    )
    idle_s = _number(10, 86_400, label="An idle copy stays (s)", help_text="600 unless you say otherwise.")
    max_children = _number(
        1, 64, label="Most copies", help_text="8 unless you say otherwise; the one idle longest goes."
    )
    allows_new = forms.BooleanField(
        required=False,
        label="New tools need nobody",
        help_text="Agents get tools it did not have before at once; changes of those it had wait all the same.",
    )
    resources = _choice(
        "Resources",
        Resources,
        initial=Resources.PINNED,
        required=False,
        help_text="New and changed ones wait for somebody, like tools. Files and the like, which change by nature, are "
        "better passed on as they are: their names and descriptions are then the server's word of the moment.",
    )
    timeout_s = _number(1, 3600, label="Time for a call (s)", help_text="120 unless you say otherwise.")
    connect_timeout_s = _number(1, 3600, label="Time to start (s)", help_text="60 unless you say otherwise.")
    max_result_kb = _number(
        *(1, launching.SIZES["max_result_kb"]),
        label="Longest result (KB)",
        help_text="1024 unless you say otherwise. A longer one is cut, and the agent told so.",
    )
    max_argument_kb = _number(
        *(1, launching.SIZES["max_argument_kb"]),
        label="Longest call (KB)",
        help_text="1024 unless you say otherwise. A longer one is refused.",
    )
    masks_keys = forms.BooleanField(
        required=False,
        label="Hide what looks like a key or a token",
        help_text="In all it says. A tool that is there to give agents keys would be of no use then.",
    )
    sampling = forms.BooleanField(required=False, label="It may ask a model")
    sampling_route = forms.ChoiceField(
        required=False,
        label="Which model",
        help_text="This one, whatever the server would like, unless it may choose others.",
    )
    sampling_models = Lines(
        rows=2,
        label="Others it may choose",
        help_text="Names of models, one a line. What the server would like decides among these and the one above.",
    )
    sampling_tokens = _bound("sampling_tokens", "Tokens of an answer")
    sampling_timeout_s = _bound("sampling_timeout_s", "Time for an answer (s)")
    sampling_rpm = _bound("sampling_rpm", "Questions a minute")
    sampling_rounds = _bound("sampling_rounds", "Rounds of a call")
    sampling_tool_rounds = _number(
        *setting.NUMBERS["sampling_tool_rounds"][:2],
        label="Rounds with its tools",
        help_text="In how many turns of a question the model may use tools that the server gives it; 0: no tools.",
    )
    end_access = forms.BooleanField(required=False)
    enabled = forms.BooleanField(required=False, label="It runs", initial=True)
    version = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)

    use_required_attribute = False

    def __init__(self, user: User, data: Any = None, *, server: McpServer | None = None, **more: Any) -> None:
        self.user, self.server = user, server
        self.may_launch = permissions.may(user, "server.launch")
        if server is not None:
            more["initial"] = {**stored(server, user), **more.get("initial", {})}
        super().__init__(data, **more)
        cast(forms.ChoiceField, self.fields["sampling_route"]).choices = setting.choices(user, server)
        if server is None:
            del self.fields["version"]
        else:
            del self.fields["visibility"]  # the page of sharing has it
        self._offer_an_end()
        for name in MISSING:
            setattr(self.fields[name], "is_needed", True)  # noqa: B010 (not optional, where it is shown)
        for name in self._fixed():
            self.fields[name].disabled = True
        if server is None and not self.may_launch:
            self._only(ServerKind.HTTP)

    def _offer_an_end(self) -> None:
        """Of what agents were given, to whoever manages the server: it stays when the tier gets narrower."""
        server, count = self.server, 0
        if server is not None and permissions.allows(self.user, "server.manage", server):
            count = access.agents_with(server)
        if not count:
            del self.fields["end_access"]
            return
        self.fields["end_access"].label = f"Also end the access given until now ({plural(count, 'agent')})"
        self.fields["end_access"].help_text = "Without this it stays when somebody else gives access from now on."

    def _only(self, kind: str) -> None:
        """Servers of one kind are all this person can add."""
        field: Any = self.fields["kind"]
        field.choices, field.initial, field.disabled = [(kind, ServerKind(kind).label)], kind, True
        self.initial["kind"] = kind

    def _fixed(self) -> Iterator[str]:
        """What this person may not change: shown as it is, and taken as it is stored."""
        if not self.may_launch:
            yield from ("allows_private", *_spread(OF_KIND[ServerKind.STDIO]))
            if self.server is not None:
                yield "kind"
                if servers.holds_secrets(self.server):
                    yield from servers.REACH
        if self.server is not None and not permissions.allows(self.user, "server.manage", self.server):
            yield from ("tier", *setting.FIELDS)

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The parts with their fields, as the page draws them."""
        return [self._part(part) for part in PARTS if self.may_launch or part.kind != ServerKind.STDIO or self.server]

    def _part(self, part: Part) -> dict[str, Any]:
        lines = [self._bound(each if isinstance(each, tuple) else (each,)) for each in part.names]
        fields = [bound for line in lines for bound in line]
        said = any(bound.errors for bound in fields)
        return {"part": part, "lines": [line for line in lines if line], "is_open": not part.is_folded or said}

    def _bound(self, names: tuple[str, ...]) -> list[BoundField]:
        return [self[name] for name in names if name in self.fields]

    @property
    def suggested(self) -> list[str]:
        """Categories that are in use."""
        return categories.known(self.user)

    def clean(self) -> dict[str, Any]:
        """What is of the other kind is not shown, so it cannot be wrong."""
        kind = self.cleaned_data.get("kind")
        for name in _spread(OF_KIND[_other(kind)]) if kind else ():
            self.errors.pop(name, None)
        needed = "command" if kind == ServerKind.STDIO else "url"
        if kind and not self.cleaned_data.get(needed) and needed not in self.errors:
            self.add_error(needed, MISSING[needed])
        return self.cleaned_data

    def told(self) -> dict[str, Any]:
        """What was filled in, as ``mcp_gateway.servers`` takes it: all of a new server, else what differs."""
        is_new = self.server is None
        wanted = set(self.fields) if is_new else set(self.changed_data)
        given = {name: value for name, value in self.cleaned_data.items() if name in wanted}
        for name in ("place", "children", "resources"):
            if given.get(name) == "":
                del given[name]  # it was not said, so it is as it is
        given |= {name: usual for name, usual in USUAL.items() if given.get(name, 0) is None}
        limits = {name: given.pop(name, None) for name in launching.LIMITS}
        if wanted & set(limits):
            held = {name: self.cleaned_data.get(name) for name in limits}
            given["limits"] = {name: value for name, value in held.items() if value is not None}
        unfit = OF_KIND[_other(self.cleaned_data["kind"])]
        given = {name: value for name, value in given.items() if name not in unfit and name != "version"}
        return {**given, **unfit} if "kind" in given else given


def _other(kind: str) -> str:
    return ServerKind.HTTP if kind == ServerKind.STDIO else ServerKind.STDIO


def stored(server: Any, user: User) -> dict[str, Any]:
    """What the form shows this person of a server, or of a record of it in its history."""
    found = {name: getattr(server, name) for name in servers.WRITTEN if name not in ("limits", "sampling_route")}
    found["sampling_route"] = server.sampling_route_id or ""
    found["sampling_models"] = setting.named(user, server.sampling_models)
    return {**found, **{name: server.limits.get(name) for name in launching.LIMITS}, "version": server.version}


def texts(user: User, server: Any) -> dict[str, str]:
    """The same as the form posts it, for a comparison of two versions."""
    fields = ServerForm.base_fields
    found = {name: fields[name].prepare_value(value) for name, value in stored(server, user).items() if name in fields}
    return {name: _posted(value) for name, value in found.items()}


def _posted(value: Any) -> str:
    if value is None or value is False:
        return ""
    return "on" if value is True else str(value)


def _spread(fields: dict[str, Any]) -> Iterator[str]:
    for name in fields:
        if name == "limits":
            yield from launching.LIMITS
        else:
            yield name
