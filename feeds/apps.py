"""The Django app "feeds"."""

from typing import Any

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

import tasks


class FeedsConfig(AppConfig):
    """RSS and Atom feeds and their entries."""

    name = "feeds"
    verbose_name = _("Feeds")
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, app_name: str, app_module: Any) -> None:
        super().__init__(app_name, app_module)
        if not hasattr(tasks, "__path__"):
            raise ImproperlyConfigured(
                f"(feeds.E001) {tasks.__file__} hides the package “tasks”, which is not loaded: "
                "move it into an app, or rename it."
            )

    def ready(self) -> None:
        from feeds import checks, receivers  # noqa: F401  (importing them connects them)
