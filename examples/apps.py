"""The Django app "examples"."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ExamplesConfig(AppConfig):
    """Registers the example task functions, as an installed app."""

    name = "examples"
    verbose_name = _("Examples")
