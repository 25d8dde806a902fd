"""Django's settings. What differs between sites comes from the environment, read only here."""

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import django
from django.core.exceptions import ImproperlyConfigured

from project import content_security, environment, languages
from project.private import create_privately
from project.secret import stored_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]


# The site

create_privately()
DEBUG = environment.switch("DEBUG")
DATA_DIR = environment.folder("DATA_DIR", default=BASE_DIR / "var")

ALLOWED_HOSTS = environment.hosts("ALLOWED_HOSTS", default=LOOPBACK)
CSRF_TRUSTED_ORIGINS = environment.origins("CSRF_TRUSTED_ORIGINS")

OTHER_HOSTS = set(ALLOWED_HOSTS) - set(LOOPBACK)

SECRET_KEY = environment.text("SECRET_KEY", default="")
if not SECRET_KEY:
    if OTHER_HOSTS:
        raise ImproperlyConfigured(
            "A site that others can reach (ALLOWED_HOSTS) needs a SECRET_KEY in the environment: "
            "make one with `python -c 'import secrets; print(secrets.token_urlsafe(50))'`, "
            "keep it, and give every process the same one."
        )
    with environment.usable("DATA_DIR", str(DATA_DIR)):
        SECRET_KEY = stored_secret_key(DATA_DIR / "secret_key")

# For a site behind a proxy that terminates HTTPS and sets X-Forwarded-Proto.
SECURE_SSL = environment.switch("SECURE_SSL")
# Read even where they have no effect, so that an invalid value is refused.
hsts_seconds = environment.number(
    "SECURE_HSTS_SECONDS", default=31_536_000, least=0, most=2**31 - 1
)
hsts_include_subdomains = environment.switch("SECURE_HSTS_INCLUDE_SUBDOMAINS")
hsts_preload = environment.switch("SECURE_HSTS_PRELOAD")
if SECURE_SSL:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = hsts_seconds
    # Each binds more than this site, for as long as browsers remember it.
    SECURE_HSTS_INCLUDE_SUBDOMAINS = hsts_include_subdomains
    SECURE_HSTS_PRELOAD = hsts_preload
    SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

INSTALLED_APPS = [
    # Before the admin, whose templates it extends.
    "project",
    "project.apps.SiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "examples",
    "feeds",
    "tasks",
    "django_rq",
    "axes",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "project.content_security.DashboardPolicy",
    "project.viewer_zone.ViewerZone",
]
if django.VERSION >= (6, 0):
    MIDDLEWARE.insert(1, "django.middleware.csp.ContentSecurityPolicyMiddleware")
    SECURE_CSP = content_security.POLICY
else:
    MIDDLEWARE.insert(1, "csp.middleware.CSPMiddleware")
    CONTENT_SECURITY_POLICY = {"DIRECTIVES": content_security.POLICY}

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# Guessed passwords: a user is locked from the address where they come from, never everywhere.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "project.client_address.client_address"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
AXES_LOCKOUT_TEMPLATE = "project/locked_out.html"
AXES_VERBOSE = False
# The log names the address, by which people find and block an attacker; what was typed as a name
# may be a password.
AXES_SENSITIVE_PARAMETERS = ["username"]

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
with environment.usable("DATA_DIR", str(DATA_DIR)):
    STATIC_ROOT.mkdir(exist_ok=True)
# Served straight from the apps, so that no collectstatic step is needed.
WHITENOISE_USE_FINDERS = True
# Files in DATA_DIR are their owner's alone, those of `collectstatic` too.
FILE_UPLOAD_PERMISSIONS = 0o600

LANGUAGE_CODE = environment.language("LANGUAGE_CODE", default="en-us")
LANGUAGES = languages.offered(LANGUAGE_CODE)
TIME_ZONE = environment.time_zone("TIME_ZONE", default="UTC")
USE_TZ = True


# The database

OWN_DATABASE = DATA_DIR / "db.sqlite3"
SQLITE_OPTIONS = {
    # Several processes write: without these, most would fail with "database is locked".
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
}


def database() -> dict[str, Any]:
    """Return the database at DATABASE_URL."""
    config = environment.database("DATABASE_URL", default=f"sqlite:///{quote(str(OWN_DATABASE))}")
    if config["ENGINE"] == "django.db.backends.sqlite3":
        config["OPTIONS"] = SQLITE_OPTIONS | config.get("OPTIONS", {})
    else:
        config.setdefault("CONN_MAX_AGE", 60)
        config.setdefault("CONN_HEALTH_CHECKS", True)
    return config


DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


# Redis and the queues

VALKEY_SOCKET = DATA_DIR / "valkey.sock"
REDIS_URL = environment.redis_url("REDIS_URL")
# `manage.py up` runs a Valkey of its own when no other server is named.
EMBEDDED_VALKEY = not REDIS_URL
if EMBEDDED_VALKEY:
    REDIS_URL = f"unix://{quote(str(VALKEY_SOCKET))}"

# With what the names of all keys begin. RQ itself reads it from the environment; it is here to be
# refused with a message if it is invalid.
RQ_KEY_PREFIX = environment.key_prefix("RQ_KEY_PREFIX", default="rq")

