"""How values are shown: short, exact where it matters, and never as markup."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings

from tasks.admin_pages.formatting import (
    NONE,
    OUTCOME_LENGTH,
    box,
    call,
    one_line,
    pretty_json,
    progress_bar,
    short_duration,
    timestamp,
)
from tasks.admin_pages.states import badge
from tasks.models import ScheduledTask

TIME = datetime(2026, 3, 1, 23, 30, 5, 123_456, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (0.9996, "1.0 s"),
        (3.44, "3.4 s"),
        (59.96, "1 min"),
        (306, "5 min 6 s"),
        (3_599.9, "1 h"),
        (7_380, "2 h 3 min"),
        (4 * 86_400 + 5 * 3_600, "4 d 5 h"),
        (-0.5, "-500 ms"),
    ],
)
def test_a_duration_is_shown_in_the_unit_that_fits(seconds, text):
    assert short_duration(timedelta(seconds=seconds)) == text


def test_a_time_is_shown_in_the_sites_time_zone_with_the_exact_one_as_its_title(
    settings: LazySettings,
):
    settings.TIME_ZONE = "Asia/Seoul"
    shown = timestamp(TIME)
    assert "<span>2026-03-02</span> <span>08:30:05</span>" in shown
    assert 'title="2026-03-02 08:30:05.123456 KST"' in shown
    assert 'datetime="2026-03-02T08:30:05.123456+09:00"' in shown


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"period_start": TIME - SECOND}, "ended: cancelled"),
        ({"period_start": TIME + SECOND}, "ended: nothing left to be due"),
        ({"period_start": TIME + SECOND, "interval": 3600}, "ended: cancelled"),
        (
            {"period_start": TIME + SECOND, "interval": 3600, "end": TIME},
            "ended: nothing left to be due",
        ),
        ({"period_start": TIME - SECOND, "timezone": "Mars", "exclude": "2026-01-01"}, "ended"),
        ({"status": "running"}, "active"),
    ],
)
def test_the_status_of_an_ended_schedule_is_shown_with_the_reason(
    values: dict[str, Any], text: str
):
    schedule = ScheduledTask(**{"status": "death", "first": TIME} | values)
    assert schedule.status_in_words() == text


def test_a_missing_value_is_shown_as_a_dash():
    shown = [timestamp(None), short_duration(None), box("")]
    assert {*shown, pretty_json(None)} == {NONE}


def test_a_call_is_shown_as_python_writes_it():
    shown = call("feeds.fetch", [3, "é"], {"deep": True})
    assert shown == "<code>feeds.fetch(3, &quot;é&quot;, deep=true)</code>"


def test_a_short_result_is_shown_in_a_line_and_a_longer_one_in_a_box():
    assert pretty_json({"new": 1}) == "<code>{&quot;new&quot;: 1}</code>"
    assert len(pretty_json("x" * 10**6)) < 300_000
    assert pretty_json(list(range(100))).startswith('<pre class="text">[\n  0,')


def test_a_long_text_is_shortened_to_one_line_of_a_list():
    line = one_line("first\nsecond " + "x" * 500)
    assert line.startswith("first second xxx")
    assert len(line) == OUTCOME_LENGTH


@pytest.mark.parametrize(
    "show",
    [
        box,
        pretty_json,
        lambda text: call("f", [text], {}),
        lambda text: progress_bar(5, text),
        lambda text: badge("failed", text),
    ],
)
def test_markup_in_a_value_is_shown_as_text(show):
    assert "<script>" not in show("<script>alert(1)</script>")
