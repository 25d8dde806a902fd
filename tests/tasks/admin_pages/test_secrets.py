"""Secrets in the admin: on no page, in no search, kept by the form, and revealed on record."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from redis import Redis

from tasks.masking import MASK
from tasks.models import ScheduledTask, ScheduledTaskInstance, Task
from tasks.services import TaskService
from tests.tasks.functions import LOG_IN, perform
from tests.tasks.pages import CALLS, RUNS, SCHEDULES, act_url, errors_of, page_of, rows_of, staff
from tests.tasks.schedules import MakeSchedule, ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "hunter2-hunter2"
ADDRESS = f"https://me:{SECRET}@feeds.example/?page=3&token={SECRET}"
VIEW = ("view_scheduledtask", "view_scheduledtaskinstance", "view_task")
CHANGE = (*VIEW, "change_scheduledtask", "add_task", "change_task")
# Named so, marked so at registration, nested, and in an address.
CALL: dict[str, Any] = {
    "function": LOG_IN,
    "args": ["PIN-1x2y3z4"],
    "kwargs": {"api_token": SECRET, "where": [{"password": SECRET, "n": 77}, ADDRESS]},
}


@pytest.fixture
def schedule(put: MakeSchedule) -> ScheduledTask:
    """Return a schedule with secrets wherever it can have some."""
    values = {"name": ADDRESS, "description": ADDRESS, "note": ADDRESS, "problem": "", **CALL}
    return put(**values)


def make_records(schedule: ScheduledTask) -> tuple[ScheduledTaskInstance, Task]:
    """Store a run and a call as an older version did, with secrets in all their texts."""
    text = f"Failed for: {ADDRESS} with {SECRET}"
    texts = {"log": text, "traceback": text, "reason": text, "progress_message": text[:100]}
    result = {"url": ADDRESS, "text": SECRET}
    run = make_run(schedule, status="failed", result=result, **texts)
    ended = {"status": "failed", "started": ago(2), "ended": ago(1), "result": result}
    return run, Task.objects.create(name=LOG_IN, **CALL, **ended, **texts)


def viewer(client: Client, *permissions: str) -> Client:
    client.force_login(staff(*permissions))
    return client


def pages(schedule: ScheduledTask, *job_ids: str) -> Iterator[str]:
    """Return the addresses of all our pages and of django-rq's that show records and jobs."""
    run, task = make_records(schedule)
    yield from (reverse("admin:index"), SCHEDULES, RUNS, CALLS)
    yield f"{RUNS}?schedule={schedule.pk}"
    yield from (page_of(schedule), page_of(schedule, "page"), page_of(run), page_of(task))
    yield from (page_of(schedule, "history"), page_of(run, "history"), page_of(task, "history"))
    yield from (page_of(schedule, "backfill"), page_of(schedule, "delete"))
    yield reverse("admin:tasks_scheduledtask_external_jobs")
    yield reverse("admin:django_rq_home")
    yield reverse("admin:django_rq_scheduler_jobs", args=[0])
    lists = "jobs queue_details finished_jobs failed_jobs scheduled_jobs started_jobs deferred_jobs"
    yield from (reverse(f"admin:django_rq_{name}", args=[0]) for name in lists.split())
    for job_id in job_ids:
        yield reverse("admin:django_rq_job_detail", args=[0, job_id])


def fail(text: str) -> None:
    raise ValueError(text)


@pytest.mark.parametrize("permissions", [VIEW, CHANGE, (*CHANGE, "reveal_secrets")])
def test_no_page_shows_a_secret(
    client, schedule, redis_connection: Redis, behave, permissions: tuple[str, ...]
):
    behave(lambda pin, *args: fail(f"{ADDRESS}: {SECRET} is wrong, and so is {args!r}"))
    call = TaskService.enqueue_task(LOG_IN, *CALL["args"], **CALL["kwargs"])
    job = perform(redis_connection, call.job_id)
    waiting = TaskService.enqueue_task(LOG_IN, *CALL["args"], **CALL["kwargs"])
    client = viewer(client, *permissions)
    for url in pages(schedule, schedule.job_id, job.id, waiting.job_id):
        response = client.get(url)
        assert response.status_code in (200, 302, 403), url
        content = response.content.decode()
        assert SECRET not in content, url
        assert "PIN-1x2y3z4" not in content, url
    for result in job.results():
        url = reverse("admin:django_rq_result_detail", args=[0, job.id, result.id])
        assert SECRET not in client.get(url).content.decode()
    client.post(act_url(schedule, "pause"), {"note": ADDRESS, "confirmed": "yes"})
    for url in (page_of(schedule), page_of(schedule, "history")):
        assert SECRET not in client.get(url).content.decode()


def test_what_is_not_secret_is_shown(client, schedule):
    page = viewer(client, *VIEW).get(page_of(schedule, "page")).content.decode()
    assert "77" in page
    assert f"https://{MASK}@feeds.example/?page=3&amp;token={MASK}" in page


@pytest.mark.parametrize(
    ("page", "query"),
    [
        (SCHEDULES, "kwargs__api_token__startswith=hunter"),
        (SCHEDULES, "args__0__startswith=1"),
        (SCHEDULES, "description__contains=hunter"),
        (SCHEDULES, "note__contains=hunter"),
        (SCHEDULES, "fingerprint__startswith=0"),
        (RUNS, "traceback__contains=hunter"),
        (RUNS, "arguments__kwargs__api_token__startswith=hunter"),
        (RUNS, "log__contains=hunter"),
        (RUNS, "result__text__startswith=hunter"),
        (RUNS, "parent__kwargs__api_token__startswith=hunter"),
        (CALLS, "kwargs__api_token__startswith=hunter"),
    ],
)
def test_a_secret_cannot_be_filtered_by_letter_by_letter(client, schedule, page: str, query: str):
    make_records(schedule)
    assert viewer(client, *VIEW).get(f"{page}?{query}").status_code == 400


