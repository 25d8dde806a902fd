"""The Django app "tasks"."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class TasksConfig(AppConfig):
    """Registers the task functions of all apps (their modules named `tasks`) at start."""

    name = "tasks"
    verbose_name = _("Scheduled tasks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from tasks import checks, receivers  # noqa: F401  (registering is what they do)

        autodiscover_modules("tasks")
