"""The Django app "examples"."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ExamplesConfig(AppConfig):
    """Brings the example task functions into the registry, by being an installed app."""

    name = "examples"
    verbose_name = _("Examples")
