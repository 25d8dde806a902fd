"""The site as a WSGI application, for gunicorn and others: `project.wsgi:application`."""

import gc
import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_wsgi_application()
import_module(settings.ROOT_URLCONF)
# What is loaded by now stays: without this, one page in ten waits 0.1 s while Python looks through
# all of it for garbage.
gc.freeze()
