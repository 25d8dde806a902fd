"""The project's settings with nothing from the developer's environment or DATA_DIR.

The database is SQLite in a file of this process, or, with TEST_DATABASE=postgres, a PostgreSQL
server of this process.
"""

import os
import tempfile

from tests.servers import own_postgres

OF_THE_SITE = """
    ACTIVITY_FEED ALLOWED_HOSTS CSRF_TRUSTED_ORIGINS DATABASE_URL DEBUG FEEDS FEEDS_ALLOWED_HOSTS
    FEEDS_ALLOWED_PORTS FEEDS_CONTACT_URL FEEDS_HOST_GAP FEEDS_KEEP_ENTRIES FEEDS_PER_HOST
    FEEDS_PUBLIC_TAGS FEEDS_PUBLIC_URL LANGUAGE_CODE LOG_LEVEL PORT REDIS_URL RQ_KEY_PREFIX
    SECURE_HSTS_INCLUDE_SUBDOMAINS SECURE_HSTS_PRELOAD SECURE_HSTS_SECONDS SECURE_SSL SUPERVISED
    TASKS_CHILD_MAX_MEMORY TASKS_CHILD_MAX_RUNS TASKS_CONCURRENCY TASKS_ISOLATED TASKS_LOST_AFTER
    TASKS_MAX_RESULT TASKS_RUN_UNREGISTERED TASKS_UNKNOWN_AFTER TIME_ZONE WORKERS
"""
for _name in OF_THE_SITE.split():
    os.environ.pop(_name, None)

_directory = tempfile.TemporaryDirectory(prefix="tests-")
os.environ["DATA_DIR"] = _directory.name
os.environ["SECRET_KEY"] = "only-for-the-tests"
if os.environ.get("TEST_DATABASE") == "postgres":
    os.environ["DATABASE_URL"] = own_postgres().url

_umask = os.umask(0o022)
from project.settings import *  # noqa: E402, F403
from project.settings import DATA_DIR, DATABASES  # noqa: E402

# The usual one again: the processes that the tests start must not depend on the tests' own.
os.umask(_umask)

# A file, not memory: threads and other processes see the same rows.
DATABASES["default"]["TEST"] = {
    "NAME": "tests" if "DATABASE_URL" in os.environ else str(DATA_DIR / "tests.sqlite3")
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS += ["tests.jobs"]  # noqa: F405
