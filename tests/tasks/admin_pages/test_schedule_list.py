"""The list of schedules: how each is, what it is sorted by, and what it is narrowed down to."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from redis import Redis

from tasks.broker.enqueue import enqueue_run
from tasks.broker.keys import SCHEDULES_KEY
from tasks.decorators import scheduled_task
from tasks.job_ids import RunId
from tasks.models import ScheduleChange, ScheduledTask, Tag, WeeklySummary
from tasks.services import SchedulerService
from tasks.worker.queues import Queues
from tests.tasks.pages import SCHEDULES, page_of, rows_of, staff, text_of
from tests.tasks.schedules import MakeSchedule, ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)


@scheduled_task(name="tests.one_listed", max_concurrent=1)
def one_listed() -> None:
    """Do nothing, one at a time."""


def names(response: Any) -> list[str]:
    return [schedule.name for schedule in rows_of(response)]


def row_of(response: Any, schedule: ScheduledTask) -> dict[str, Any]:
    """Return what the list shows of a schedule."""
    [row] = [row for row in response.context_data["rows"] if row["schedule"] == schedule]
    found: dict[str, Any] = row
    return found


def state_in_list(client: Client, schedule: ScheduledTask) -> tuple[str, str]:
    state = row_of(client.get(SCHEDULES), schedule)["state"]
    return state.word, state.detail


def summarize(schedule: ScheduledTask, success: float, p95: int) -> None:
    span = timedelta(seconds=p95)
    WeeklySummary.objects.create(schedule=schedule, success=success, p50=span / 2, p95=span)


def test_a_row_says_when_what_came_of_the_latest_runs_and_how_the_week_went(admin_client: Client):
    schedule = make_row(name="polling", interval=900)
    schedule.tags.add(Tag.objects.create(name="news"))
    runs = [make_run(schedule) for _ in range(22)]
    summarize(schedule, 0.914, 62)
    response = admin_client.get(SCHEDULES)
    text, page = text_of(response), response.content.decode()
    for part in ("polling", "every 15 minutes", "in 1", "news", "91.4", "31.0 s", "1 min 2 s"):
        assert part in text
    assert f'href="{page_of(schedule, "page")}"' in page
    links = [page_of(run) in page for run in runs]
    assert links == [False, False, *[True] * 20]


def test_the_state_of_a_schedule_names_the_worst_first(admin_client: Client):
    schedule = make_row(first=ago(90_000), interval=86_400)
    assert state_in_list(admin_client, schedule) == ("never ran", "")
    make_run(schedule)
    assert state_in_list(admin_client, schedule) == ("on time", "")
    make_run(schedule, status="running", ended=None, progress=61)
    word, detail = state_in_list(admin_client, schedule)
    assert word == "running"
    assert detail.startswith("61 %")
    for _ in range(3):
        make_run(schedule, status="failed")
    ScheduledTask.objects.update(status="failed")
    assert state_in_list(admin_client, schedule) == ("failing", "3 in a row")


def test_at_least_so_many_failed_in_a_row_only_if_earlier_runs_are_not_known(
    admin_client: Client,
):
    schedule = make_row(first=ago(90_000), interval=86_400, status="failed")
    for status in ("failed", "canceled", "failed"):
        make_run(schedule, status=status)
    assert state_in_list(admin_client, schedule) == ("failing", "2 in a row")
    ScheduledTask.objects.update(pruned_until=ago(80_000))
    assert state_in_list(admin_client, schedule) == ("failing", "at least 2 in a row")
    ScheduledTask.objects.update(pruned_until=None)
    for _ in range(20):
        make_run(schedule, status="failed")
    assert state_in_list(admin_client, schedule) == ("failing", "at least 20 in a row")


def test_a_paused_schedule_says_by_whom_and_why(admin_client: Client):
    schedule = make_row()
    SchedulerService.pause(schedule, "until the new key")
    ScheduleChange.objects.update(by="shop-admin")
    response = admin_client.get(SCHEDULES)
    assert state_in_list(admin_client, schedule) == ("paused", "by shop-admin")
    assert "until the new key" in text_of(response)


def test_what_waits_too_long_is_late(admin_client: Client, put: MakeSchedule):
    schedule = put(first=ago(600), settled_through=ago(601), interval=3_600)
    make_run(schedule)
    put(name="punctual", first=ago(-600))
    assert state_in_list(admin_client, schedule)[0] == "late"
    response = admin_client.get(SCHEDULES, {"view": "late"})
    assert rows_of(response) == [schedule]
    assert row_of(response, schedule)["waiting"] == 1


def test_what_fails_comes_first_and_what_has_ended_last(admin_client: Client):
    for status in ("death", "running", "failed"):
        make_row(name=status, status=status)
    assert names(admin_client.get(SCHEDULES)) == ["failed", "running", "death"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("success", ["bad", "good", "new"]),
        ("duration", ["good", "bad", "new"]),
        ("name", ["bad", "good", "new"]),
    ],
)
def test_columns_sort_by_the_week_with_the_worst_first(admin_client: Client, column, expected):
    make_row(name="new")
    summarize(make_row(name="good"), 1.0, 100)
    summarize(make_row(name="bad"), 0.5, 10)
    response: Any = admin_client.get(SCHEDULES)
    urls = {header["label"].lower(): header["url"] for header in response.context_data["headers"]}
    label = {"duration": "p50, p95"}.get(column, column)
    assert names(admin_client.get(SCHEDULES + urls[label])) == expected


def test_what_can_not_be_scheduled_has_a_view_while_there_is_any(admin_client: Client):
    make_row(name="fine")
    assert "Can't be scheduled" not in text_of(admin_client.get(SCHEDULES))
    make_row(name="broken", problem="no such function")
    make_row(name="over", problem="no such function", status="death")
    assert "Can't be scheduled 1" in text_of(admin_client.get(SCHEDULES))
    assert names(admin_client.get(SCHEDULES, {"view": "problem"})) == ["broken"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"view": "failing"}, ["failing"]),
        ({"view": "paused"}, ["paused"]),
        ({"view": "ended"}, ["ended"]),
        ({"view": "running"}, ["running"]),
        ({"view": "never"}, ["new", "paused"]),
        ({"tag": "shop"}, ["running"]),
        ({"queue": "low"}, ["new"]),
        ({"list": "billing"}, ["new"]),
        ({"list": "--"}, ["running"]),
        ({"function": "no.such"}, []),
        ({"tag": "no-such"}, []),
        ({"view": "no-such"}, []),
        ({"view": "failing", "queue": "low"}, []),
        ({"tag": "", "queue": "", "q": "new"}, ["new"]),
    ],
)
def test_the_list_is_narrowed_down_by_views_and_selections(admin_client: Client, query, found):
    make_run(make_row(name="failing", status="failed"), status="failed")
    make_row(name="paused", status="paused", paused_at=ago(1))
    make_row(name="ended", status="death")
    make_row(name="new", queue="low", list_owner="billing")
    running = make_row(name="running", list_owner="")
    make_run(running, status="running", ended=None)
    running.tags.add(Tag.objects.create(name="shop"))
    assert sorted(names(admin_client.get(SCHEDULES, query))) == found


def test_one_whose_runs_retention_has_deleted_did_run(admin_client: Client):
    make_row(pruned_until=ago(9))
    assert not rows_of(admin_client.get(SCHEDULES, {"view": "never"}))


def test_views_keep_the_selections_and_selections_keep_the_view(admin_client: Client):
    make_row(queue="low", status="failed")
    response: Any = admin_client.get(SCHEDULES, {"queue": "low", "o": "1"})
    assert all("queue=low" in tab["url"] for tab in response.context_data["tabs"])
    response = admin_client.get(SCHEDULES, {"view": "failing", "o": "1"})
    assert sorted(response.context_data["kept"]) == [("o", "1"), ("view", "failing")]


def test_a_viewer_gets_no_box_no_action_and_no_button(viewer: Client):
    make_row()
    page = viewer.get(SCHEDULES).content.decode()
    for part in ("_selected_action", 'name="action"', "Add schedule"):
        assert part not in page


@pytest.mark.parametrize(
    ("permission", "shown"),
    [
        ("run_scheduledtask", ["run_now"]),
        ("pause_scheduledtask", ["pause", "resume"]),
        ("change_scheduledtask", ["move", "change_queue", "cancel"]),
        ("delete_scheduledtask", ["delete"]),
    ],
)
def test_each_permission_allows_its_own_actions(client: Client, permission, shown):
    user = staff("view_scheduledtask")
    user.user_permissions.add(Permission.objects.get(codename=permission))
    client.force_login(user)
    make_row()
    context: Any = client.get(SCHEDULES).context_data
    assert [name for name, _label in (*context["actions"], *context["end_actions"])] == shown


def test_an_empty_list_says_what_to_do(admin_client: Client):
    assert "No schedule yet." in text_of(admin_client.get(SCHEDULES))
    assert "No schedule is like that." in text_of(admin_client.get(SCHEDULES, {"q": "x"}))


def test_the_list_is_paged_and_says_how_many_there_are(admin_client: Client):
    for number in range(60):
        make_row(name=f"schedule {number:02}")
    response: Any = admin_client.get(SCHEDULES)
    assert "50 of 60" in text_of(response)
    assert len(rows_of(admin_client.get(SCHEDULES + response.context_data["next_url"]))) == 10


def test_a_schedule_that_waits_for_a_place_says_of_what(
    admin_client: Client, redis_connection: Redis
):
    schedule = make_row(function="tests.one_listed")
    make_run(schedule)
    for seconds in (40, 30):
        enqueue_run(schedule, RunId(schedule.job_id, ago(seconds)), redis_connection)
    queues = Queues(redis_connection, "rq:worker:w1", "w1", 90)
    for _ in range(3):
        queues.step([], ["default"])
    word, detail = state_in_list(admin_client, schedule)
    assert word == "late"
    assert detail.startswith("since ")
    assert detail.endswith(". It waits for a place: 1 of 1 of tests.one_listed.")


def test_each_tab_says_how_many_schedules_its_view_shows(
    admin_client: Client, redis_connection: Redis
):
    for place in range(2):
        make_row(status="paused", paused_at=ago(1), queue=f"queue {place}")
        make_row(status="failed", problem="" if place else "No such zone.")
    make_run(make_row(), status="running", ended=None)
    make_row(status="death")
    late = make_row(status="running")
    redis_connection.zadd(SCHEDULES_KEY, {late.job_id: ago(600).timestamp()})
    response: Any = admin_client.get(SCHEDULES)
    tabs = response.context_data["tabs"]
    said = {tab["name"]: tab["number"] for tab in tabs}
    shown = {tab["name"]: len(rows_of(admin_client.get(SCHEDULES + tab["url"]))) for tab in tabs}
    assert said == shown
    assert said.pop("") == 7
    assert said == {
        **{"problem": 1, "failing": 2, "late": 1, "running": 1},
        **{"paused": 2, "never": 5, "ended": 1},
    }


def test_the_list_makes_a_bounded_number_of_queries(
    admin_client: Client, django_assert_max_num_queries: Any
):
    tag = Tag.objects.create(name="shop")
    for _ in range(50):
        schedule = make_row(status="paused", paused_at=ago(1))
        schedule.tags.add(tag)
        make_run(schedule)
    with django_assert_max_num_queries(19):
        admin_client.get(SCHEDULES)


def test_what_people_wrote_is_escaped_in_a_row(admin_client: Client):
    schedule = make_row(name="<i>name</i>", note="<i>note</i>", status="paused", paused_at=ago(60))
    schedule.tags.add(Tag.objects.create(name="<i>&tag"))
    page = admin_client.get(SCHEDULES).content.decode()
    assert "<i>" not in page
    assert 'class="name" href' in page
    for part in (
        "&lt;i&gt;name&lt;/i&gt;",
        "“&lt;i&gt;note",
        "?tag=%3Ci%3E%26tag",
        "&lt;i&gt;&amp;tag",
    ):
        assert part in page
