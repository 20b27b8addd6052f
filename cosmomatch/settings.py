"""All settings, from the environment, refusing bad values.

The readers note every name that they read, and `.env.example` lists exactly those (tests/test_settings.py). A secret
comes from `X` or from the file named by `X_FILE`. Mistakes that only show in the whole are system checks:
apps/ops/checks.py.
"""

import logging
import os
import re
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import django_stubs_ext
import structlog
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from apps.core.postgresql.connections import bounded

django_stubs_ext.monkeypatch()  # lets `models.Field[str, str]` and `ModelAdmin[User]` be written

BASE_DIR = Path(__file__).resolve().parent.parent


# --- Reading the environment ------------------------------------------------------------------------------------------

READ: dict[str, bool] = {}
"""Every variable that was read, and whether it is a secret (which may also come as `X_FILE`)."""


def text(name: str, default: str = "") -> str:
    READ[name] = False
    return os.environ.get(name, "").strip() or default


def secret(name: str, default: str = "") -> str:
    """The value of `X`, or the content of the file `X_FILE`; both at once is a mistake."""
    value, file = text(name), os.environ.get(f"{name}_FILE", "").strip()
    READ[name] = True
    if value and file:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    if not file:
        return value or default

    try:
        value = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE names {file}, which cannot be read: {error}.") from error
    if not value:
        raise ImproperlyConfigured(f"{name}_FILE names {file}, which is empty.")
    return value


def one_of(name: str, *allowed: str) -> str:
    """One of the words given; the first is the default."""
    value = text(name, allowed[0])
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def flag(name: str, *, default: bool) -> bool:
    return one_of(name, *(("true", "false") if default else ("false", "true"))) == "true"


def whole(name: str, default: int, *, least: int, most: int) -> int:
    value = text(name, str(default))
    if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
        raise ImproperlyConfigured(f"{name} must be a whole number from {least} to {most}, not {value!r}.")
    return int(value)


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list."""
    return [word for part in text(name, default).split(",") if (word := part.strip())]


def address(name: str, default: str, schemes: tuple[str, ...], read: Callable[[str, str], str] = text) -> str:
    """A URL of one of these schemes. A wrong one is not repeated in the message, as it may hold a password."""
    value = read(name, default)
    if not value:
        return value
    try:
        parts = urlsplit(value)
        for host in parts.netloc.rpartition("@")[2].split(","):
            _port = urlsplit(f"//{host}").port  # raises if it is not a port
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not a URL: {error}.") from error
    if parts.scheme not in schemes or not (parts.netloc or parts.path.strip("/")):
        raise ImproperlyConfigured(f"{name} must be a URL that begins with {' or '.join(f'{s}://' for s in schemes)}.")
    return value


# --- Where and who ----------------------------------------------------------------------------------------------------

ENVIRONMENT = one_of("ENVIRONMENT", "development", "production")
PRODUCTION = ENVIRONMENT == "production"
DEBUG = flag("DEBUG", default=False)

VAR_DIR = Path(text("VAR_DIR", str(BASE_DIR / "var"))).expanduser().absolute()
PORT = whole("PORT", 8000, least=1, most=65535)
SITE_URL = address("SITE_URL", f"http://127.0.0.1:{PORT}", ("http", "https")).rstrip("/")
SITE_HOST = urlsplit(SITE_URL).hostname or ""


def development_key() -> str:
    """A key of this checkout's own, so that sessions outlive a restart; production must bring its own."""
    file = VAR_DIR / "secret_key"
    try:
        VAR_DIR.mkdir(parents=True, exist_ok=True)
        # O_EXCL: of several processes that start at once, one writes the key and the others read it.
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as new:
            new.write(secrets.token_urlsafe(60))
    except FileExistsError:
        pass
    except OSError as error:
        raise ImproperlyConfigured(f"{VAR_DIR} cannot be written to: {error.strerror}.") from error
    return file.read_text(encoding="ascii") or secrets.token_urlsafe(60)  # empty: another process is at it right now


