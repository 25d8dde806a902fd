"""How the runs of each schedule went over the last 7 days."""

from django.db.models import F

from tasks.models import ScheduledTaskQuerySet

SHOWN = ("finished", "failed", "lost", "missed", "late", "success", "p50", "p95")


def with_week(schedules: ScheduledTaskQuerySet) -> ScheduledTaskQuerySet:
    """Annotate schedules with their last 7 days, to be shown and sorted by, at no further query.

    `week_success` is a share from 0 to 1: of what finished, failed or was missed, what finished.
    `week_p50` and `week_p95` are the durations of finished runs, as timedeltas, right to within
    5 %. `week_finished`, `week_failed` (with the lost), `week_lost`, `week_missed` and `week_late`
    are counts. All are None for a schedule without runs, so sort with `nulls_last`. They are up to
    date to within a minute or so, and what retention has deleted counts.
    """
    return schedules.annotate(**{f"week_{name}": F(f"week__{name}") for name in SHOWN})
