"""huey's application."""

import os
from typing import Any

import django
import huey

from benchmarks.peers import functions

django.setup()
app = huey.RedisHuey("benchmark", url=os.environ["REDIS_URL"])


@app.task()
def recorded(*args: Any) -> None:
    """Do nothing but record when, with a row."""
    functions.recorded(*args)
