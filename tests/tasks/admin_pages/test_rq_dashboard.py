"""django-rq's pages in the admin: they show our jobs, check permissions, and break no schedule."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from redis import Redis
from rq.worker import Worker

from tasks.broker.keys import SCHEDULES_KEY
from tasks.services import TaskService
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
