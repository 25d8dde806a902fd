"""The Django app "project"."""

from django.apps import AppConfig
from django.conf import settings

from project.private import keep_private


class ProjectConfig(AppConfig):
    """Makes the project's own management commands known to Django, and keeps DATA_DIR private."""

    name = "project"

    def ready(self) -> None:
        # The programs of `manage.py up` leave it to `up` to warn: once, not five times.
        keep_private(settings.DATA_DIR, warn=not settings.SUPERVISED)
