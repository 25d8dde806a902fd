"""The Django apps "project" and, with its own site, "admin"."""

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps as admin

from project.private import keep_private


class ProjectConfig(AppConfig):
    """Makes the project's own management commands known to Django, and keeps DATA_DIR private."""

    name = "project"
    default = True

    def ready(self) -> None:
        # The programs of `manage.py up` leave it to `up` to warn: once, not five times.
        keep_private(settings.DATA_DIR, warn=not settings.SUPERVISED)


class SiteConfig(admin.AdminConfig):
    """Django's admin, with this site's own start page and order."""

    default_site = "project.site.LedgerSite"
    default = False
