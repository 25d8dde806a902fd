"""Lanes: where a bar stands, what it looks like, and what is said beside it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from tasks.admin_pages.lanes import heat_rows, midnights, ticks, timeline_labels, timeline_rows
from tasks.reports.heatmap import Cell, Heatmap, Row
from tasks.reports.timeline import Bar, Lane, Timeline

BEGIN = datetime(2026, 10, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def drawn(*bars: Bar, waiting: dict[int, datetime] | None = None) -> Any:
    lanes = (Lane(7, "Price feed", "running", bars),)
    [row] = timeline_rows(Timeline(BEGIN, BEGIN + HOUR, lanes, 1), waiting or {})
    return row


def bar(state: str, at: int = 30, **values: Any) -> Bar:
    start = BEGIN + at * MINUTE
    given = {"end": start + MINUTE, "number": 1, "late_since": None, "run_pk": 3} | values
    return Bar(state, start, **given)


@pytest.mark.parametrize(
    ("state", "look", "verdict"),
    [
        ("finished", "f-finished", ("on time", "")),
        ("failed", "f-failed", ("1 failed", "failed")),
        ("missed", "o-missed", ("1 missed", "late")),
        ("skipped", "f-skipped", ("1 skipped", "")),
        ("canceled", "f-canceled", ("1 cancelled", "")),
        ("running", "o-running", ("running now", "")),
    ],
)
def test_each_end_has_its_own_form_and_words(state: str, look: str, verdict: tuple[str, str]):
    row = drawn(bar(state))
    assert f'class="{look}" x="360.0"' in row.picture
    assert (row.verdict, row.state) == verdict


def test_what_started_late_has_a_line_from_its_due():
    row = drawn(bar("finished", late_since=BEGIN + 20 * MINUTE))
    assert 'class="f-late" x="240.0" y="21" width="120.0"' in row.picture
    assert (row.verdict, row.state) == ("1 late", "late")


def test_what_waits_has_a_line_from_its_due_to_now():
    row = drawn(waiting={7: BEGIN + 45 * MINUTE})
    assert 'class="f-late" x="540.0" y="21" width="180.0"' in row.picture
    assert row.verdict == "1 late"


def test_runs_that_lie_close_are_a_band():
    assert 'class="f-band"' in drawn(bar("finished", number=9)).picture


def test_a_bar_that_began_before_the_picture_stays_in_it():
    row = drawn(bar("failed", at=-30, end=BEGIN + MINUTE))
    assert 'class="f-failed" x="0.0" y="4" width="12.0"' in row.picture


def test_a_name_is_escaped_in_the_label_of_a_picture():
    lane = Lane(7, '"><script>', "running", ())
    [row] = timeline_rows(Timeline(BEGIN, BEGIN + HOUR, (lane,), 1), {})
    assert "<script>" not in row.picture


def test_the_labels_of_a_timeline_are_round_times_of_the_viewers_zone():
    begin = BEGIN + 7 * MINUTE
    with timezone.override(ZoneInfo("Asia/Kolkata")):
        labels = timeline_labels(Timeline(begin, begin + 6 * HOUR, (), 0))
    assert [label.text for label in labels][:2] == ["18:00", "19:00"]


def test_days_are_the_viewers_also_when_one_has_25_hours():
    with timezone.override(ZoneInfo("Europe/Berlin")):
        found = midnights(BEGIN, BEGIN + 48 * HOUR)
    assert [day.astimezone(UTC).hour for day in found] == [22, 23]


def test_ticks_are_within_their_range():
    assert ticks(BEGIN, BEGIN + HOUR, 30 * MINUTE) == [
        BEGIN,
        BEGIN + 30 * MINUTE,
        BEGIN + HOUR,
    ]


@pytest.mark.parametrize(
    ("values", "look"),
    [({"failed": 1}, "f-failed"), ({"missed": 1}, "o-missed"), ({"late": 1}, "f-late"), ({}, "")],
)
def test_the_height_of_an_hour_says_how_bad_it_was(values: dict[str, int], look: str):
    names = ("finished", "failed", "lost", "missed", "skipped", "canceled", "late")
    cell = Cell(**dict.fromkeys(names, 0) | values, longest_lateness=None)
    hours = tuple(BEGIN + number * HOUR for number in range(168))
    [row] = heat_rows(Heatmap(hours, (Row(7, "Price feed", {BEGIN: cell}),), 1))
    assert ("<rect" in row.picture) is bool(look)
    assert look in row.picture
    assert row.verdict == (f"1 {next(iter(values))}" if values else "on time")
