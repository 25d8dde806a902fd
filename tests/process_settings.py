"""The settings of processes that tests start: the project's, with the tests' task functions."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

INSTALLED_APPS += ["tests.jobs"]