SECRET_KEY = secret("SECRET_KEY") or ("" if PRODUCTION else development_key())
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY (or SECRET_KEY_FILE) must be set in production.")
# Sessions and links that were signed with the previous key stay valid while the key is changed.
SECRET_KEY_FALLBACKS = [key] if (key := secret("SECRET_KEY_PREVIOUS")) else []

ALLOWED_HOSTS = words("ALLOWED_HOSTS", SITE_HOST if PRODUCTION else f"{SITE_HOST},127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = [SITE_URL]
# How many proxies of our own add to X-Forwarded-For. With 0, nothing that a client writes there is believed.
TRUSTED_PROXY_COUNT = whole("TRUSTED_PROXY_COUNT", 0, least=0, most=10)

ROOT_URLCONF = "cosmomatch.urls"
WSGI_APPLICATION = "cosmomatch.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Ours come first, from the lowest rung up: Django takes the first template or command of a name, so ours win.
INSTALLED_APPS = [
    "apps.core",
    "apps.catalogue",
    "apps.accounts",
    "apps.notifications",
    "apps.policy",
    "apps.demands",
    "apps.supply",
    "apps.matching",
    "apps.fulfilment",
    "apps.duplicates",
    "apps.reports",
    "apps.desk",
    "apps.exports",
    "apps.api",
    "apps.portal",
    "apps.ops",
    "apps.boards",
    "apps.demo",
    "apps.evaluation",
    "apps.local",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",  # before staticfiles, whose `runserver` it replaces
    "django.contrib.staticfiles",
    "django.forms",  # its templates, for FORM_RENDERER
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "csp",
    "django_filters",
    "django_prometheus",
    "django_structlog",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "pgtrigger",
    "rest_framework",
]

# From outside to inside. Metrics enclose everything; a body that is too large is refused before anything reads it.
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "apps.ops.serving.middleware.request_id_middleware",
    "apps.ops.serving.middleware.CompressionMiddleware",
    "apps.ops.serving.middleware.safety_headers_middleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.ops.serving.middleware.no_store_middleware",
    "apps.api.protocol.encryption.encryption_middleware",
    "apps.ops.serving.middleware.body_limit_middleware",
    "apps.ops.serving.middleware.charset_middleware",
    "django.middleware.locale.LocaleMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.ops.serving.middleware.actor_middleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "apps.portal.middleware.personal_middleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"


# --- Processes --------------------------------------------------------------------------------------------------------

WEB_BIND = text("WEB_BIND", f"127.0.0.1:{PORT}")
WEB_PROCESSES = whole("WEB_PROCESSES", 2, least=1, most=64)
WEB_THREADS = whole("WEB_THREADS", 4, least=1, most=64)
WORKER_PROCESSES = whole("WORKER_PROCESSES", 2, least=1, most=64)
# What this process is. The web server says so by itself (apps/ops/web.py); a command is what says nothing.
PROCESS = one_of("PROCESS", "command", "web", "worker", "sender")
# Here the loops of workers and beat each touch a file. Who looks at it from outside ends a process that is silent.
HEARTBEAT_DIR = text("HEARTBEAT_DIR")
# How many exports one node makes at once; they share the threads and the database with the pages.
EXPORTS_AT_ONCE = whole("EXPORTS_AT_ONCE", 2, least=1, most=64)


# --- Data -------------------------------------------------------------------------------------------------------------

# Where no database and no Redis are named, `manage.py` starts servers of our own and puts their addresses into the
# environment before the settings are read (apps/local/embedded.py). A program that is started in another way fails at
# its first connection, and the host in its error message says why: `.invalid` resolves nowhere (RFC 2606).
DATABASE_IS_NAMED = bool(secret("DATABASE_URL"))
DATABASE_URL = address(
    "DATABASE_URL", "postgresql://database-url-is-not-set.invalid/none", ("postgres", "postgresql"), read=secret
)
DATABASE_POOL_SIZE = whole("DATABASE_POOL_SIZE", 8, least=0, most=200)
# DATABASE_URL names a pooler in transaction mode: nothing of ours may outlive a transaction on a connection.
DATABASE_IS_POOLED = flag("DATABASE_IS_POOLED", default=False)


# Seconds that a statement may take, that it may wait for a lock, and that a transaction may do nothing; 0 is no limit.
# A page must not hold a thread, and a task ends by itself before its time limit. Commands migrate and load.
STATEMENT_SECONDS, LOCK_SECONDS, IDLE_SECONDS = {
    "web": (20, 5, 30),
    # No task computes while its transaction has locks. One that is frozen is ended soon, and others get its rows.
    "worker": (200, 60, 15),
    "sender": (200, 60, 15),
    "command": (0, 0, 0),
}[PROCESS]
DATABASE_SECONDS = {
    "statement_timeout": whole("DATABASE_STATEMENT_SECONDS", STATEMENT_SECONDS, least=0, most=86_400),
    "lock_timeout": whole("DATABASE_LOCK_SECONDS", LOCK_SECONDS, least=0, most=86_400),
    "idle_in_transaction_session_timeout": whole("DATABASE_IDLE_SECONDS", IDLE_SECONDS, least=0, most=86_400),
}
DATABASE_SESSION = {name: f"{seconds}s" for name, seconds in DATABASE_SECONDS.items() if seconds}
# What a page shows of a match or an order is in twelve tables. By default, PostgreSQL takes 20 ms to look for the best
# order of the first eight. Filters come first in a query, so those after the sixth are only looked up by their keys.
DATABASE_SESSION["join_collapse_limit"] = "6"
if PROCESS == "sender":
    # It commits twice for each message. If the power fails, the last commits may be lost, and these messages are sent
    # again, as "at least once" allows.
    DATABASE_SESSION["synchronous_commit"] = "off"


# A machine that is gone is noticed within half a minute, and not in the two hours of the kernel's own.
ALIVE = {"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3", "tcp_user_timeout": "25000"}


def database(url: str, pool_size: int, session: dict[str, str]) -> dict[str, Any]:
    """Django's form of a `postgresql://` URL. Parameters after `?` go to libpq; `host` may be a socket's directory.

    There may be several hosts, as in `a:5432,b:5432`: libpq tries one after the other.

    `session` are settings of PostgreSQL. They go with the start of each connection, so they cost no query. A pooler
    sets them itself (docker/pgbouncer.ini).
    """
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    if not parts.path.strip("/"):
        raise ImproperlyConfigured("DATABASE_URL names no database.")
    hosts = [urlsplit(f"//{host}") for host in parts.netloc.rpartition("@")[2].split(",")]
    ports = [str(host.port or "") for host in hosts]
    sent = {} if DATABASE_IS_POOLED else session
    said = [options.get("options", ""), *(f"-c {name}={value}" for name, value in sent.items())]
    if any(said):
        options["options"] = " ".join(filter(None, said))
    settings: dict[str, Any] = {
        "ENGINE": "apps.core.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", ",".join(host.hostname or "" for host in hosts)),
        "PORT": ",".join(ports) if any(ports) else "",
        "CONN_MAX_AGE": 0,  # the pool keeps connections; keeping them twice would leak them
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": DATABASE_IS_POOLED,
        "OPTIONS": {"connect_timeout": "5", **ALIVE, **options},
    }
    if pool_size:
        settings["OPTIONS"]["pool"] = {
            "min_size": 0,
            "max_size": pool_size,
            "max_idle": 60,
            # The pool's own 30 s would stall every command while the database is away, and its five minutes of trying
            # again, later and later, would last longer than what ended.
            "timeout": 5,
            "reconnect_timeout": 5,
            # A little later than PostgreSQL itself ends a statement.
            "connection_class": bounded(STATEMENT_SECONDS + 5 if STATEMENT_SECONDS else None),
        }
    return settings