@pytest.mark.parametrize("permissions", [VIEW, CHANGE])
def test_a_secret_cannot_be_searched_for(client, schedule, redis_connection, behave, permissions):
    behave(lambda *args: fail(f"{SECRET} is wrong"))
    perform(redis_connection, TaskService.enqueue_task(LOG_IN, "PIN-1x2y3z4", SECRET).job_id)
    client = viewer(client, *permissions)
    for page in (SCHEDULES, RUNS, CALLS):
        assert rows_of(client.get(page, {"q": "hunter2"})) == []


def test_a_schedule_is_still_found_by_the_rest_of_its_address(client, schedule):
    client = viewer(client, *VIEW)
    assert rows_of(client.get(SCHEDULES, {"q": "feeds.example"})) == [schedule]


def test_those_who_may_reveal_secrets_find_descriptions_by_them(client, schedule):
    client = viewer(client, *VIEW, "reveal_secrets")
    assert rows_of(client.get(SCHEDULES, {"q": SECRET})) == [schedule]


# The form


def posted(client: Client, schedule: ScheduledTask, **changes: Any) -> Any:
    """Submit the form of a schedule as it is shown, with changes."""
    page: Any = client.get(page_of(schedule))
    form = page.context_data["adminform"].form
    data = {name: form[name].value() for name in form.fields}
    data = {name: value for name, value in data.items() if value not in (None, "")}
    first = data.pop("first")
    data |= {"first_0": f"{first:%Y-%m-%d}", "first_1": f"{first:%H:%M:%S}"}
    return client.post(page_of(schedule), data | changes)


def test_saving_the_form_keeps_the_secrets_that_it_does_not_show(client, schedule):
    response = posted(viewer(client, *CHANGE), schedule, retries=3)
    assert errors_of(response) == {}
    schedule.refresh_from_db()
    assert (schedule.args, schedule.kwargs) == (CALL["args"], CALL["kwargs"])
    assert (schedule.description, schedule.note, schedule.retries) == (ADDRESS, ADDRESS, 3)
    assert "Named" not in LogEntry.objects.get().get_change_message()


def test_one_secret_can_be_changed_while_the_others_are_kept(client, schedule):
    where = json.dumps([{"password": MASK, "n": 78}])
    changes = {"arg-api_token": "new", "arg-where": where}
    response = posted(viewer(client, *CHANGE), schedule, **changes)
    assert errors_of(response) == {}
    schedule.refresh_from_db()
    assert schedule.kwargs == {"api_token": "new", "where": [{"password": SECRET, "n": 78}]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("arg-where", json.dumps(f"https://evil.example/?token={MASK}")),
        ("arg-where", json.dumps([{"password": MASK, "n": 77}, {"password": MASK}])),
        ("arg-pin", f"{MASK}{MASK}"),
        ("description", f"https://evil.example/?token={MASK}"),
    ],
)
def test_a_mask_without_a_secret_behind_it_is_refused(client, schedule, field: str, value: str):
    assert field in errors_of(posted(viewer(client, *CHANGE), schedule, **{field: value}))
    schedule.refresh_from_db()
    assert schedule.kwargs == CALL["kwargs"]


def test_the_name_of_a_schedule_is_stored_without_secrets(schedule):
    schedule.refresh_from_db()
    assert schedule.name == f"https://{MASK}@feeds.example/?page=3&token={MASK}"
    assert ScheduledTask.objects.get(name=ADDRESS) == schedule


# Reveal


def test_secrets_are_revealed_to_those_who_may_see_them_and_the_history_says_so(client, schedule):
    client = viewer(client, *VIEW, "reveal_secrets")
    url = page_of(schedule, "reveal")
    assert f'action="{url}"' in client.get(page_of(schedule, "page")).content.decode()
    response = client.post(url)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert SECRET in response.content.decode()
    assert "PIN-1x2y3z4" in response.content.decode()
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("somebody", str(schedule.pk))
    assert entry.change_message.startswith("Secrets revealed: positional arguments, named")
    assert SECRET not in entry.change_message + entry.object_repr


def test_the_secrets_of_a_background_call_are_revealed_too(client, schedule):
    _run, task = make_records(schedule)
    client = viewer(client, *VIEW, "reveal_secrets")
    assert SECRET in client.post(page_of(task, "reveal")).content.decode()
    assert LogEntry.objects.get().object_id == str(task.pk)


@pytest.mark.parametrize("permissions", [VIEW, CHANGE, ("reveal_secrets",)])
def test_nobody_else_is_shown_secrets(client, schedule, permissions):
    client = viewer(client, *permissions)
    assert client.post(page_of(schedule, "reveal")).status_code == 403
    page = client.get(page_of(schedule, "page")).content.decode()
    assert page_of(schedule, "reveal") not in page
    assert not LogEntry.objects.exists()


def test_secrets_are_not_revealed_by_a_link(admin_client, schedule):
    response = admin_client.get(page_of(schedule, "reveal"))
    assert response.headers["Location"] == page_of(schedule, "page")
    assert not LogEntry.objects.exists()


def test_revealing_secrets_needs_the_token_of_the_page(schedule):
    client = viewer(Client(enforce_csrf_checks=True), *VIEW, "reveal_secrets")
    assert client.post(page_of(schedule, "reveal")).status_code == 403


def test_there_is_no_button_where_nothing_is_masked(admin_client):
    page = admin_client.get(page_of(make_row(), "page")).content.decode()
    assert "/reveal/" not in page
