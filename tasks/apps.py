"""The Django app "tasks"."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class TasksConfig(AppConfig):
    """Imports the `tasks` module of each app at start, which registers its task functions."""

    name = "tasks"
    verbose_name = _("Scheduled tasks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from tasks import checks, receivers  # noqa: F401  (importing registers them)
        from tasks.broker import clock

        clock.install()
        autodiscover_modules("tasks")
