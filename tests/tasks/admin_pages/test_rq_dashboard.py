"""django-rq's pages in the admin: they show our jobs, check permissions, and break no schedule."""

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from redis import Redis
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.queue import Queue
from rq.worker import Worker

from tasks.broker.enqueue import enqueue_run
from tasks.broker.keys import SCHEDULES_KEY
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, Task
from tasks.services import TaskService
from tasks.worker.queues import record_executions
from tests.tasks.functions import ECHO, queued
from tests.tasks.pages import staff
from tests.tasks.schedules import MakeSchedule, ago

pytestmark = pytest.mark.django_db(transaction=True)

HOME = reverse("admin:django_rq_home")
SCHEDULED = reverse("admin:django_rq_scheduler_jobs", args=[0])
DEFAULT_QUEUE = 0


def job_page(job_id: str, page: str = "job_detail") -> str:
    return reverse(f"admin:django_rq_{page}", args=[DEFAULT_QUEUE, job_id])


def test_the_list_of_schedules_links_to_the_queues_and_workers(
    admin_client: Client, redis_connection: Redis
):
    Worker(["default"], connection=redis_connection, name="busy-bee").register_birth()
    assert (
        f'href="{HOME}"'
        in admin_client.get(reverse("admin:tasks_scheduledtask_changelist")).content.decode()
    )
    workers = reverse("admin:django_rq_workers", args=[DEFAULT_QUEUE])
    assert "busy-bee" in admin_client.get(workers).content.decode()
    assert admin_client.get(HOME).status_code == 200


@pytest.mark.parametrize(
    "values",
    [
        {"interval": 60},
        {"interval": 60, "repeat": 3},
        {"cron": "0 6 * * *"},
        {"interval": None, "first": ago(-3_600)},
    ],
)
def test_django_rq_shows_the_job_of_a_schedule(admin_client: Client, put: MakeSchedule, values):
    schedule = put(**values, args=[1, "<b>"], kwargs={"a": [None]})
    assert schedule.job_id in admin_client.get(SCHEDULED).content.decode()
    page = admin_client.get(job_page(schedule.job_id)).content.decode()
    assert ECHO in page
    assert "<b>" not in page


LISTS = [f"{name}_jobs" for name in ("finished", "failed", "scheduled", "started", "deferred")]
LISTS += ["jobs", "workers", "scheduler_jobs"]


@pytest.mark.parametrize("name", LISTS)
def test_the_lists_of_django_rq_load_no_script_that_throws(admin_client: Client, name):
    page = admin_client.get(reverse(f"admin:django_rq_{name}", args=[DEFAULT_QUEUE]))
    text = page.content.decode()
    assert "tasks/rq_boxes.js" in text
    assert "admin/js/actions.js" not in text
    assert ".actions()" not in text


@pytest.mark.parametrize("are_gone", [False, True])
def test_django_rq_shows_a_worker_that_runs_many_jobs_even_if_their_hashes_are_gone(
    admin_client: Client, redis_connection: Redis, are_gone: bool
):
    worker = Worker(["default"], connection=redis_connection, name="busy-bee")
    worker.register_birth()
    calls = [TaskService.enqueue_task(ECHO, number) for number in range(3)]
    executions = [
        Execution(f"e{number}", call.job_id, redis_connection, worker.name)
        for number, call in enumerate(calls)
    ]
    record_executions(redis_connection, executions, 60)
    if are_gone:  # They have ended while they were recorded.
        redis_connection.delete(*(Job.key_for(call.job_id) for call in calls))
    for name, args in (("worker_details", [DEFAULT_QUEUE, worker.key]), ("workers", [0])):
        page = admin_client.get(reverse(f"admin:django_rq_{name}", args=args))
        assert page.status_code == 200
        assert "busy-bee" in page.content.decode()
    details = admin_client.get(
        reverse("admin:django_rq_worker_details", args=[DEFAULT_QUEUE, worker.key])
    ).content.decode()
    assert any(call.job_id in details for call in calls) is not are_gone
    call_command("rqstats")


def test_django_rq_shows_a_queued_job(admin_client: Client):
    call = TaskService.enqueue_task(ECHO, {"a": 1})
    jobs = reverse("admin:django_rq_jobs", args=[DEFAULT_QUEUE])
    assert call.job_id in admin_client.get(jobs).content.decode()
    assert admin_client.get(job_page(call.job_id)).status_code == 200


def test_django_rqs_pages_unschedule_nothing(
    admin_client: Client, put: MakeSchedule, redis_connection: Redis
):
    whole, jobless = put(), put()
    redis_connection.delete(f"rq:job:{jobless.job_id}")
    for url in (HOME, SCHEDULED, job_page(whole.job_id)):
        assert admin_client.get(url).status_code == 200
    assert redis_connection.zcard(SCHEDULES_KEY) == 2


