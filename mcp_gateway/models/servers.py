"""An MCP server: how it is started, what of it agents may see, the secrets it needs, and how it is."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from agents import secrets
from agents.models import ModelRoute
from agents.models.history import Changes
from agents.models.shared import Shareable, Versioned
from mcp_gateway import ids


class AccessTier(models.TextChoices):
    """Who may let an agent use a server."""

    CATEGORY = "category", "As its category says"
    AUTO = "auto", "Whoever manages the agent; the agent gets it by asking"
    USER = "user", "Whoever manages the agent and sees the server"
    ADMIN = "admin", "Operators who manage the server, and admins"
    DENY = "deny", "Nobody"


class ServerKind(models.TextChoices):
    """Where a server is."""

    STDIO = "stdio", "A program of this host"
    HTTP = "http", "Elsewhere, over HTTP"


class Place(models.TextChoices):
    """Where a program runs."""

    SANDBOX = "sandbox", "In a sandbox of its own"
    HOST = "host", "On this host, as Logos itself does"


class Resources(models.TextChoices):
    """What agents get of a server's resources."""

    PINNED = "pinned", "As somebody accepted them, like tools"
    OPEN = "open", "As the server lists them at the moment"
    OFF = "off", "None"


class Children(models.TextChoices):
    """Whom one process of a program serves."""

    SHARED = "shared", "Everybody"
    PER_AGENT = "per_agent", "One agent: each has a copy of its own"


class AccountUse(models.TextChoices):
    """By whose account a server elsewhere is used."""

    NONE = "none", "None: what its headers say is enough"
    SHARED = "shared", "One for everybody"
    PERSON = "person", "Each person's own, for their agents"


class McpServer(Shareable):
    """One server, run once for everybody. ``mcp_gateway.servers`` is the only writer: the command runs on this machine."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.server_id, editable=False)
    name = models.CharField(max_length=40, unique=True, help_text="Part of its address and of its tools' names.")
    description = models.CharField(max_length=300, blank=True)
    category = models.CharField(max_length=40, blank=True, help_text="What decides who may give agents access.")
    kind = models.CharField("where it is", max_length=5, choices=ServerKind.choices, default=ServerKind.STDIO)
    command = models.CharField(
        max_length=300, blank=True, help_text="One program, by name or whole path. No shell runs it."
    )
    args = models.JSONField(default=list, blank=True)
    place = models.CharField(
        "where it runs",
        max_length=7,
        choices=Place.choices,
        default=Place.SANDBOX,
        help_text="In a sandbox it sees the system, its own folder and what is shown to it, and has no network but its hosts.",
    )
    shows = models.JSONField(
        "shown to it", default=list, blank=True, help_text="Folders of this host that it reads in its sandbox."
    )
    hosts = models.JSONField(
        "hosts it may reach",
        default=list,
        blank=True,
        help_text="From its sandbox: names, with :PORT where it is not 443.",
    )
    env = models.JSONField(default=dict, blank=True, help_text="Values may hold ${NAME} of the server's secrets.")
    cwd = models.CharField("working directory", max_length=300, blank=True)
    limits = models.JSONField(default=dict, blank=True, help_text="memory_mb, open_files, file_mb.")
    url = models.CharField("address", max_length=500, blank=True, help_text="Of a server elsewhere: https://…")
    headers = models.JSONField(default=dict, blank=True, help_text="Values may hold ${NAME} of the server's secrets.")
    allows_private = models.BooleanField(
        "may be in our own network",
        default=False,
        help_text="It may be at an address of our own network, there also without https. Only admins say so.",
    )
    account = models.CharField(
        "account",
        max_length=6,
        choices=AccountUse.choices,
        default=AccountUse.NONE,
        help_text="Whose account at the server elsewhere is used, connected with OAuth.",
    )
    client_id = models.CharField(
        "client id",
        max_length=300,
        blank=True,
        help_text="What the server's sign-in knows Logos as, where it does not learn that by itself.",
    )
    scopes = models.CharField(
        max_length=500, blank=True, help_text="What is asked for when an account is connected; empty: what it says."
    )
    children = models.CharField(
        "whom a process serves",
        max_length=9,
        choices=Children.choices,
        default=Children.SHARED,
        help_text="A copy for each agent keeps what one does in the program from the others, and takes memory for each.",
    )
    idle_s = models.PositiveIntegerField(
        "an idle copy stays (s)", default=600, help_text="How long a copy that its agent does not use is kept."
    )
    max_children = models.PositiveIntegerField(
        "most copies", default=8, help_text="Over that, the one that was idle longest is ended."
    )
    timeout_s = models.PositiveIntegerField("time for a call (s)", default=120)
    connect_timeout_s = models.PositiveIntegerField("time to start (s)", default=60)
    enabled = models.BooleanField(default=True)
    tier = models.CharField(
        "who gives access",
        max_length=8,
        choices=AccessTier.choices,
        default=AccessTier.CATEGORY,
        help_text="Who may let an agent use it, and answers when the agent itself asks.",
    )
    asks_caller = models.BooleanField(
        "questions go to the caller",
        default=False,
        help_text="What it asks of a client (sampling, elicitation) is passed on to the agent that called it.",
    )
    max_result_kb = models.PositiveIntegerField(
        "longest result (KB)", default=1024, help_text="What is longer is cut, and the agent told so."
    )
    max_argument_kb = models.PositiveIntegerField(
        "longest call (KB)", default=1024, help_text="What is sent with a call; a longer one is refused."
    )
    masks_keys = models.BooleanField(
        "hides keys in results",
        default=False,
        help_text="What looks like a key or a token is blotted out of all it says, not only the server's own secrets.",
    )
    allows_new = models.BooleanField(
        "new tools need nobody",
        default=False,
        help_text="Agents get tools it did not have before at once; changes of those it had wait for somebody all the same.",
    )
    resources = models.CharField(
        max_length=6,
        choices=Resources.choices,
        default=Resources.PINNED,
        help_text="Files and the like that change by nature wait for somebody all day unless they are passed on as they are.",
    )
    include = models.JSONField("only these tools", default=list, blank=True)
    exclude = models.JSONField("not these tools", default=list, blank=True)

    sampling = models.BooleanField(
        "may ask a model",
        default=False,
        help_text="What it asks of a model is answered, at the expense of the run or agent it is for.",
    )
    sampling_route = models.ForeignKey(
        ModelRoute,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="which model",
        help_text="This one, whatever the server would like, unless it may choose others.",
    )
    sampling_models = models.JSONField(
        "others it may choose",
        default=list,
        blank=True,
        help_text="By the ids of their routes: what the server would like decides among these and the one above.",
    )
    sampling_tokens = models.PositiveIntegerField("tokens of an answer", default=1024)
    sampling_timeout_s = models.PositiveIntegerField("time for an answer (s)", default=60)
    sampling_rpm = models.PositiveIntegerField("questions a minute", default=10)
    sampling_rounds = models.PositiveIntegerField("rounds of a call", default=10)
    sampling_tool_rounds = models.PositiveIntegerField(
        "rounds with tools",
        default=0,
        help_text="How often the model may use tools that the server gives it within a question; 0: no tools.",
    )

    history = Changes()

    class Meta:
        ordering = ["name"]
        verbose_name = "MCP server"
        permissions = (
            ("chat_mcpserver", "Can use the MCP server in a chat"),
            ("edit_mcpserver", "Can edit the MCP server"),
            ("manage_mcpserver", "Can manage the MCP server, its grants included"),
        )

    def __str__(self) -> str:
        return self.name


class McpSecret(Versioned):
    """One value that a server's environment names as ``${NAME}``."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.secret_id, editable=False)
    server = models.ForeignKey(McpServer, models.CASCADE, related_name="secrets")
    name = models.CharField(max_length=64)
    sealed = models.TextField(editable=False)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    set_at = models.DateTimeField(default=timezone.now)

    history = Changes(secret=("sealed",))

    class Meta:
        ordering = ["name"]
        verbose_name = "secret of an MCP server"
        verbose_name_plural = "secrets of MCP servers"
        constraints = [models.UniqueConstraint(fields=["server", "name"], name="one_mcp_secret_per_server_and_name")]

    def __str__(self) -> str:
        return self.name

    def set_value(self, value: str) -> None:
        """Seal ``value`` into this row; save it yourself."""
        self.sealed = secrets.seal(value)


