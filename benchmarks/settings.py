"""The settings of this project's processes while they are measured: those of the site."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

INSTALLED_APPS += ["benchmarks"]
