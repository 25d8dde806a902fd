"""Django's settings in the peers' environments."""

import os
from importlib.util import find_spec
from urllib.parse import parse_qs, urlsplit

REDIS_URL = os.environ["REDIS_URL"]
DATABASE_URL = os.environ["DATABASE_URL"]
SECRET_KEY = os.environ["SECRET_KEY"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_url = urlsplit(DATABASE_URL)
if _url.scheme == "sqlite":
    # The same as this project's own.
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATABASE_URL.removeprefix("sqlite:///"),
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
            },
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _url.path.removeprefix("/"),
            "USER": _url.username,
            "HOST": parse_qs(_url.query)["host"][0],
            "CONN_MAX_AGE": None,
        }
    }

# Each environment has its own peers; procrastinate's tables are for PostgreSQL only.
_wanted = ["django_rq", "django_q", "django_dramatiq", "django_celery_results"]
if _url.scheme != "sqlite":
    _wanted.append("procrastinate")
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "benchmarks.peers",
    *(
        "procrastinate.contrib.django" if name == "procrastinate" else name
        for name in _wanted
        if find_spec(name)
    ),
]

RQ_QUEUES = {"default": {"URL": REDIS_URL}}
Q_CLUSTER = {
    "name": "benchmark",
    "workers": 2,
    "timeout": 60,
    "retry": 120,
    "save_limit": 0,
    "catch_up": False,
    "log_level": "ERROR",
    "redis": REDIS_URL,
}
DRAMATIQ_BROKER = {
    "BROKER": "dramatiq.brokers.redis.RedisBroker",
    "OPTIONS": {"url": REDIS_URL},
    "MIDDLEWARE": [
        "dramatiq.middleware.TimeLimit",
        "dramatiq.middleware.Retries",
        "django_dramatiq.middleware.DbConnectionsMiddleware",
        "django_dramatiq.middleware.AdminMiddleware",
    ],
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
