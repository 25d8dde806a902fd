"""What django-rq's buttons do to the jobs of runs and calls: what they say, or nothing.

RQ knows nothing of the rows. Its requeue would enqueue a job that its row refuses, and its delete
would take a run away from the worker that is to end it.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django_rq.queues import get_queue_by_index
from rq.exceptions import NoSuchJobError
from rq.queue import Queue

from tasks.exceptions import NotPossible, TasksError
from tasks.job_ids import RunId, is_recorded
from tasks.models import ScheduledTask, ScheduledTaskInstance, Task
from tasks.services import SchedulerService, TaskService


def is_left_to_rq(
    request: HttpRequest, page: str, queue_index: int = 0, job_id: str = "", **kwargs: object
) -> bool:
    """Do with the jobs of our rows what a button says; return whether something is left for RQ.

    `page` is django-rq's name of the view that the button posts to.
    """
    if page in ("requeue_job", "enqueue_job") and is_recorded(job_id):
        _run_all(request, [job_id])
        return False
    if page == "delete_job" and is_recorded(job_id):
        return bool(_discard_all(request, [job_id])[0])
    if page == "stop_job" and is_recorded(job_id):
        return bool(_stop_all(request, [job_id])[0])
    if page == "actions":
        return _act_on_selected(request)
    if page == "requeue_all":
        return _requeue_all(request, get_queue_by_index(queue_index))
    if page == "clear":
        return _empty(request, get_queue_by_index(queue_index))
    return True


def _act_on_selected(request: HttpRequest) -> bool:
    actions = {"requeue": _run_all, "delete": _discard_all, "stop": _stop_all}
    work = actions.get(request.POST.get("action", ""))
    if work is None:
        return True
    ours, others = _split(request.POST.getlist("job_ids"))
    data = request.POST.copy()
    data.setlist("job_ids", [*work(request, ours)[0], *others])
    request.POST = data  # type: ignore[assignment]
    return bool(data.getlist("job_ids"))


def _requeue_all(request: HttpRequest, queue: Queue) -> bool:
    """Run the failed jobs of our rows again, which then leave RQ's list, and requeue the others.

    RQ's own view would also requeue those of ours that can't be run again.
    """
    failed = queue.failed_job_registry
    ours, others = _split(failed.get_job_ids())
    for job_id in _run_all(request, ours)[1]:
        failed.remove(job_id, delete_job=True)
    requeued = 0
    for job_id in others:
        with suppress(NoSuchJobError):
            failed.requeue(job_id)
            requeued += 1
    if requeued:
        text = ngettext("%d other job was requeued.", "%d other jobs were requeued.", requeued)
        messages.success(request, text % requeued)
    return False


def _empty(request: HttpRequest, queue: Queue) -> bool:
    """Cancel the calls that wait on a queue, unless runs of schedules wait there too.

    RQ empties the queue only if all of them could be cancelled.
    """
    ours, _others = _split(queue.get_job_ids())
    if runs := [job_id for job_id in ours if RunId.parse(job_id) is not None]:
        text = ngettext(
            "%(number)d run of a schedule waits on “%(queue)s”: pause or cancel the schedule "
            "instead.",
            "%(number)d runs of schedules wait on “%(queue)s”: pause or cancel the schedules "
            "instead.",
            len(runs),
        )
        messages.error(request, text % {"number": len(runs), "queue": queue.name})
        return False
    left, done = _discard_all(request, ours)
    return len(left) + len(done) == len(ours)


def _split(job_ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the jobs that have rows of ours, and the others."""
    ours: list[str] = []
    others: list[str] = []
    for job_id in job_ids:
        (ours if is_recorded(job_id) else others).append(job_id)
    return ours, others


def _run_all(request: HttpRequest, job_ids: Iterable[str]) -> tuple[list[str], list[str]]:
    left, done = _each(request, job_ids, partial(_run_again, request))
    if number := len(done):
        text = ngettext("%d run was requested.", "%d runs were requested.", number)
        messages.success(request, text % number)
    return left, done


def _stop_all(request: HttpRequest, job_ids: Iterable[str]) -> tuple[list[str], list[str]]:
    left, done = _each(request, job_ids, partial(_stop, request))
    if number := len(done):
        text = ngettext("%d run was stopped.", "%d runs were stopped.", number)
        messages.success(request, text % number)
    return left, done


