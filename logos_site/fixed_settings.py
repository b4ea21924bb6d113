"""The settings that are the same everywhere: what Django is put together from. Nothing here is read from outside."""

from __future__ import annotations

from pathlib import Path

from csp.constants import NONE, SELF

BASE_DIR = Path(__file__).resolve().parent.parent

# --- web ------------------------------------------------------------------------------------------
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME = "logos_session"
CSRF_COOKIE_NAME = "logos_csrf"
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_HANDLERS = [
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "logos_site.uploads.NamelessUploadHandler",
]
ROOT_URLCONF = "logos_site.urls"
ASGI_APPLICATION = "logos_site.asgi.application"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# Daphne is not listed: only ``serve`` needs it, and it would cost every other process 20 MB and half a second.
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "logos_site.console.apps.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "guardian",
    "simple_history",
    "channels",
    "django_q",
    "django_htmx",
    "ninja",
    "agents",
    "sandboxes",
    "runs",
    "mcp_gateway",
    "channels_app",
    "logos_site",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "logos_site.doors.Doors",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "logos_site.caching.PrivatePages",
    "logos_site.errors.ErrorPages",
    "logos_site.account.passkeys.DamagedPasskeys",
    "logos_site.account.middleware.SecondFactorGate",
    "logos_site.account.middleware.SeenSessions",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "logos_site.navigation.frame",
            ],
            "builtins": ["runs.templatetags.run_format", "logos_site.templatetags.interface"],
        },
    }
]

# Fields of forms are drawn by the same templates, so that ours come before a package's.
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# --- data and work --------------------------------------------------------------------------------
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# retry must exceed the longest task with room to spare, or the broker hands it out again while it runs;
# queue_limit = workers keeps fetched tasks from waiting on their lease (docs/architecture.md).
Q_CLUSTER = {
    "name": "logos",
    "orm": "default",
    "cache": "processes",
    "workers": 2,
    "queue_limit": 2,
    "bulk": 1,
    "poll": 0.05,
    "timeout": 300,
    "retry": 900,
    "max_attempts": 3,
    "ack_failures": True,
    "catch_up": False,
    "save_limit": 500,
    "label": "Background work",
}

# --- people ---------------------------------------------------------------------------------------
AUTH_USER_MODEL = "agents.User"
AUTHENTICATION_BACKENDS = [
    "allauth.account.auth_backends.AuthenticationBackend",
    "guardian.backends.ObjectPermissionBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_ADAPTER = "logos_site.accounts.ClosedAccounts"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
# A key is a name as typed and an address; a person is whoever has that name or e-mail.
ACCOUNT_RATE_LIMITS = {
    "login_failed": "10/15m/key,100/15m/ip",
    "login_failed_person": "10/15m/key",
    "login_failed_anywhere": "100/15m/key",
    "register": "8/1h/ip",
}
ACCOUNT_REAUTHENTICATION_TIMEOUT = 900
MFA_ADAPTER = "logos_site.accounts.SealedFactors"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Logos"
MFA_TOTP_TOLERANCE = 1
MFA_FORMS = {
    "authenticate": "logos_site.account.codes.SignInCode",
    "reauthenticate": "logos_site.account.codes.ConfirmCode",
}
# Admins make accounts, so nobody can set up a factor for an address of somebody else.
MFA_ALLOW_UNVERIFIED_EMAIL = True
SOCIALACCOUNT_ADAPTER = "logos_site.oidc.adapter.Providers"
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"provider_class": "logos_site.oidc.protocol.Provider"}}
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
GUARDIAN_MONKEY_PATCH_USER = False
ANONYMOUS_USER_NAME = None

# --- language and files ---------------------------------------------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "logos_site.static_storage.StaticStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
WHITENOISE_MANIFEST_STRICT = False  # a page without its stylesheet is better than an error page that fails too
