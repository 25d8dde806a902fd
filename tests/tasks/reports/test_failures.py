"""Groups of failures: the same exception at the same place."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import tasks
from tasks.models import ScheduledTask
from tasks.reports import failures
from tasks.reports.failures import Place, failure_groups, place_of, places_of
from tasks.reports.origins import Origin, origin_of
from tests.tasks.schedules import ago, make_row, make_run

DAY = timedelta(days=1)
LIBRARY = "/srv/venv/lib/python3.11/site-packages/requests/api.py"
FRAMEWORK = Path(tasks.__file__).parent / "runs/recorder.py"


def traceback(*frames: tuple[str, int], error: str = "ValueError: no") -> str:
    lines = [f'  File "{file}", line {line}, in go\n    go()' for file, line in frames]
    return "\n".join(["Traceback (most recent call last):", *lines, error, ""])


def test_the_place_is_the_innermost_one_of_the_sites_own_code():
    own = (("/srv/shop/a.py", 2), ("/srv/shop/b.py", 3))
    text = traceback((str(FRAMEWORK), 1), *own, (LIBRARY, 4))
    assert place_of(text) == Place("/srv/shop/b.py", 3, "go")


def test_where_all_is_the_code_of_others_the_place_is_the_innermost_of_all():
    assert place_of(traceback((str(FRAMEWORK), 1), (LIBRARY, 4))) == Place(LIBRARY, 4, "go")


def test_of_an_error_that_was_raised_while_another_was_handled_the_last_one_counts():
    chained = traceback(("/srv/shop/a.py", 1)) + "\nDuring handling …\n\n"
    assert place_of(chained + traceback(("/srv/shop/b.py", 2))).line == 2


def test_beside_the_sites_own_place_is_where_others_have_raised():
    text = traceback(("/srv/shop/a.py", 1), (LIBRARY, 4), (LIBRARY, 9))
    assert places_of(text) == (Place("/srv/shop/a.py", 1, "go"), Place(LIBRARY, 9, "go"))
    assert places_of(traceback(("/srv/shop/a.py", 1)))[1] is None


@pytest.mark.django_db
def test_the_own_place_is_found_far_above_where_a_library_has_raised():
    text = traceback(("/srv/shop/a.py", 1), *[(LIBRARY, 4)] * 150)
    assert len(text) > 8_000
    fail(make_row(), 1, exception_class="ValueError", traceback=text)
    [group] = failure_groups(ScheduledTask.objects.all()).groups
    assert (group.place, group.raised_at) == (
        Place("/srv/shop/a.py", 1, "go"),
        Place(LIBRARY, 4, "go"),
    )


def test_a_group_of_exceptions_has_a_place():
    text = """  + Exception Group Traceback (most recent call last):
  |   File "/srv/shop/a.py", line 3, in go
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/srv/shop/b.py", line 7, in look
    | ValueError: no
"""
    assert place_of(text) == Place("/srv/shop/b.py", 7, "look")


@pytest.mark.parametrize("text", ["", "no traceback", 'File "x"'])
def test_a_text_without_a_place_has_none(text: str):
    assert place_of(text) is None


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/srv/shop/tasks.py", True),
        (str(Path(tasks.__file__).parent) + "_of_the_site/jobs.py", True),
        (str(FRAMEWORK), False),
        (LIBRARY, False),
        (json.__file__, False),
        ("/usr/lib/python3.11/json/decoder.py", False),  # Of another machine's Python.
        ("/srv/lib/python3-app/jobs.py", True),
        ("<frozen runpy>", False),
    ],
)
def test_whose_code_a_file_is(file: str, expected: bool):
    assert (origin_of(file) is Origin.OWN) is expected


def fail(schedule: ScheduledTask, days: float, line: int = 1, **values: Any) -> Any:
    """Store a run that failed some days ago at a line."""
    at = ago(days * 86_400)
    defaults = {"exception_class": "ValueError", "traceback": traceback(("/srv/shop/a.py", line))}
    return make_run(
        schedule, due=at, started=at, ended=at, status="failed", **{**defaults, **values}
    )


@pytest.mark.django_db
def test_failures_are_grouped_by_exception_and_place_with_their_trend(
    django_assert_num_queries: Any,
):
    one, two = make_row(), make_row()
    fail(one, 1, line=1)
    newest = fail(two, 0.5, line=1)
    fail(two, 9, line=1)
    fail(one, 2, line=7)
    fail(one, 3, exception_class="", traceback="", reason_code="lost_exit")
    fail(one, 10, line=99)
    make_run(one, status="finished")
    with django_assert_num_queries(3):
        found = failure_groups(ScheduledTask.objects.all())
    first, *others = found.groups
    assert (first.exception, str(first.place)) == ("ValueError", "/srv/shop/a.py:1")
    assert (first.number, first.before, first.change) == (2, 1, 1)
    assert (first.last_run.pk, first.last) == (newest.pk, newest.ended)
    assert first.schedules == {one.pk: one.name, two.pk: two.name}
    assert [(group.exception, group.place and group.place.line) for group in others] == [
        ("ValueError", 7),
        ("lost_exit", None),
    ]
    assert not found.is_partial


@pytest.mark.django_db
def test_only_failures_that_the_reader_may_see_and_of_the_period_are_grouped():
    mine, other = make_row(), make_row()
    fail(mine, 0.5)
    fail(mine, 3)
    fail(other, 0.5)
    [group] = failure_groups(ScheduledTask.objects.filter(pk=mine.pk), DAY).groups
    assert (group.number, group.before) == (1, 0)


@pytest.mark.django_db
def test_of_very_many_failures_the_newest_are_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(failures, "READ_AT_MOST", 3)
    schedule = make_row()
    for number in range(5):
        fail(schedule, number / 10)
    found = failure_groups(ScheduledTask.objects.all())
    assert (found.groups[0].number, found.is_partial) == (3, True)
