"""Every page of ours: what it shows to whom, and that it changes nothing for who may not."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import Client
from redis import Redis

from tasks.broker import projection
from tasks.broker.keys import SCHEDULES_KEY
from tasks.models import ScheduledTask
from tests.project.pages_of_site import OUR_APPS, Records, addresses, make_records
from tests.tasks import functions
from tests.tasks.pages import SCHEDULES, errors_of
from tests.tasks.reports.test_facts import enqueue, put_worker, run_of
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db

SECRET = "s3cr3t-pin-value"
INDEXES = ["/admin/", "/admin/tasks/", "/admin/feeds/"]
# What the pages that ask send when somebody agrees.
AGREED = {"confirmed": "yes", "post": "yes", "amount": "15", "unit": "minutes", "queue": "low"}
AGREED |= {"direction": "later", "shown": "15 minutes later", "note": "why"}


@pytest.fixture
def own(redis_connection: Redis) -> Records:
    return make_records("mine")


@pytest.fixture
def foreign(redis_connection: Redis) -> Records:
    """Return records of others: something of them is late, runs, waits, and is due next."""
    records = make_records("zebra")
    schedule = records.schedule
    assert records.feed.schedule is not None
    projection.put([schedule, records.feed.schedule], redis_connection)
    late = make_row(name="late zebra", first=ago(90))
    redis_connection.zadd(SCHEDULES_KEY, {late.job_id: ago(90).timestamp()})
    put_worker(redis_connection, "w", job_id=run_of(schedule, 1))
    enqueue(redis_connection, run_of(schedule, 90), seconds_ago=90)
    enqueue(redis_connection, records.call.job_id)
    make_run(schedule, status="running", worker_name="w", progress_message="zebra", due=ago(1))
    return records


def rows() -> dict[str, Any]:
    """Return all rows of our apps, to see whether one has changed."""
    models = [model for app in OUR_APPS for model in apps.get_app_config(app).get_models()]
    return {model.__name__: list(model._base_manager.order_by("pk").values()) for model in models}


def log_in(client: Client, *, tag: Any = None, only: str = "") -> None:
    """Log in as somebody with all permissions of our apps, or only those that begin so."""
    user = User.objects.create_user("somebody", is_staff=True)
    allowed = Permission.objects.filter(content_type__app_label__in=OUR_APPS)
    user.user_permissions.set(allowed.filter(codename__startswith=only))
    if tag is not None:
        tag.users.add(user)
    client.force_login(user)


def shown(response: HttpResponse) -> str:
    return response.content.decode().lower()


def ask(client: Client, url: str) -> list[Any]:
    """Send all kinds of requests to an address; return the answers."""
    return [client.get(url), client.post(url, {}), client.post(url, AGREED)]


def test_people_who_are_limited_to_a_tag_see_nothing_of_others_on_any_page(
    client: Client, own: Records, foreign: Records
):
    log_in(client, tag=own.tag)
    for url in [*INDEXES, *addresses(own)]:
        assert "zebra" not in shown(client.get(url)), url


def test_people_who_are_limited_to_a_tag_cannot_touch_a_record_of_others(
    client: Client, own: Records, foreign: Records
):
    log_in(client, tag=own.tag)
    before = rows()
    lists = set(addresses(own))
    for url in [url for url in addresses(foreign) if url not in lists]:
        for answer in ask(client, url):
            assert answer.status_code in (302, 403, 404, 405), url
            assert "zebra" not in shown(answer), url
        assert rows() == before, url


def typed(own: Records, **values: Any) -> dict[str, Any]:
    """Return what the form of a schedule sends."""
    form: dict[str, Any] = {
        "function": functions.TYPED,
        "name": "new",
        "face": "every",
        "interval": "1h",
    }
    form |= {"queue": "default", "timezone": "UTC", "overlap": "skip", "catch_up": "latest"}
    form |= {"on_disconnect": "stop", "retries": 0, "retry_delay": 0, "first_0": ""}
    form |= {"first_1": "", "arg-region": '"eu"', "runs-TOTAL_FORMS": 0, "runs-INITIAL_FORMS": 0}
    return form | values


@pytest.mark.parametrize(
    ("field", "of"),
    [
        ("arg-calendar", lambda records: records.calendar),
        ("calendar", lambda records: records.calendar),
        ("tags", lambda records: records.tag),
    ],
)
def test_a_row_of_others_that_is_typed_into_a_form_is_refused_as_if_there_were_none(
    client: Client,
    own: Records,
    foreign: Records,
    field: str,
    of: Callable[[Records], Any],
):
    log_in(client, tag=own.tag)
    before = rows()
    hidden = of(foreign).pk
    errors = []
    for pk in (hidden, 987_654):
        response: Any = client.post(f"{SCHEDULES}add/", typed(own, **{field: pk}))
        assert response.status_code == 200
        found = response.context_data["adminform"].form.errors[field]
        errors.append(" ".join(found).replace(str(pk), "PK"))
    assert errors[0] == errors[1]
    assert rows() == before
    accepted = client.post(f"{SCHEDULES}add/", typed(own, **{field: of(own).pk}))
    assert errors_of(accepted) == {}


def test_a_run_cannot_be_given_a_row_of_others(client: Client, own: Records, foreign: Records):
    log_in(client, tag=own.tag)
    before = rows()
    url = f"{SCHEDULES}{own.schedule.pk}/run/"
    response = client.post(url, {"arg-region": '"eu"', "arg-calendar": foreign.calendar.pk})
    assert f"There is no calendar {foreign.calendar.pk}." in response.content.decode()
    assert rows() == before


@pytest.mark.parametrize(
    "address",
    [
        "add/?clone_of={schedule}",
        "preview/?pk={schedule}&interval=1h&first_0=2026-01-01&first_1=00:00",
        "arguments/?pk={schedule}",
        "choices/?function=tests.tasks.functions.typed&name=arg-calendar&pk={calendar}",
        "choices/?function=tests.tasks.functions.typed&name=arg-calendar&q=zebra",
        "?calendar__id__exact={calendar}",
        "?tag=tag-zebra",
        "../scheduledtaskinstance/?schedule={schedule}",
        "../scheduledtaskinstance/schedules/?q=zebr",
        "../../feeds/entry/?feed__id__exact={feed}",
    ],
)
def test_a_row_of_others_in_an_address_says_nothing(
    client: Client, own: Records, foreign: Records, address: str
):
    log_in(client, tag=own.tag)
    keys = {name: record.pk for name, record in foreign.by_model.items()}
    url = address.format(schedule=foreign.schedule.pk, **keys)
    text = shown(client.get(SCHEDULES + url, follow=True))
    for typed_word in ("tag-zebra", "q=zebra"):
        text = text.replace(f'value="{typed_word}"', "").replace(typed_word, "")
    assert "zebra" not in text


def test_tags_of_others_are_not_named_on_what_has_them_too(
    client: Client, own: Records, foreign: Records
):
    own.schedule.tags.add(foreign.tag)
    own.feed.tags.add(foreign.tag)
    log_in(client, tag=own.tag)
    for url in addresses(own):
        assert "zebra" not in shown(client.get(url)), url


def test_chosen_rows_of_others_are_left_alone(client: Client, own: Records, foreign: Records):
    log_in(client, tag=own.tag)
    before = rows()
    for name, record in foreign.by_model.items():
        app = record._meta.app_label
        for action in ("pause", "delete", "run_again", "stop", "cancel", "delete_selected"):
            chosen = {"action": action, "_selected_action": record.pk, **AGREED}
            answer = client.post(f"/admin/{app}/{name}/", chosen)
            assert "zebra" not in shown(answer)
    client.post(f"{SCHEDULES}act/pause/", {"ids": foreign.schedule.pk, **AGREED})
    assert rows() == before


def test_who_may_only_view_changes_nothing_by_any_request(client: Client, own: Records):
    log_in(client, only="view_")
    before = rows()
    for url in addresses(own):
        for answer in ask(client, url):
            assert answer.status_code < 500, url
        assert rows() == before, url


def test_who_may_not_see_background_calls_sees_none_on_the_overview(
    client: Client, own: Records, redis_connection: Redis
):
    enqueue(redis_connection, own.call.job_id)
    log_in(client, only="view_scheduledtask")
    assert own.call.name not in shown(client.get("/admin/tasks/overview/"))
    User.objects.get().user_permissions.add(Permission.objects.get(codename="view_task"))
    assert own.call.name in shown(client.get("/admin/tasks/overview/"))


def test_a_secret_in_what_an_older_version_has_stored_is_shown_on_no_page(
    client: Client, own: Records
):
    text = f"Failed for: ValueError: no {SECRET} here"
    values = {"function": functions.LOG_IN, "args": [SECRET], "kwargs": {}, "status": "failed"}
    ScheduledTask.objects.filter(pk=own.schedule.pk).update(
        **values, problem=text, note=text, description=text
    )
    own.schedule.runs.update(
        reason=text, log=text, traceback=text, result=text, progress_message=text
    )
    make_run(own.schedule, status="running", progress_message="half", due=ago(100))
    client.force_login(User.objects.create_superuser("boss"))
    for url in [*INDEXES, *addresses(own), "/feeds/activity/"]:
        assert SECRET not in shown(client.get(url)), url
