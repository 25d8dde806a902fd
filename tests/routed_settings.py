"""The settings of a site whose schedules and runs are in a database of their own.

All other reads go to a replica that has nothing of them.
"""

import os
from typing import Any

import environ

from tests.process_settings import *  # noqa: F403
from tests.process_settings import DATABASES

DATABASES["jobs"] = DATABASES["default"] | environ.Env.db_url_config(os.environ["JOBS_URL"])
DATABASE_ROUTERS = ["tests.routed_settings.Router"]


class Router:
    """Sends what is written of `tasks` and `feeds` to "jobs", and every read to "default"."""

    def db_for_read(self, model: Any, **hints: object) -> str:
        return "default"

    def db_for_write(self, model: Any, **hints: object) -> str:
        return "jobs" if model._meta.app_label in ("tasks", "feeds") else "default"

    def allow_relation(self, *objects: object, **hints: object) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool:
        return (db == "jobs") == (app_label in ("tasks", "feeds"))
