"""The settings of somebody else's site whose admin has the theme django-unfold."""

from tests.acceptance.admin.other_settings import *  # noqa: F403
from tests.acceptance.admin.other_settings import INSTALLED_APPS

INSTALLED_APPS = ["unfold", *INSTALLED_APPS]
