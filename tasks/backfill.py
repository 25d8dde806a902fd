"""Runs a past range of a schedule on request: what of it never ran is asked for, and runs then."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from tasks import outcome, projection, registry, run_requests, spec
from tasks.exceptions import NotPossible
from tasks.job import RunId
from tasks.models import RunRequest, ScheduledTask, ScheduledTaskInstance
from tasks.registry import Kind

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
# How many due instants a range may have, run or not: each is looked at.
MAX_DUES = 100_000
CHUNK = 5_000


def request(task: ScheduledTask, start: datetime, end: datetime, limit: int) -> list[RunId]:
    """Ask for what never ran of a range; see `SchedulerService.backfill`."""
    registry.resolve(task.function, Kind.SCHEDULED)
    with transaction.atomic():
        task = ScheduledTask.objects.select_for_update().get(pk=task.pk)
        now = timezone.now()
        requests = [
            RunRequest(parent=task, due=due, requested=now)
            for due in never_ran(task, start, end, limit)
        ]
        RunRequest.objects.bulk_create(requests, batch_size=CHUNK)
        if requests:
            feed = partial(run_requests.feed_if_possible, task, projection.connect())
            transaction.on_commit(feed)
    return [one.run_id for one in requests]


def never_ran(
    task: ScheduledTask, start: datetime, end: datetime, limit: int = DEFAULT_LIMIT
) -> list[datetime]:
    """Return the due instants after `start` and up to `end` that backfill would run, in order.

    These are the ones of the present spec without a row, or recorded as missed or skipped; not
    those asked for already, or still under way. Raises NotPossible if there are more than
    `limit`, or if the range can't be.
    """
    _check(task, start, end, limit)
    dues = list(islice(spec.dues(task.spec(), start, end), MAX_DUES + 1))
    if len(dues) > MAX_DUES:
        raise NotPossible(
            _("More than %(number)s moments are due in that range: choose a shorter one.")
            % {"number": f"{MAX_DUES:,}"}
        )
    found = list(islice(_open(task, dues), limit + 1))
    if len(found) > limit:
        raise NotPossible(
            _(
                "More than %(limit)d occurrences of that range have not run: choose a shorter "
                "range or a higher limit."
            )
            % {"limit": limit}
        )
    return found


def _check(task: ScheduledTask, start: datetime, end: datetime, limit: int) -> None:
    if timezone.is_naive(start) or timezone.is_naive(end):
        raise NotPossible(_("A moment of the range has no time zone: give aware datetimes."))
    if not 1 <= limit <= MAX_LIMIT:
        raise NotPossible(_("Give a limit between 1 and %(most)d.") % {"most": MAX_LIMIT})
    if start >= end:
        raise NotPossible(_("The range is empty: it has to begin before it ends."))
    if end > timezone.now():
        raise NotPossible(_("The range ends in the future: only what is past can be made up for."))
    if task.pruned_until is not None and start < task.pruned_until:
        raise NotPossible(
            _(
                "What was due up to %(moment)s may have run: its runs are not kept any more. "
                "Begin after it."
            )
            % {"moment": outcome.moment_text(task.pruned_until)}
        )


def _open(task: ScheduledTask, dues: Sequence[datetime]) -> Iterator[datetime]:
    """Yield those of the due instants that have not run, and aren't about to."""
    status = ScheduledTaskInstance.Status
    for begin in range(0, len(dues), CHUNK):
        chunk = dues[begin : begin + CHUNK]
        bounds = {"due__gte": chunk[0], "due__lte": chunk[-1]}
        statuses = dict(task.runs.filter(**bounds).values_list("due", "status"))
        asked_for = set(task.requests.filter(**bounds).values_list("due", flat=True))
        for due in chunk:
            never_ran = statuses.get(due, status.MISSED) in (status.MISSED, status.SKIPPED)
            is_under_way = task.is_live and due > task.accounted_until and due not in statuses
            if never_ran and not is_under_way and due not in asked_for:
                yield due
