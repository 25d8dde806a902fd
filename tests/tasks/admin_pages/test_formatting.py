"""How values are shown: short, exact where it matters, and never as markup."""

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings

from tasks.admin_pages.formatting import (
    NONE,
    OUTCOME_LENGTH,
    badge,
    box,
    call,
    moment,
    one_line,
    pretty_json,
    progress_bar,
    short_time,
)

MOMENT = datetime(2026, 3, 1, 23, 30, 5, 123_456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (0.9996, "1.0 s"),
        (3.44, "3.4 s"),
        (59.96, "1 min 0 s"),
        (306, "5 min 6 s"),
        (3_599.9, "1 h 0 min"),
        (7_380, "2 h 3 min"),
        (4 * 86_400 + 5 * 3_600, "4 d 5 h"),
        (-0.5, "-500 ms"),
    ],
)
def test_a_time_span_is_shown_in_the_unit_that_fits(seconds, text):
    assert short_time(timedelta(seconds=seconds)) == text


def test_a_moment_is_shown_in_the_sites_zone_and_exactly_on_demand(settings: LazySettings):
    settings.TIME_ZONE = "Asia/Seoul"
    shown = moment(MOMENT)
    assert "<span>2026-03-02</span> <span>08:30:05</span>" in shown
    assert 'title="2026-03-02 08:30:05.123456 KST"' in shown
    assert 'datetime="2026-03-02T08:30:05.123456+09:00"' in shown


def test_what_is_not_there_is_a_dash():
    shown = [moment(None), short_time(None), box("")]
    assert {*shown, pretty_json(None)} == {NONE}


def test_a_call_is_shown_as_it_would_be_written():
    shown = call("feeds.fetch", [3, "é"], {"deep": True})
    assert shown == "<code>feeds.fetch(3, &quot;é&quot;, deep=true)</code>"


def test_a_short_result_is_a_line_and_a_longer_one_a_box():
    assert pretty_json({"new": 1}) == "<code>{&quot;new&quot;: 1}</code>"
    assert pretty_json(list(range(100))).startswith('<pre class="text">[\n  0,')


def test_a_long_text_is_cut_to_one_line_of_a_list():
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
def test_markup_is_shown_as_text(show):
    assert "<script>" not in show("<script>alert(1)</script>")