class ServerState(models.TextChoices):
    """How a server is; "parked" waits for somebody to start it again."""

    STOPPED = "stopped", "Stopped"
    STARTING = "starting", "Starting"
    READY = "ready", "Ready"
    NEEDS_AUTH = "needs_auth", "Waits for an account"
    BACKOFF = "backoff", "Waiting to start again"
    CHANGED = "changed", "Waits: what is started changed"
    PARKED = "parked", "Parked"
    DISABLED = "disabled", "Disabled"


class McpHealth(models.Model):
    """What the gateway last saw of a server. Written by whoever holds the lease, read by everybody."""

    server = models.OneToOneField(McpServer, models.CASCADE, primary_key=True, related_name="health")
    state = models.CharField(max_length=10, choices=ServerState.choices, default=ServerState.STOPPED)
    reason = models.CharField(max_length=500, blank=True)
    since = models.DateTimeField(default=timezone.now)
    starts = models.PositiveIntegerField(default=0)
    protocol = models.CharField(max_length=20, blank=True)
    title = models.CharField("calls itself", max_length=200, blank=True)
    tools = models.JSONField(default=list, blank=True)
    children = models.JSONField("copies of agents", default=list, blank=True)
    launch_accepted = models.JSONField("what is started, as accepted", default=dict, blank=True)
    launch_offered = models.JSONField("what would be started instead", default=dict, blank=True)
    # Whose first list was accepted: what comes after that waits.
    lists_seen = models.JSONField("lists seen", default=list, blank=True)
    walls = models.CharField("walls around it", max_length=200, blank=True)
    errors = models.TextField("end of its error output", blank=True)
    # Raised by whoever asks for a new start; the gateway starts it anew when it is above what it has done.
    restarts_asked = models.PositiveIntegerField(default=0)
    restarts_done = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = "health of an MCP server"
        verbose_name_plural = "health of MCP servers"

    def __str__(self) -> str:
        return f"{self.server_id}: {self.state}"
