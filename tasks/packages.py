"""Packages that get in each other's way by the names of their modules."""

from importlib.metadata import PackageNotFoundError, distribution

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

CRONTAB_HIDDEN = (
    "rq-scheduler's dependency “crontab” hides the module of the same name of “python-crontab”, "
    "which django-celery-beat and others import."
)
CRONTAB_HINT = (
    "This app doesn't need it: pip uninstall crontab, then "
    "pip install --force-reinstall --no-deps python-crontab."
)
NEEDS_PYTHON_CRONTAB = "django_celery_beat"


def is_crontab_hidden() -> bool:
    """Return whether python-crontab is installed, but `import crontab` finds another package."""
    try:
        distribution("python-crontab")
        distribution("crontab")
    except PackageNotFoundError:
        return False
    return True


def refuse_hidden_crontab() -> None:
    """Raise ImproperlyConfigured if an installed app needs the module that is hidden.

    Without this, Django would stop at the models of that app with an AttributeError, before any
    check runs.
    """
    if NEEDS_PYTHON_CRONTAB in settings.INSTALLED_APPS and is_crontab_hidden():
        raise ImproperlyConfigured(f"(tasks.E009) {CRONTAB_HIDDEN} {CRONTAB_HINT}")
