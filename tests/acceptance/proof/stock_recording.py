"""Records runs as a user of the stock classes would: a row at the start, updated at the end."""

import functools
from collections.abc import Callable
from typing import Any

from django.utils import timezone
from rq import get_current_job

from tasks.models import ScheduledTask, ScheduledTaskInstance
from tests.jobs import ways


def recorded(func: Callable[..., Any]) -> Callable[..., Any]:
    """Record each run of a function in a row under its schedule."""

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        job = get_current_job()
        assert job is not None
        parent = ScheduledTask.objects.get(job_id=job.id)
        now = timezone.now()
        run = ScheduledTaskInstance.objects.create(
            parent=parent, name=parent.name, status="running", requested=now, started=now
        )
        try:
            result = func(*args, **kwargs)
        except Exception as error:
            run.status, run.reason, run.ended = "failed", str(error)[:500], timezone.now()
            run.save()
            raise
        run.status, run.ended = "finished", timezone.now()
        run.save()
        return result

    return wrapper


@recorded
def witness(path: str, schedule: str, seconds: float = 0, way: str = "sleep") -> None:
    """Do the same as the task function `tests.jobs.witness`."""
    ways.witness(path, schedule, seconds, way)