RQ_QUEUES = {
    name: {
        "URL": REDIS_URL,
        "SERIALIZER": "rq.serializers.JSONSerializer",
        "DEFAULT_TIMEOUT": 180,
    }
    for name in ("high", "default", "low", "feeds")
}
RQ = {
    "JOB_CLASS": "tasks.job.Job",
    "QUEUE_CLASS": "tasks.queue.Queue",
    "WORKER_CLASS": "tasks.worker.Worker",
    "SCHEDULER_CLASS": "tasks.scheduler.Scheduler",
    "COMMIT_MODE": "on_db_commit",
}
# Whether RQ jobs may call functions that aren't registered, by their import paths.
TASKS_RUN_UNREGISTERED = environment.switch("TASKS_RUN_UNREGISTERED")
# How many seconds after its worker died a run is closed as lost, at the latest.
TASKS_LOST_AFTER = environment.number("TASKS_LOST_AFTER", default=60)
# For how many seconds a job is left to other workers when one doesn't know its function.
TASKS_UNKNOWN_AFTER = environment.number("TASKS_UNKNOWN_AFTER", default=600)
# The process in which a worker runs its jobs is replaced after this many runs, or when it uses
# this many MB.
TASKS_CHILD_MAX_RUNS = environment.number("TASKS_CHILD_MAX_RUNS", default=10_000)
TASKS_CHILD_MAX_MEMORY = environment.number("TASKS_CHILD_MAX_MEMORY", default=512)
# Whether each run gets a process of its own unless its function or its schedule says otherwise.
TASKS_ISOLATED = environment.switch("TASKS_ISOLATED")
# How many coroutine functions each worker runs side by side; 0: one at a time, like any other.
TASKS_CONCURRENCY = environment.number("TASKS_CONCURRENCY", default=0, least=0, most=10_000)
# How many bytes of JSON a row keeps of a result.
TASKS_MAX_RESULT = environment.number("TASKS_MAX_RESULT", default=65_536, least=1_024)
# How many days ended background calls are kept, and how many of them: {} keeps all. Where
# `manage.py up` has made the site's own database it has noted that they are kept for a month.
KEEP_CALLS_NOTE = DATA_DIR / "keep_calls"
is_own = DATABASES["default"]["NAME"] == str(OWN_DATABASE)
keep_calls = "days=30" if is_own and KEEP_CALLS_NOTE.exists() else "all"
TASKS_KEEP_CALLS = environment.limits("TASKS_KEEP_CALLS", ["days", "number"], default=keep_calls)


# Feeds, and what `manage.py up` runs

FEEDS = environment.words("FEEDS", default=[])
FEEDS_ALLOWED_HOSTS = environment.hosts("FEEDS_ALLOWED_HOSTS", default=[])
# Ports besides 80 and 443.
FEEDS_ALLOWED_PORTS = environment.ports("FEEDS_ALLOWED_PORTS")
# How many feeds of one host are fetched at a time, and how many milliseconds lie between two
# requests to it.
FEEDS_PER_HOST = environment.number("FEEDS_PER_HOST", default=2, least=1)
FEEDS_HOST_GAP = environment.number("FEEDS_HOST_GAP", default=500, least=0, most=60_000)
# A page about who fetches: it is sent to the servers of feeds.
FEEDS_CONTACT_URL = environment.web_address("FEEDS_CONTACT_URL")
# The root of the site, where hubs reach it to tell when feeds have changed (WebSub). Without it, no
# hub is asked for anything.
FEEDS_PUBLIC_URL = environment.web_address("FEEDS_PUBLIC_URL")
# The tags whose entries anybody who can reach the site can read, as Atom feeds.
FEEDS_PUBLIC_TAGS = environment.words("FEEDS_PUBLIC_TAGS", default=[])
# How many days the entries of each feed are kept, and how many of them besides those that it lists:
# {} keeps all.
FEEDS_KEEP_ENTRIES = environment.limits(
    "FEEDS_KEEP_ENTRIES", ["days", "number"], default="number=1000"
)
# Anybody who can reach the site can read it, so it is off. `manage.py up` turns it on where that
# is only this machine.
FEEDS_ACTIVITY_FEED = environment.switch("ACTIVITY_FEED")
ACTIVITY_FEED_OF_UP = environment.switch("ACTIVITY_FEED", default=not OTHER_HOSTS)
PORT = environment.number("PORT", default=8000, least=1, most=65_535)
WORKERS = environment.number("WORKERS", default=2, least=1, most=1_000)


# Logs

LOG_LEVEL = environment.text("LOG_LEVEL", default="INFO").upper()
if LOG_LEVEL not in logging.getLevelNamesMapping():
    raise environment.refusal("LOG_LEVEL", "a level such as INFO", LOG_LEVEL)
# Under `manage.py up` every line gets its time from the supervisor.
SUPERVISED = environment.switch("SUPERVISED")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "class": "tasks.masking.MaskingFormatter",
            "format": ("" if SUPERVISED else "%(asctime)s ")
            + "%(levelname)s %(name)s: %(message)s",
        },
    },
    "filters": {
        "without_activity_feed": {"()": "project.logs.WithoutActivityFeed"},
        "without_traceback_of_refusals": {"()": "project.logs.WithoutTracebackOfRefusals"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["without_activity_feed", "without_traceback_of_refusals"],
        }
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": LOG_LEVEL},
        "axes": {"level": "WARNING"},
        # With a handler here, rq-scheduler doesn't add its own.
        "rq_scheduler.scheduler": {"handlers": ["console"], "propagate": False},
    },
}
