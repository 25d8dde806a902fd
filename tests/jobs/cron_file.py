"""A file of cron jobs, as `rqcron` reads it."""

import os

from rq import cron

from tests.jobs.tasks import note

cron.register(note, "low", args=(os.environ["NOTES"],), interval=3600)
