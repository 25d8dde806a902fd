"""The settings of somebody else's site: Django's own admin, nothing of `project/` but its URLs."""

from tests.acceptance.admin.settings import *  # noqa: F403
from tests.acceptance.admin.settings import BASE_DIR, INSTALLED_APPS, MIDDLEWARE

OURS = ("project", "axes", "csp", "django.middleware.csp")

INSTALLED_APPS = [app for app in INSTALLED_APPS if not app.startswith(OURS)]
INSTALLED_APPS.insert(0, "django.contrib.admin")
MIDDLEWARE = [one for one in MIDDLEWARE if not one.startswith(OURS)]
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
# Its URLs name the mark of the site.
STATICFILES_DIRS = [BASE_DIR / "project" / "static"]
