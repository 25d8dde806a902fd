"""The history of a schedule: who changed what, and why, with a way back."""

from django.http import HttpRequest

from tasks import history
from tasks.history import Action, Changes
from tasks.models import ScheduledTask


def record_change(
    request: HttpRequest,
    schedule: ScheduledTask,
    action: Action | str,
    changes: Changes | None = None,
    note: str = "",
) -> None:
    """Leave a line in a schedule's history for what this request did: who, what, why.

    The services write a line of their own for each change of a field or of the status. Then this
    only says more of it, what it was and why: a request leaves one line per schedule and change.
    `changes` are the values of fields before and after, as `tasks.history.differences` returns
    them.
    """
    history.explain(schedule, action, changes, note)
