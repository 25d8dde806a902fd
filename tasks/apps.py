"""The Django app "tasks"."""

from typing import Any

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tasks.exceptions import WordedError
from tasks.packages import refuse_hidden_crontab


class TasksConfig(AppConfig):
    """Imports the `tasks` module of each app at start, which registers its task functions."""

    name = "tasks"
    verbose_name = _("Schedule Ledger")
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, app_name: str, app_module: Any) -> None:
        super().__init__(app_name, app_module)
        refuse_hidden_crontab()

    def ready(self) -> None:
        from tasks import checks, receivers  # noqa: F401  (importing registers them)
        from tasks.broker import clock

        clock.install()
        WordedError.translate = gettext
        autodiscover_modules("tasks")
