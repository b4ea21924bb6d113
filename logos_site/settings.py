"""Every setting that a LOGOS_* variable says, read once; docs/settings.md lists the same (a test compares them).

What no variable changes is in ``fixed_settings``.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from cryptography.fernet import Fernet

from channels_app.webpush import encoding as webpush
from logos_site import env, mail
from logos_site.databases import database
from logos_site.fixed_settings import *  # noqa: F403 (what no variable changes)
from logos_site.oidc import configuration as oidc

# --- where things are -----------------------------------------------------------------------------
LOGOS_HOME = env.state_directory("LOGOS_HOME", "Directory for the database, secrets, agents, runtime and logs.")
LOGOS_SECRETS = LOGOS_HOME / "secrets"
LOGOS_HOST = env.text("LOGOS_HOST", "127.0.0.1", "Address to listen on.")
LOGOS_PORT = env.number("LOGOS_PORT", 8091, "Port to listen on.")
LOGOS_MCP_PORT = env.number(
    "LOGOS_MCP_PORT", 8081, "Further port for MCP clients outside; 0 for none. /mcp on the site's own port answers too."
)
LOGOS_MCP_BIND = (
    env.text("LOGOS_MCP_BIND", "", "Address to listen on for it; empty is that of LOGOS_HOST.") or LOGOS_HOST
)
LOGOS_URL = env.text("LOGOS_URL", "", "Public address when behind a proxy, for instance https://logos.example.org.")

# --- secrets --------------------------------------------------------------------------------------
SECRET_KEY = env.secret(
    "LOGOS_SECRET_KEY", LOGOS_SECRETS, "Signs sessions and queue payloads; made at the first start."
)
LOGOS_SEAL_KEYS = env.secret(
    "LOGOS_SEAL_KEYS",
    LOGOS_SECRETS,
    "Fernet keys that seal provider keys in the database, comma separated, newest first; made at the first start.",
    lambda: Fernet.generate_key().decode(),
).split(",")

# --- web ------------------------------------------------------------------------------------------
DEBUG = env.flag("LOGOS_DEBUG", False, "Show tracebacks in pages; never on a machine others can reach.")
ALLOWED_HOSTS = [
    *env.words("LOGOS_ALLOWED_HOSTS", "", "Further host names this site answers to, comma separated."),
    *filter(None, [urlsplit(LOGOS_URL).hostname]),
    *("localhost", "127.0.0.1", "[::1]"),  # `up` and doctor ask here
]
CSRF_TRUSTED_ORIGINS = env.words("LOGOS_TRUSTED_ORIGINS", LOGOS_URL, "Origins allowed to post forms, comma separated.")
LOGOS_TLS = env.flag(
    "LOGOS_TLS",
    False,
    "Set when a TLS proxy stands in front: secure cookies, HSTS, X-Forwarded-Proto and X-Forwarded-For.",
)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LOGOS_TLS
SECURE_HSTS_SECONDS = 31_536_000 if LOGOS_TLS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if LOGOS_TLS else None

# --- data -----------------------------------------------------------------------------------------
DATABASES = {
    "default": database(
        env.text("LOGOS_DATABASE_URL", "", "sqlite:PATH or postgresql://…; empty is SQLite in the state directory."),
        LOGOS_HOME,
    )
}
LOGOS_REDIS_URL = env.text("LOGOS_REDIS_URL", "", "redis://… when web and engine are separate processes.")
CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [LOGOS_REDIS_URL]}}
    if LOGOS_REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

# The default counts failed sign-ins: shared, so that neither a restart nor a second web process forgets them, and
# with an atomic add, which files have not. The other one is what processes of one Logos tell each other in passing:
# whether background work is alive.
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": LOGOS_REDIS_URL}
    if LOGOS_REDIS_URL
    else {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "shared_cache",
        "OPTIONS": {"MAX_ENTRIES": 50_000},
    },
    "processes": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": LOGOS_REDIS_URL}
    if LOGOS_REDIS_URL
    else {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": LOGOS_HOME / "cache"},
}

# --- people ---------------------------------------------------------------------------------------
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if LOGOS_TLS else 0
LOGOS_SECOND_FACTOR_ROLES = env.words(
    "LOGOS_SECOND_FACTOR_ROLES",
    "",
    "Roles whose people must set up a second factor before anything else, comma separated.",
    among=("admin", "operator", "user", "viewer"),
)
ROLES = ("admin", "operator", "user", "viewer")
LOGOS_MAX_AGENTS = env.numbers(
    "LOGOS_MAX_AGENTS",
    "",
    "How many agents a person may own, by role, for instance user=3,operator=20; roles not named have no limit.",
    ROLES,
)
LOGOS_REGISTRATION = env.choice(
    "LOGOS_REGISTRATION",
    "closed",
    "Whether people may ask for an account: closed, approval (an admin decides) or open (at once).",
    ("closed", "approval", "open"),
)
LOGOS_REGISTRATION_ROLE = env.choice(
    "LOGOS_REGISTRATION_ROLE", "user", "The role of people who registered: user or viewer.", ("user", "viewer")
)
LOGOS_REFUSED_DAYS = env.number(
    "LOGOS_REFUSED_DAYS", 30, "Refused applications are deleted after this many days; until then the name stays taken."
)
# Browsers give passkeys to http on this machine only.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not LOGOS_TLS
LOGOS_OIDC = oidc.read()

# --- telling people --------------------------------------------------------------------------------
LOGOS_PUSH_KEY = env.secret(
    "LOGOS_PUSH_KEY",
    LOGOS_SECRETS,
    "Signs push messages to browsers; made at the first start. With another one every browser has to be switched on again.",
    webpush.new_private_key,
)
LOGOS_PUSH_CONTACT = env.text(
    "LOGOS_PUSH_CONTACT", "", "mailto: or https: address that push services may turn to; empty is LOGOS_URL."
)
LOGOS_PUSH_SERVICES = env.words(
    "LOGOS_PUSH_SERVICES",
    "fcm.googleapis.com,updates.push.services.mozilla.com,*.push.apple.com,*.notify.windows.com",
    "Hosts of push services that browsers may name, comma separated; *.example.org is every host below, https://… an origin.",
)
LOGOS_MAIL_URL = env.text(
    "LOGOS_MAIL_URL",
    "",
    "Mail server for notices, for instance smtp://name:password@mail.example.org:587 (smtps:// for TLS from the start); empty sends none.",
)
LOGOS_MAIL_FROM = env.text("LOGOS_MAIL_FROM", "logos@localhost", "The address that notices come from.")
LOGOS_MAIL_MINUTES = env.number("LOGOS_MAIL_MINUTES", 15, "A person gets at most one notice by mail in this time.")
vars().update(mail.settings_for(LOGOS_MAIL_URL))
DEFAULT_FROM_EMAIL = SERVER_EMAIL = LOGOS_MAIL_FROM

LOGOS_TOKEN_MAX_DAYS = env.number("LOGOS_TOKEN_MAX_DAYS", 365, "An API token is valid for this many days at most.")

# --- what Logos allows ----------------------------------------------------------------------------
LOGOS_MAX_MESSAGE_CHARS = env.number("LOGOS_MAX_MESSAGE_CHARS", 100_000, "Longest message a person may send.")
LOGOS_RUN_TIMEOUT_S = env.number("LOGOS_RUN_TIMEOUT_S", 3600, "A run is failed after this many seconds.")
LOGOS_EGRESS_DAYS = env.number("LOGOS_EGRESS_DAYS", 30, "What agents reached and were refused is kept this many days.")
LOGOS_APPROVAL_TIMEOUT_S = env.number(
    "LOGOS_APPROVAL_TIMEOUT_S", 300, "A dangerous command nobody allows is denied after this."
)
LOGOS_TIRITH = env.text(
    "LOGOS_TIRITH", "", "Path of the program tirith, asked for a second opinion on dangerous commands; empty for none."
)
LOGOS_ACCESS_TIMEOUT_S = env.number(
    "LOGOS_ACCESS_TIMEOUT_S", 3600, "A host or an MCP server an agent asks for and nobody allows is denied after this."
)
LOGOS_APPROVERS = env.number("LOGOS_APPROVERS", 1, "How many people must allow a request that is put to operators.")
LOGOS_ESCALATE_AFTER_S = env.number(
    "LOGOS_ESCALATE_AFTER_S", 0, "What a person has not decided after this goes to operators too; 0 is never."
)
LOGOS_RULE_HOURS = env.number(
    "LOGOS_RULE_HOURS",
    24,
    "A rule that a person makes when allowing what their agent asks lives this many hours at most.",
)
LOGOS_RULE_ADMIN_DAYS = env.number("LOGOS_RULE_ADMIN_DAYS", 30, "The same for operators and admins, in days.")
LOGOS_FIRST_BYTE_TIMEOUT_S = env.number(
    "LOGOS_FIRST_BYTE_TIMEOUT_S", 120, "A model provider must begin to answer within this."
)
LOGOS_IDLE_TIMEOUT_S = env.number(
    "LOGOS_IDLE_TIMEOUT_S", 90, "A model provider may pause its answer no longer than this."
)
LOGOS_SANDBOX_DRIVER = env.text("LOGOS_SANDBOX_DRIVER", "local", "Which driver starts sandboxes.")
LOGOS_SANDBOX_MEMORY_MB = env.number(
    "LOGOS_SANDBOX_MEMORY_MB", 4096, "A sandbox may hold this much memory, all its processes together (MiB)."
)
LOGOS_SANDBOX_CPU_PERCENT = env.number(
    "LOGOS_SANDBOX_CPU_PERCENT", 150, "A sandbox may use this much processor time; 100 is one processor."
)
LOGOS_SANDBOX_PROCESSES = env.number(
    "LOGOS_SANDBOX_PROCESSES", 400, "Processes and threads in a sandbox at the same time."
)
LOGOS_SANDBOX_OPEN_FILES = env.number("LOGOS_SANDBOX_OPEN_FILES", 4096, "Open files in each process of a sandbox.")
LOGOS_SANDBOX_DISK_MB = env.number(
    "LOGOS_SANDBOX_DISK_MB", 10_240, "An agent's files may take this much: workspace, home, runtime (MiB)."
)
LOGOS_SANDBOX_FILE_MB = env.number("LOGOS_SANDBOX_FILE_MB", 1024, "The largest single file in a sandbox (MiB).")
LOGOS_SANDBOX_TMP_MB = env.number("LOGOS_SANDBOX_TMP_MB", 512, "The size of /tmp in a sandbox, kept in memory (MiB).")
LOGOS_PREPARE_AGENTS = env.flag(
    "LOGOS_PREPARE_AGENTS", True, "Prepare the sandbox of a new agent in the background at once."
)
LOGOS_IDLE_STOP_MINUTES = env.number(
    "LOGOS_IDLE_STOP_MINUTES", 30, "A sandbox nobody uses is stopped after this many minutes; 0 is never."
)
LOGOS_SHELL_IDLE_MINUTES = env.number(
    "LOGOS_SHELL_IDLE_MINUTES", 30, "A terminal in a page is closed after this many minutes without a key; 0 is never."
)
LOGOS_UPLOAD_MB = env.number("LOGOS_UPLOAD_MB", 25, "The largest file people may upload into a workspace, in MB.")
LOGOS_DOWNLOAD_MB = env.number(
    "LOGOS_DOWNLOAD_MB", 100, "The largest file people may download from a workspace, in MB."
)
LOGOS_ENGINE_POLL_MS = env.number(
    "LOGOS_ENGINE_POLL_MS", 200, "How often the engine looks for work other processes left."
)

# --- language, time, files ------------------------------------------------------------------------
TIME_ZONE = env.text("LOGOS_TIME_ZONE", "UTC", "Time zone for pages, for instance Europe/Berlin.")
STATIC_ROOT = LOGOS_HOME / "static"
MEDIA_ROOT = LOGOS_HOME / "media"

# --- log ------------------------------------------------------------------------------------------
LOGOS_LOG_LEVEL = env.text("LOGOS_LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR.").upper()
LOGOS_LOG_FORMAT = env.text("LOGOS_LOG_FORMAT", "text", "text for people, json for machines.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "context": {"()": "agents.logcontext.ContextFilter"},
        "briefly": {"()": "agents.logcontext.Briefly"},
    },
    "formatters": {
        "text": {"()": "agents.logcontext.TextFormatter"},
        "json": {"()": "agents.logcontext.JsonFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["briefly", "context"],
            "formatter": "json" if LOGOS_LOG_FORMAT == "json" else "text",
        }
    },
    "root": {"handlers": ["console"], "level": LOGOS_LOG_LEVEL},
    "loggers": {
        "daphne": {"level": "WARNING"},
        "uvicorn": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "asyncio": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
    },
}
