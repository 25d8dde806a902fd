"""The Django app "project"."""

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """Makes the project's own management commands known to Django."""

    name = "project"
