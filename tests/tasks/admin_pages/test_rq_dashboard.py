"""django-rq's pages in the admin: they show our jobs, to those who may, and break nothing."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from redis import Redis
from rq.worker import Worker

from tasks.broker.keys import SCHEDULES_KEY
from tasks.services import TaskService
from tests.tasks.functions import ECHO, queued
from tests.tasks.schedules import MakeSchedule, ago

pytestmark = pytest.mark.django_db(transaction=True)

HOME = reverse("admin:django_rq_home")
SCHEDULED = reverse("admin:django_rq_scheduler_jobs", args=[0])
DEFAULT_QUEUE = 0


def job_page(job_id: str, page: str = "job_detail") -> str:
    return reverse(f"admin:django_rq_{page}", args=[DEFAULT_QUEUE, job_id])


def staff(*permissions: str) -> User:
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def test_the_queues_and_workers_are_a_click_away(admin_client: Client, redis_connection: Redis):
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
def test_a_schedule_is_shown_with_its_job(admin_client: Client, put: MakeSchedule, values):
    schedule = put(**values, args=[1, "<b>"], kwargs={"a": [None]})
    assert schedule.job_id in admin_client.get(SCHEDULED).content.decode()
    page = admin_client.get(job_page(schedule.job_id)).content.decode()
    assert ECHO in page
    assert "<b>" not in page


def test_a_queued_job_is_shown(admin_client: Client):
    call = TaskService.enqueue_task(ECHO, {"a": 1})
    jobs = reverse("admin:django_rq_jobs", args=[DEFAULT_QUEUE])
    assert call.job_id in admin_client.get(jobs).content.decode()
    assert admin_client.get(job_page(call.job_id)).status_code == 200


def test_looking_unschedules_nothing(
    admin_client: Client, put: MakeSchedule, redis_connection: Redis
):
    whole, jobless = put(), put()
    redis_connection.delete(f"rq:job:{jobless.job_id}")
    for url in (HOME, SCHEDULED, job_page(whole.job_id)):
        assert admin_client.get(url).status_code == 200
    assert redis_connection.zcard(SCHEDULES_KEY) == 2


@pytest.mark.parametrize("page", ["enqueue_job", "requeue_job", "delete_job"])
def test_the_job_of_a_schedule_is_not_changed_here(
    admin_client: Client, put: MakeSchedule, redis_connection: Redis, page
):
    schedule = put()
    before = redis_connection.hgetall(f"rq:job:{schedule.job_id}")
    response = admin_client.post(job_page(schedule.job_id, page), follow=True)
    assert "is changed on the schedule" in response.content.decode()
    assert redis_connection.hgetall(f"rq:job:{schedule.job_id}") == before
    assert not queued(redis_connection)


def test_the_jobs_of_schedules_are_not_changed_together(
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
def test_it_is_for_those_who_may_see_or_change_schedules(
    client: Client, permissions, seen, emptied
):
    client.force_login(staff(*permissions))
    assert client.get(HOME).status_code == seen
    empty = reverse("admin:django_rq_clear", args=[DEFAULT_QUEUE])
    assert client.post(empty).status_code == emptied


@pytest.mark.parametrize("method", ["get", "post"])
def test_others_are_sent_to_the_login(client: Client, method):
    response = getattr(client, method)(reverse("admin:django_rq_clear", args=[DEFAULT_QUEUE]))
    assert response.status_code == 302
    assert "/login/" in response.url


def test_while_redis_is_unavailable_a_page_says_so(admin_client: Client, redis_unavailable: Any):
    redis_unavailable(True)
    for url in (HOME, SCHEDULED, job_page("task-1")):
        response = admin_client.get(url)
        assert response.status_code == 503
        assert "nothing of them is lost" in response.content.decode()