def _discard_all(request: HttpRequest, job_ids: Iterable[str]) -> tuple[list[str], list[str]]:
    left, done = _each(request, job_ids, _discard)
    if number := len(done):
        text = ngettext("%d call was cancelled.", "%d calls were cancelled.", number)
        messages.success(request, text % number)
    return left, done


def _each(
    request: HttpRequest, job_ids: Iterable[str], work: Callable[[str], bool]
) -> tuple[list[str], list[str]]:
    """Call `work` on each job; return those that are left for RQ, and those that were done."""
    left: list[str] = []
    done: list[str] = []
    for job_id in job_ids:
        try:
            if isinstance(_row(job_id), Task) and not request.user.has_perm("tasks.change_task"):
                raise NotPossible(_("You may not change background calls (job %s).") % job_id)
            if work(job_id):
                left.append(job_id)
            else:
                done.append(job_id)
        except TasksError as error:
            messages.error(request, str(error))
    return left, done


def _run_again(request: HttpRequest, job_id: str) -> bool:
    """Call the function of a job that has ended once more: as a manual run, or as a new call.

    Returns False: nothing is left for RQ. Raises NotPossible if the job has not ended, or if
    nothing is known about it any more, and whatever the services raise.
    """
    record = _row(job_id)
    if record is not None and record.ended is None:
        raise NotPossible(_("Job %(id)s has not ended yet.") % {"id": job_id})
    if isinstance(record, Task):
        TaskService.enqueue_task(record.function, *record.args, **record.kwargs)
    elif record is not None:
        if not request.user.has_perm("tasks.run_scheduledtask"):
            raise NotPossible(_("You may not run “%(name)s”.") % {"name": record.name})
        SchedulerService.run_now(record.parent)
    elif schedule := _schedule(job_id):
        raise NotPossible(
            _("Job %(id)s of “%(name)s” has not started yet.")
            % {"id": job_id, "name": schedule.name}
        )
    else:
        raise NotPossible(
            _("Job %(id)s can't be run again: its record has been deleted.") % {"id": job_id}
        )
    return False


def _stop(request: HttpRequest, job_id: str) -> bool:
    """Stop the run or the call of a job in the user's name; return whether it is left for RQ.

    Raises NotPossible if it isn't running, or if the user may not stop runs.
    """
    record, by = _row(job_id), request.user.get_username()
    if record is None:
        return True
    if isinstance(record, Task):
        TaskService.cancel_task(record, by)
    elif request.user.has_perm("tasks.stop_run"):
        SchedulerService.stop_run(record, by)
    else:
        raise NotPossible(_("You may not stop runs (job %s).") % job_id)
    return False


def _discard(job_id: str) -> bool:
    """Prepare the deletion of a job; return whether the job is still there.

    A waiting call is cancelled, which takes its job out of Redis. Raises NotPossible for a job that
    runs, and for a waiting run of a schedule, about which only the schedule decides.
    """
    record = _row(job_id)
    if record is None:
        if schedule := _schedule(job_id):
            raise NotPossible(
                _("A run of “%(name)s” waits: pause or cancel the schedule instead (job %(id)s).")
                % {"name": schedule.name, "id": job_id}
            )
        return True
    if record.ended is not None:
        return True
    if record.status == record.Status.RUNNING:
        raise NotPossible(
            _("“%(name)s” is running: stop it instead (job %(id)s).")
            % {"name": record.name, "id": job_id}
        )
    assert isinstance(record, Task)
    TaskService.cancel_task(record)
    return False


def _row(job_id: str) -> Task | ScheduledTaskInstance | None:
    """Return the row that a job is for, under whichever attempt."""
    run_id = RunId.parse(job_id)
    if run_id is None:
        return Task.objects.filter(job_id=job_id).first()
    runs = ScheduledTaskInstance.objects.of(run_id).select_related("parent")
    return runs.filter(parent__job_id=run_id.schedule_job_id).first()


def _schedule(job_id: str) -> ScheduledTask | None:
    run_id = RunId.parse(job_id)
    if run_id is None:
        return None
    return ScheduledTask.objects.filter(job_id=run_id.schedule_job_id).first()