@pytest.mark.parametrize("page", ["enqueue_job", "requeue_job", "delete_job"])
def test_django_rq_may_not_change_the_job_of_a_schedule(
    admin_client: Client, put: MakeSchedule, redis_connection: Redis, page
):
    schedule = put()
    before = redis_connection.hgetall(f"rq:job:{schedule.job_id}")
    response = admin_client.post(job_page(schedule.job_id, page), follow=True)
    assert "change the schedule instead" in response.content.decode()
    assert redis_connection.hgetall(f"rq:job:{schedule.job_id}") == before
    assert not queued(redis_connection)


def test_django_rq_may_not_change_the_jobs_of_schedules_in_bulk(
    admin_client: Client, put: MakeSchedule, redis_connection: Redis
):
    schedule = put()
    data = {"action": "delete", "job_ids": [schedule.job_id]}
    admin_client.post(reverse("admin:django_rq_actions", args=[DEFAULT_QUEUE]), data)
    assert redis_connection.exists(f"rq:job:{schedule.job_id}")


@pytest.mark.parametrize(
    ("permissions", "seen", "emptied"),
    [
        ([], 403, 403),
        (["view_scheduledtask"], 200, 403),
        (["view_scheduledtask", "change_scheduledtask"], 200, 302),
    ],
)
def test_django_rqs_pages_need_the_permissions_for_schedules(
    client: Client, permissions, seen, emptied
):
    client.force_login(staff(*permissions))
    assert client.get(HOME).status_code == seen
    empty = reverse("admin:django_rq_clear", args=[DEFAULT_QUEUE])
    assert client.post(empty).status_code == emptied


@pytest.mark.parametrize("method", ["get", "post"])
def test_django_rqs_pages_redirect_anonymous_users_to_the_login(client: Client, method):
    response = getattr(client, method)(reverse("admin:django_rq_clear", args=[DEFAULT_QUEUE]))
    assert response.status_code == 302
    assert "/login/" in response.url


def test_django_rqs_pages_answer_503_while_redis_is_unavailable(
    admin_client: Client, redis_unavailable: Any
):
    redis_unavailable(True)
    for url in (HOME, SCHEDULED, job_page("task-1")):
        response = admin_client.get(url)
        assert response.status_code == 503
        assert "they are not lost" in response.content.decode()


# What its buttons do to our jobs


QUEUE_PAGE = reverse("admin:django_rq_jobs", args=[DEFAULT_QUEUE])
BULK = reverse("admin:django_rq_actions", args=[DEFAULT_QUEUE])


def put_on_queue(schedule: ScheduledTask, redis: Redis) -> str:
    """Put an occurrence's job on its queue; return the job's id."""
    run_id = RunId(schedule.job_id, ago(1))
    enqueue_run(schedule, run_id, redis)
    return run_id.job_id


def fail_in_rq(job_id: str, redis: Redis) -> None:
    job = Job.fetch(job_id, connection=redis)
    job.set_status(JobStatus.FAILED)
    queue = Queue("default", connection=redis)
    queue.remove(job_id)
    queue.failed_job_registry.add(job, ttl=1000)


def failed_run(schedule: ScheduledTask, redis: Redis) -> str:
    job_id = put_on_queue(schedule, redis)
    run = RunId.parse(job_id)
    schedule.runs.create(
        name=schedule.name, due=run.due, status="failed", started=ago(1), ended=ago(0)
    )
    fail_in_rq(job_id, redis)
    return job_id


def posted(client: Client, url: str, **data: Any) -> str:
    return client.post(url, data, follow=True).content.decode()


def test_requeue_of_a_failed_run_runs_its_schedule_again(
    admin_client: Client, put: MakeSchedule, redis_connection: Redis
):
    schedule = put()
    job_id = failed_run(schedule, redis_connection)
    page = posted(admin_client, job_page(job_id, "requeue_job"))
    assert "1 run was requested" in page
    assert "successfully requeued" not in page
    assert schedule.requests.filter(due=None).count() == 1


def test_requeue_of_an_ended_call_makes_the_call_again(
    admin_client: Client, redis_connection: Redis
):
    call = TaskService.enqueue_task(ECHO, 7)
    Task.objects.filter(pk=call.pk).update(status="failed", ended=ago(0))
    fail_in_rq(call.job_id, redis_connection)
    posted(admin_client, job_page(call.job_id, "requeue_job"))
    again = Task.objects.exclude(pk=call.pk).get()
    assert (again.function, again.args, again.status) == (ECHO, [7], "queued")


def test_requeue_of_what_has_not_ended_is_refused(admin_client: Client, redis_connection: Redis):
    call = TaskService.enqueue_task(ECHO)
    assert "has not ended yet" in posted(admin_client, job_page(call.job_id, "enqueue_job"))
    assert Task.objects.count() == 1


def test_requeue_of_all_failed_jobs_runs_ours_again_and_leaves_the_others_to_rq(
    admin_client: Client, put: MakeSchedule, redis_connection: Redis
):
    schedule = put()
    failed_run(schedule, redis_connection)
    queue = Queue("default", connection=redis_connection)
    plain = queue.enqueue("builtins.print")
    fail_in_rq(plain.id, redis_connection)
    posted(admin_client, reverse("admin:django_rq_requeue_all", args=[DEFAULT_QUEUE]))
    assert schedule.requests.filter(due=None).count() == 1
    assert plain.id in queue.get_job_ids()
    assert queue.failed_job_registry.get_job_ids() == []