DATABASES = {"default": database(DATABASE_URL, DATABASE_POOL_SIZE, DATABASE_SESSION)}
# Exports and figures are read from this one, which follows the other: apps/core/postgresql/replica.py.
if DATABASE_REPLICA_URL := address("DATABASE_REPLICA_URL", "", ("postgres", "postgresql"), read=secret):
    DATABASES["replica"] = database(DATABASE_REPLICA_URL, DATABASE_POOL_SIZE, DATABASE_SESSION)
    DATABASE_ROUTERS = ["apps.core.postgresql.replica.ReplicaRouter"]

REDIS_IS_NAMED = bool(secret("REDIS_URL"))
REDIS_URL = address("REDIS_URL", "redis://redis-url-is-not-set.invalid", ("redis", "rediss", "unix"), read=secret)


def redis_databases(url: str) -> tuple[str, str]:
    """Where Celery queues, and where the cache is: the database that the URL names, and the one after it."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    number = query.pop("db", "") or (parts.path.strip("/") if parts.scheme != "unix" else "") or "0"
    if not number.isdigit():
        raise ImproperlyConfigured("REDIS_URL must end in the number of a database, such as /0, or in nothing.")
    queue, cache = number, str(int(number) + 1)

    if parts.scheme == "unix":
        return (
            f"redis+socket://{parts.path}?{urlencode({**query, 'virtual_host': queue})}",
            f"unix://{parts.path}?{urlencode({**query, 'db': cache})}",
        )
    rest = urlencode(query)
    return (
        urlunsplit((parts.scheme, parts.netloc, f"/{queue}", rest, "")),
        urlunsplit((parts.scheme, parts.netloc, f"/{cache}", rest, "")),
    )


CELERY_BROKER_URL, CACHE_URL = redis_databases(REDIS_URL)
CACHES = {
    "default": {
        "BACKEND": "cosmomatch.cache.RestingRedisCache",
        "LOCATION": CACHE_URL,
        # A post does without the cache, so it may cost one time-out.
        "OPTIONS": {"socket_connect_timeout": 0.8, "socket_timeout": 0.8},
    }
}

CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# An error that Redis answers with counts as a lost connection, too. Read-only after a failover, or out of memory, it
# passes, and without this the worker would end or hang.
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_WORKER_CONSUMER = "apps.ops.consumer:WatchedConsumer"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,  # a task of a killed worker is given to another after this; no task may take longer
    "socket_connect_timeout": 2,
    "socket_timeout": 5,  # a server that hangs; the loop itself asks for one second at a time
    "socket_keepalive": True,
    "max_retries": 0,  # publishing a wake-up must not hold up a request: the sweep will find the rows
}
CELERY_TASK_PUBLISH_RETRY = False
# A task of a worker that dies runs once more. Every task may run twice, because it only looks for work in rows.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 600_000  # kB; a process that took more ends after its task
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_BACKEND = None
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
# A worker takes one task at a time, so no short task waits behind a long one while another worker is idle.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 2000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "apps.ops.beat:LeasedScheduler"


# --- People -----------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "apps.accounts.passwords.UserAttributeSimilarityValidator"},
    {"NAME": "apps.accounts.passwords.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "apps.accounts.passwords.CommonPasswordValidator"},
    {"NAME": "apps.accounts.passwords.NumericPasswordValidator"},
    {"NAME": "apps.accounts.passwords.ContextValidator"},
]
PASSWORD_RESET_TIMEOUT = 3600  # in seconds; the mail goes out within seconds
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_ADAPTER = "apps.portal.entrance.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "change_password": "apps.portal.forms.account.ChangePasswordForm",
    "login": "apps.portal.forms.account.LoginForm",
    "signup": "apps.portal.forms.account.SignupForm",
}
ACCOUNT_CHANGE_EMAIL = True  # one address: a second one could reset the password without the first one's owner
ACCOUNT_REAUTHENTICATION_REQUIRED = True  # an open session alone changes neither address nor factor nor token
ACCOUNT_SIGNUP_REDIRECT_URL = "/organisation/new/"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# With it nobody logs in before they opened a mail, and registering does not tell who has an account. Without it,
# drafting need not wait for a mail, as only verified organisations are matched.
CONFIRM_ADDRESSES = flag("CONFIRM_ADDRESSES", default=PRODUCTION)
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if CONFIRM_ADDRESSES else "optional"
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True  # in the browser that registered
# Wrong passwords: of one account from one network, from everywhere together, and from a browser of its owner.
ACCOUNT_RATE_LIMITS = {
    "login_failed": "30/m/ip,5/5m/key",
    "login_failed_anywhere": "100/h/key",
    "login_failed_known": "5/5m/key",
    "factor_by_token": "5/5m/key",
    "registered": "50/d/key",  # of one network
}
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_SESSION_REMEMBER = True
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXY_COUNT

# A session ends after so long without a request, and after so long in all. The second pair is for computers that
# several people use: apps/portal/entrance/sessions.py.
SESSION_IDLE_MINUTES = whole("SESSION_IDLE_MINUTES", 24 * 60, least=1, most=1_000_000)
SESSION_HOURS = whole("SESSION_HOURS", 14 * 24, least=1, most=10_000)
SHARED_SESSION_IDLE_MINUTES = whole("SHARED_SESSION_IDLE_MINUTES", 15, least=1, most=1_000_000)
SHARED_SESSION_HOURS = whole("SHARED_SESSION_HOURS", 8, least=1, most=10_000)
# Of coordinators, government and staff, and for their tokens. The demo does without.
REQUIRE_SECOND_FACTOR = flag("REQUIRE_SECOND_FACTOR", default=PRODUCTION)
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_TOTP_ISSUER = "CosmoMatch"
MFA_ADAPTER = "apps.accounts.sealing.SealingAdapter"
MFA_FORMS = {
    "authenticate": "apps.portal.forms.account.AuthenticateForm",
    "authenticate_webauthn": "apps.portal.forms.account.PasskeyForm",
    "reauthenticate_webauthn": "apps.portal.forms.account.ReauthenticatePasskeyForm",
    "add_webauthn": "apps.portal.forms.account.AddPasskeyForm",
    "edit_webauthn": "apps.portal.forms.account.EditPasskeyForm",
}
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION  # browsers allow passkeys on http://localhost

KNOX_TOKEN_MODEL = "accounts.ApiToken"  # noqa: S105  the name of a model
MIGRATION_MODULES = {"knox": None}  # its own table of tokens is replaced by ours, and must not be there beside it
REST_KNOX = {
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_MODEL": KNOX_TOKEN_MODEL,
    "TOKEN_TTL": timedelta(days=365),
    "TOKEN_PREFIX": "cosmo_",
}


# --- API --------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.api.protocol.authentication.BearerAuthentication",
        "apps.api.protocol.authentication.SessionCookieAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "apps.api.protocol.authentication.HasScope",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["apps.api.protocol.throttling.PerMinuteThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.api.protocol.parsers.StrictJsonParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "apps.api.protocol.schema.Schema",
    "EXCEPTION_HANDLER": "apps.api.protocol.problems.handle",
    "URL_FORMAT_OVERRIDE": None,  # `format` is a parameter of the exports
    "NUM_PROXIES": TRUSTED_PROXY_COUNT,
}
API_REQUESTS_PER_MINUTE = whole("API_REQUESTS_PER_MINUTE", 600, least=0, most=1_000_000)
API_ANONYMOUS_REQUESTS_PER_MINUTE = whole("API_ANONYMOUS_REQUESTS_PER_MINUTE", 120, least=0, most=1_000_000)
# Several resources have a `state`. Without the names here, the description would number their types.
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "CosmoMatch",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "DESCRIPTION": "Puts a hospital that has run out of something in touch with the suppliers who have it.",
    "SERVERS": [{"url": SITE_URL, "description": "This site."}],
    "ENUM_NAME_OVERRIDES": {
        "DemandState": "apps.demands.models.DemandState",
        "OfferState": "apps.supply.models.OfferState",
        "MatchState": "apps.matching.models.MatchState",
        "OrderState": "apps.fulfilment.models.OrderState",
        "OrganisationState": "apps.accounts.models.OrganisationState",
        "DeclineReason": "apps.matching.models.DeclineReason",
        "KindEnum": "apps.accounts.permissions.OrganisationKind",
        "ReportState": "apps.reports.models.ReportState",
        "ReportReason": "apps.reports.models.ReportReason",
        "SubjectKind": "apps.reports.models.SubjectKind",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "apps.api.events.describe_webhooks",
    ],
    # Files of a package: no page loads anything from another host.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}


# --- Safety -----------------------------------------------------------------------------------------------------------

HTTPS = SITE_URL.startswith("https://")
SECURE_SSL_REDIRECT = HTTPS
# Probes speak plain HTTP to the process itself. Programs are refused, not led on: apps/api/protocol/encryption.py.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$", r"^api/(?!v1/docs/$)"]
# Without a proxy of our own anybody could send this header and pass for HTTPS.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_COUNT else None
SECURE_HSTS_SECONDS = whole("HSTS_SECONDS", 31_536_000 if HTTPS else 0, least=0, most=63_072_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = flag("HSTS_SUBDOMAINS", default=True)
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
# A browser takes a cookie of such a name from this host alone, over HTTPS: no other host of the domain can set one.
COOKIE_PREFIX = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}csrftoken"
LANGUAGE_COOKIE_NAME = f"{COOKIE_PREFIX}django_language"
SESSION_COOKIE_AGE = SESSION_HOURS * 3600
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # the address is unique whatever its case: a constraint on Lower("email")
    "security.W021",  # HSTS preload: for the owner of the domain to decide, at the proxy
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],  # the QR code of the second factor
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# A larger body is a 400; one with files (CSV, XLSX, evidence) may have UPLOAD_MAX_BYTES (apps/ops/serving).
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000
DATA_UPLOAD_MAX_NUMBER_FILES = 10
FILE_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
UPLOAD_MAX_BYTES = 10_000_000
FILE_UPLOAD_PERMISSIONS = 0o640
MEDIA_ROOT = VAR_DIR / "media"
# A private bucket for documents, which every node sees: s3://key:secret@host/bucket. Empty: they lie in MEDIA_ROOT.
FILES_URL = address("FILES_URL", "", ("s3", "s3+http"), read=secret)


def files(url: str) -> dict[str, Any]:
    """Django's form of a `FILES_URL`. `s3+http` is without TLS. Without a key, boto3 looks for one."""
    if not url:
        return {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    parts = urlsplit(url)
    bucket = parts.path.strip("/")
    query = dict(parse_qsl(parts.query))
    if not parts.hostname or not bucket or "/" in bucket or not {"region"}.issuperset(query):
        raise ImproperlyConfigured("FILES_URL must be like s3://key:secret@host/bucket?region=name.")
    host = parts.netloc.rpartition("@")[2]
    return {
        "BACKEND": "apps.accounts.bucket.BucketStorage",
        "OPTIONS": {
            "endpoint_url": f"{'https' if parts.scheme == 's3' else 'http'}://{host}",
            "bucket_name": bucket,
            "region_name": query.get("region", "us-east-1"),
            "access_key": unquote(parts.username or "") or None,
            "secret_key": unquote(parts.password or "") or None,
        },
    }


# ClamAV's daemon, which looks at each document: tcp://host:3310 or unix:///run/clamd.sock. Empty: none does.
CLAMAV_URL = address("CLAMAV_URL", "", ("tcp", "unix"))
# Where somebody tells of a hole in this site: an address that begins with mailto: or https://. It is published.
SECURITY_CONTACT = text("SECURITY_CONTACT")


# --- Mail, text messages ----------------------------------------------------------------------------------------------

# Without a mail server, mail goes to the catcher that `make run` starts on loopback.
EMAIL_IS_CAUGHT = not text("EMAIL_HOST")
EMAIL_HOST = text("EMAIL_HOST", "127.0.0.1")
EMAIL_PORT = whole("EMAIL_PORT", 8025 if EMAIL_IS_CAUGHT else 587, least=1, most=65535)
EMAIL_HOST_USER = text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = secret("EMAIL_HOST_PASSWORD")
EMAIL_SECURITY = one_of("EMAIL_SECURITY", "none" if EMAIL_IS_CAUGHT else "starttls", "none", "starttls", "tls")
EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL_SECURITY == "starttls", EMAIL_SECURITY == "tls"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = text("DEFAULT_FROM_EMAIL", f"CosmoMatch <noreply@{SITE_HOST or 'localhost'}>")

SMS_GATEWAY_URL = address("SMS_GATEWAY_URL", "", ("http", "https"))
SMS_GATEWAY_TOKEN = secret("SMS_GATEWAY_TOKEN")

WEBHOOK_DATA = "apps.api.events.data_of"  # what is told of an event: rows as the API shows them
WEBHOOKS_MAY_BE_PRIVATE = not PRODUCTION  # an address typed in by anybody must not reach into our own network


# --- Languages, files -------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = USE_TZ = True
FORMAT_MODULE_PATH = ["cosmomatch.formats"]
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles" if PRODUCTION else None  # development serves from where the files are
WHITENOISE_USE_FINDERS = not PRODUCTION  # collecting and compressing them is for the image
STORAGES = {
    "default": files(FILES_URL),
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}


# --- Watching ---------------------------------------------------------------------------------------------------------

METRICS_TOKEN = secret("METRICS_TOKEN")
PROMETHEUS_EXPORT_MIGRATIONS = False
LOG_FORMAT = one_of("LOG_FORMAT", *(("json", "console") if PRODUCTION else ("console", "json")))
LOG_LEVEL = one_of("LOG_LEVEL", "INFO", "DEBUG", "WARNING", "ERROR")
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # apps/ops/serving/middleware.py has looked at it
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG  # each request is one line, when it ends


def without_probes(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Drop the log lines of probes, which ask every few seconds. Their answers say what they found."""
    if str(event.get("request", "")).endswith((" /healthz", " /readyz", " /metrics")):
        raise structlog.DropEvent
    return event


def without_links(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Cut the secret part of links and all query strings from log lines.

    With a whole link a reader of the log could answer a request or set a password. A query string may say for whom
    somebody searched.
    """
    if "request" in event:
        event["request"] = re.sub(r"(/a/|/key/|/confirm-email/|\?).+", r"\1…", str(event["request"]))
    return event


LOG_STEPS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        without_probes,
        without_links,
        *LOG_STEPS,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            "foreign_pre_chain": LOG_STEPS,
        },
        "console": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.dev.ConsoleRenderer(
                    colors=False, pad_event_to=30, exception_formatter=structlog.dev.plain_traceback
                ),
            ],
            "foreign_pre_chain": LOG_STEPS,
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"level": "INFO"},
        "django.server": {"handlers": [], "propagate": True},
        # Every request is logged once, with its id, by django_structlog.
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "gunicorn.error": {"level": "WARNING"},
        "waitress": {"level": "WARNING"},
        "waitress.queue": {"level": "ERROR"},  # one line for each request that waits a moment for a thread
        "django_structlog.celery": {"level": "WARNING"},
        "faker": {"level": "WARNING"},
    },
}
