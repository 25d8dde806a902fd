"""The Django app "feeds"."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FeedsConfig(AppConfig):
    """RSS and Atom feeds and their entries."""

    name = "feeds"
    verbose_name = _("Feeds")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from feeds import receivers  # noqa: F401  (importing it connects them)
