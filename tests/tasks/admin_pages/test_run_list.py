"""The list of runs: what its filters find, and how it is paged without counting."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tasks.admin_pages import run_list
from tasks.models import ScheduledTaskInstance
from tasks.reasons import Code, reason
from tests.tasks.functions import CALL, ECHO
from tests.tasks.pages import RUNS, SCHEDULES, page_of, rows_of, text_of
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db


def found(client: Client, **values: Any) -> list[int]:
    return [run.pk for run in rows_of(client.get(RUNS, values))]


def pages(client: Client, way: str, response: Any) -> Iterator[list[int]]:
    """Yield the runs of each page that follows a link, as long as there is one."""
    while True:
        yield [run.pk for run in rows_of(response)]
        page = response.context_data["cl"].page
        if getattr(page, way) is None:
            return
        response = client.get(RUNS + response.context_data[f"{way}_url"])


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for function in (run_list.older_page, run_list.newer_page):
        monkeypatch.setattr(function, "__defaults__", (*(function.__defaults__ or ())[:-1], 3))


def test_each_run_is_on_one_page_and_the_pages_lead_back(admin_client: Client, small_pages: None):
    schedule = make_row()
    runs = [make_run(schedule).pk for _ in range(8)][::-1]
    older = list(pages(admin_client, "older", admin_client.get(RUNS)))
    assert older == [runs[:3], runs[3:6], runs[6:]]
    last = admin_client.get(RUNS, {"before": runs[5]})
    newer = list(pages(admin_client, "newer", last))
    assert [pk for page in newer[:3] for pk in page] == [*runs[6:], *runs[3:6], *runs[:3]]


def test_a_condition_without_an_index_is_checked_for_a_bounded_number_of_runs(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_list, "MOST_CHECKED", 3)
    schedule = make_row()
    wanted = make_run(schedule, worker_name="w1", started=timezone.now())
    for _ in range(5):
        make_run(schedule, worker_name="w2")
    response = admin_client.get(RUNS, {"worker": "w1"})
    assert rows_of(response) == []
    assert "back to" in text_of(response)
    assert [wanted.pk] in list(pages(admin_client, "older", response))


def test_a_run_that_was_late_looks_late_wherever_its_lateness_is(admin_client: Client):
    schedule, now = make_row(), timezone.now()
    late = make_run(schedule, due=ago(90), started=now)
    make_run(schedule, due=now - timedelta(seconds=3), started=now)
    for page in (RUNS, page_of(schedule, "page"), page_of(late)):
        shown = admin_client.get(page).content.decode()
        [word] = re.findall(r'<span class="is-late"><svg.*?</svg> ([^<]*)</span>', shown)
        assert word.startswith("1 min 30 s")


def test_clear_clears_the_filters_and_the_search(admin_client: Client):
    make_row(name="one")
    asked = {"q": "one", "function": ECHO}
    for page in (RUNS, SCHEDULES):
        shown = admin_client.get(page, asked).content.decode()
        assert re.findall(r'<a [^>]*href="([^"]*)"[^>]*>Clear</a>', shown) == ["?"]


def test_no_page_counts_the_runs(admin_client: Client, django_assert_max_num_queries: Any):
    schedule = make_row()
    for _ in range(30):
        make_run(schedule, result=[1])
    for values in ({}, {"q": "x"}, {"schedule": schedule.name, "status": "failed", "late": 10}):
        with django_assert_max_num_queries(20) as queries:
            admin_client.get(RUNS, values)
        of_runs = [one["sql"] for one in queries if "scheduledtaskinstance" in one["sql"]]
        assert not any("COUNT(" in sql for sql in of_runs)


def test_runs_are_found_by_schedule_by_its_id_its_name_or_a_part_of_it(admin_client: Client):
    one, other = make_row(name="Price feed EU"), make_row(name="Price feed EU 2")
    first, second = make_run(one), make_run(other)
    make_run(make_row(name="Nightly report"))
    assert found(admin_client, schedule=one.pk) == [first.pk]
    assert found(admin_client, schedule="Price feed EU") == [first.pk]
    assert found(admin_client, schedule="price FEED") == [second.pk, first.pk]
    assert found(admin_client, schedule="nothing") == []


def test_names_of_schedules_are_offered_while_one_is_typed(admin_client: Client):
    for name in ("Nightly price feed", "Price feed", "Report"):
        make_row(name=name)
    answer = admin_client.get(f"{RUNS}schedules/", {"q": "price"})
    assert answer.json() == {"names": ["Price feed", "Nightly price feed"]}


@pytest.mark.parametrize(
    ("filters", "values"),
    [
        ({"status": "failed"}, {"status": "failed"}),
        ({"status__exact": "failed"}, {"status": "failed"}),
        ({"status": "lost"}, {"status": "failed", **reason(Code.LOST_SIGNAL, signal=9).fields}),
        ({"function": CALL}, {}),
        ({"worker": "w1"}, {"worker_name": "w1"}),
        ({"late": 60}, {"due": ago(100), "started": ago(30)}),
        ({"took": 60}, {"started": ago(100), "ended": ago(30)}),
        ({"failure": "builtins.KeyError"}, {"exception_class": "builtins.KeyError"}),
        ({"failure": "lost_exit"}, reason(Code.LOST_EXIT, status=1).fields),
        ({"q": "special"}, {"reason": "Something special"}),
    ],
)
def test_each_filter_finds_its_runs(
    admin_client: Client, filters: dict[str, Any], values: dict[str, Any]
):
    wanted = make_run(make_row(function=CALL), **values)
    make_run(make_row(function=ECHO), due=ago(20), started=ago(19), ended=ago(18))
    assert found(admin_client, **filters) == [wanted.pk]


def test_runs_are_found_by_when_they_were_recorded(admin_client: Client):
    schedule = make_row()
    old, recent = make_run(schedule), make_run(schedule)
    now = timezone.now()
    ScheduledTaskInstance.objects.filter(pk=old.pk).update(created=now - timedelta(days=2))
    day_ago = f"{now - timedelta(days=1):%Y-%m-%dT%H:%M}"
    assert found(admin_client, since=day_ago) == [recent.pk]
    assert found(admin_client, until=day_ago) == [old.pk]


@pytest.mark.parametrize("filters", [{"late": "x"}, {"since": "yesterday"}, {"status": "odd"}])
def test_a_value_that_makes_no_sense_is_said_to_and_finds_nothing(
    admin_client: Client, filters: dict[str, str]
):
    make_run(make_row())
    response = admin_client.get(RUNS, filters)
    assert rows_of(response) == []
    assert "errorlist" in response.content.decode()


def test_a_long_result_is_left_to_the_page_of_its_run(admin_client: Client):
    make_run(make_row(), result=["short"])
    make_run(make_row(), result=["long" * 1000])
    text = text_of(admin_client.get(RUNS))
    assert "short" in text
    assert "longlong" not in text


def refreshed(client: Client, **query: Any) -> int:
    """Return how often a page of the list refreshes itself, in milliseconds."""
    response: Any = client.get(RUNS, query)
    interval: int = response.context_data["refresh_ms"]
    assert f'id="runs" data-live="{interval}"' in response.content.decode()
    return interval


def test_the_newest_page_refreshes_itself_and_older_ones_stay_as_they_are(admin_client: Client):
    runs = [make_run(make_row()) for _ in range(3)]
    assert f'id="run-{runs[0].pk}"' in admin_client.get(RUNS).content.decode()
    assert 0 < refreshed(admin_client) <= 5_000
    assert refreshed(admin_client, status="failed") == refreshed(admin_client)
    # Runs have to be looked through for this one.
    assert refreshed(admin_client, q="words") > refreshed(admin_client)
    assert refreshed(admin_client, before=runs[2].pk) == 0
    assert refreshed(admin_client, after=runs[0].pk) == 0
