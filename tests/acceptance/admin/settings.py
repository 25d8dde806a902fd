"""The settings of the busy site: the project's, with the shop's task functions."""

from tests.process_settings import *  # noqa: F403
from tests.process_settings import INSTALLED_APPS

INSTALLED_APPS += ["tests.acceptance.admin.shop"]
