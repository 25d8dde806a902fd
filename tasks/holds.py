"""What people do with holds: pause everything, pause a queue, and let it go on.

A hold has a row, which says since when, by whom and why. Workers take no job from a queue that is
held, whatever the job; what runs goes on, and what waits stays and starts afterwards, unless its
start deadline has passed by then. A hold of everything is one of all queues, and pauses all
schedules as well: nothing that was due meanwhile is expected (see `tasks/ledger/holds.py`).
"""

import logging
from functools import partial

from django.db import Error, IntegrityError
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from tasks import clock
from tasks.broker import projection
from tasks.broker.ownership import connect_as_owner
from tasks.database import CHUNK, atomic, chunks, on_commit
from tasks.exceptions import NotPossible
from tasks.ledger import holds as ledger
from tasks.models import Hold, ScheduledTask
from tasks.runs.holds import EVERYTHING

logger = logging.getLogger(__name__)


def pause_everything(by: str, note: str = "") -> Hold:
    """Hold all queues and pause all schedules until `resume`; `by` and `note` tell people why.

    Raises NotPossible if everything is paused already.
    """
    with atomic():
        ledger.lock()
        hold = _insert(EVERYTHING, by, note)
        _project_on_commit(ledger.pause_live(hold))
    return hold


def pause_queue(queue: str, by: str, note: str = "") -> Hold:
    """Have workers take no more jobs from a queue until `resume`; `by` and `note` tell people why.

    Raises NotPossible for a queue that is paused already.
    """
    with atomic():
        return _insert(queue, by, note)


def resume(hold: Hold) -> Hold:
    """End a hold: its queue goes on, or everything; return what it was.

    Raises NotPossible if it has ended already.
    """
    with atomic():
        if hold.queue == EVERYTHING:
            ledger.lock()
        known = Hold.objects.select_for_update().filter(pk=hold.pk).first()
        if known is None:
            raise NotPossible(_("It goes on already: somebody else has ended the pause."))
        if known.queue == EVERYTHING:
            _project_on_commit(ledger.resume_held(known))
        Hold.objects.filter(pk=known.pk).delete()
    return known


def _insert(queue: str, by: str, note: str) -> Hold:
    try:
        with atomic():
            return Hold.objects.create(queue=queue, since=clock.now(), by=by, note=note)
    except IntegrityError as error:
        if queue == EVERYTHING:
            raise NotPossible(_("Everything is paused already.")) from error
        text = _("The queue “%(queue)s” is paused already.") % {"queue": queue}
        raise NotPossible(text) from error


def _project_on_commit(pks: list[int]) -> None:
    on_commit(partial(_project, pks))


def _project(pks: list[int]) -> None:
    """Bring committed schedules to Redis, later by the scheduler if Redis is unavailable."""
    rows = ScheduledTask.objects.select_related("calendar")
    try:
        redis = connect_as_owner()
        for chunk in chunks(pks, CHUNK):
            projection.project_all(rows.filter(pk__in=chunk), redis)
    except (RedisError, Error) as error:
        logger.warning("The pause is saved and takes effect once Redis is back (%s).", error)
