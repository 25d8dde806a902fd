"""The settings of somebody else's site whose admin has the theme django-jazzmin."""

from tests.acceptance.admin.other_settings import *  # noqa: F403
from tests.acceptance.admin.other_settings import INSTALLED_APPS

INSTALLED_APPS = ["jazzmin", *INSTALLED_APPS]
JAZZMIN_SETTINGS = {"use_google_fonts_cdn": False}