def test_delete_of_a_running_run_is_refused(
    admin_client: Client, put: MakeSchedule, redis_connection: Redis
):
    schedule = put()
    job_id = put_on_queue(schedule, redis_connection)
    schedule.runs.create(
        name=schedule.name, due=RunId.parse(job_id).due, status="running", started=ago(1)
    )
    assert "stop it instead" in posted(admin_client, job_page(job_id, "delete_job"))
    assert Job.exists(job_id, connection=redis_connection)


def test_delete_of_a_waiting_run_is_refused(
    admin_client: Client, put: MakeSchedule, redis_connection: Redis
):
    job_id = put_on_queue(put(), redis_connection)
    assert "pause or cancel the schedule" in posted(admin_client, job_page(job_id, "delete_job"))
    assert job_id in queued(redis_connection)


def test_delete_of_a_waiting_call_cancels_it(admin_client: Client, redis_connection: Redis):
    call = TaskService.enqueue_task(ECHO)
    assert "1 call was cancelled" in posted(admin_client, job_page(call.job_id, "delete_job"))
    call.refresh_from_db()
    assert call.status == "canceled"
    assert not queued(redis_connection)


def test_delete_of_an_ended_run_deletes_only_its_job(
    admin_client: Client, put: MakeSchedule, redis_connection: Redis
):
    schedule = put()
    job_id = failed_run(schedule, redis_connection)
    posted(admin_client, job_page(job_id, "delete_job"))
    assert not Job.exists(job_id, connection=redis_connection)
    assert schedule.runs.count() == 1


def test_bulk_actions_do_the_same_and_leave_the_others_to_rq(
    admin_client: Client, put: MakeSchedule, redis_connection: Redis
):
    schedule, call = put(), TaskService.enqueue_task(ECHO)
    waiting = put_on_queue(schedule, redis_connection)
    plain = Queue("default", connection=redis_connection).enqueue("builtins.print")
    page = posted(admin_client, BULK, action="delete", job_ids=[waiting, call.job_id, plain.id])
    assert "pause or cancel the schedule" in page
    assert "successfully deleted 1 jobs" in page
    assert queued(redis_connection) == [waiting]
    assert Task.objects.get().status == "canceled"


def test_a_queue_on_which_runs_of_schedules_wait_is_not_emptied(
    admin_client: Client, put: MakeSchedule, redis_connection: Redis
):
    waiting, call = put_on_queue(put(), redis_connection), TaskService.enqueue_task(ECHO)
    page = posted(admin_client, reverse("admin:django_rq_clear", args=[DEFAULT_QUEUE]))
    assert "pause or cancel the schedule instead" in page
    assert set(queued(redis_connection)) == {waiting, call.job_id}


def test_emptying_a_queue_cancels_the_calls_on_it(admin_client: Client, redis_connection: Redis):
    TaskService.enqueue_task(ECHO)
    posted(admin_client, reverse("admin:django_rq_clear", args=[DEFAULT_QUEUE]))
    assert Task.objects.get().status == "canceled"
    assert not queued(redis_connection)


@pytest.mark.parametrize("page", ["clear", "requeue_all", "delete_failed_jobs"])
def test_viewers_are_not_asked_to_confirm_what_they_may_not_do(client: Client, page: str):
    client.force_login(staff("view_scheduledtask"))
    url = reverse(f"admin:django_rq_{page}", args=[DEFAULT_QUEUE])
    assert client.get(url).status_code == 403


def test_buttons_are_hidden_from_viewers_only(client: Client, admin_client: Client):
    client.force_login(staff("view_scheduledtask"))
    assert "rq_view_only.css" in client.get(QUEUE_PAGE).content.decode()
    assert "rq_view_only.css" not in admin_client.get(QUEUE_PAGE).content.decode()


def test_what_may_not_be_run_again_stays_among_the_failed_jobs(
    client: Client, redis_connection: Redis
):
    client.force_login(staff("view_scheduledtask", "change_scheduledtask"))
    call = TaskService.enqueue_task(ECHO)
    Task.objects.filter(pk=call.pk).update(status="failed", ended=ago(0))
    fail_in_rq(call.job_id, redis_connection)
    page = posted(client, reverse("admin:django_rq_requeue_all", args=[DEFAULT_QUEUE]))
    assert "You may not change background calls" in page
    queue = Queue("default", connection=redis_connection)
    assert queue.failed_job_registry.get_job_ids() == [call.job_id]
    assert (Task.objects.count(), queued(redis_connection)) == (1, [])


def test_a_queue_with_calls_that_somebody_may_not_change_is_not_emptied(
    client: Client, redis_connection: Redis
):
    client.force_login(staff("view_scheduledtask", "change_scheduledtask"))
    call = TaskService.enqueue_task(ECHO)
    page = posted(client, reverse("admin:django_rq_clear", args=[DEFAULT_QUEUE]))
    assert "You may not change background calls" in page
    assert queued(redis_connection) == [call.job_id]
