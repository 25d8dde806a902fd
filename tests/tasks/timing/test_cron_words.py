"""Cron expressions in words: right in English and in Korean, or shown as they are."""

import pytest
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st

from tasks.timing.cron import parse_cron
from tasks.timing.cron_words import TEXTS, cron_in_words

WORDS = [
    ("* * * * *", "Every minute", "매분"),
    ("*/15 * * * *", "Every 15 minutes", "15분마다"),
    ("0 * * * *", "Every hour", "매시간"),
    ("5 * * * *", "At 5 minutes past the hour", "매시 5분"),
    ("15,45 * * * *", "At 15 and 45 minutes past the hour", "매시 15, 45분"),
    ("30 */2 * * *", "At 30 minutes past the hour, every 2 hours", "매시 30분, 2시간마다"),
    ("30 6 * * *", "At 06:30, every day", "06:30, 매일"),
    ("06 06 * * *", "At 06:06, every day", "06:06, 매일"),
    ("@daily", "At 00:00, every day", "00:00, 매일"),
    ("0 9,17 * * *", "At 09:00 and 17:00, every day", "09:00, 17:00, 매일"),
    ("0,30 9 * * *", "At 0 and 30 minutes past the hour, between 09:00 and 09:59",
     "매시 0, 30분, 09:00~09:59"),
    ("*/10 8-18 * * 1-5", "Every 10 minutes, between 08:00 and 18:59, Monday through Friday",
     "10분마다, 08:00~18:59, 월요일~금요일"),
    ("30 6 * * MON-FRI", "At 06:30, Monday through Friday", "06:30, 월요일~금요일"),
    ("0 9 * * mon,wed,fri", "At 09:00, only on Monday, Wednesday, and Friday",
     "09:00, 월요일, 수요일, 금요일"),
    ("0 22 * * 7", "At 22:00, only on Sunday", "22:00, 일요일"),
    ("0 9 * * MON#2", "At 09:00, on the second Monday of the month", "09:00, 매월 둘째 월요일"),
    ("0 9 * * 5L", "At 09:00, on the last Friday of the month", "09:00, 매월 마지막 금요일"),
    ("0 0 1 * *", "At 00:00, on day 1 of the month", "00:00, 매월 1일"),
    ("0 0 1-7 * *", "At 00:00, between day 1 and 7 of the month", "00:00, 매월 1~7일"),
    ("0 0 L * *", "At 00:00, on the last day of the month", "00:00, 매월 마지막 날"),
    ("0 0 LW * *", "At 00:00, on the last weekday of the month", "00:00, 매월 마지막 평일"),
    ("0 0 13 * 5", "At 00:00, on day 13 of the month, or on Friday",
     "00:00, 매월 13일, 또는 금요일"),
    ("0 0 1 1 *", "At 00:00, on day 1 of the month, only in January", "00:00, 매월 1일, 1월에만"),
    ("0 0 1 JAN-MAR *", "At 00:00, on day 1 of the month, January through March",
     "00:00, 매월 1일, 1월~3월"),
    ("0 0 1 */3 *", "At 00:00, on day 1 of the month, every 3 months",
     "00:00, 매월 1일, 3개월마다"),
    ("*/30 * * * * *", "Every 30 seconds", "30초마다"),
    ("30 15 6 * * *", "At 06:15:30, every day", "06:15:30, 매일"),
]  # fmt: skip


@pytest.mark.parametrize(("cron", "english", "korean"), WORDS)
def test_an_expression_is_said_in_the_readers_language(cron: str, english: str, korean: str):
    with override("en"):
        assert cron_in_words(cron) == english
    with override("ko"):
        assert cron_in_words(cron) == korean
    with override("de"):
        assert cron_in_words(cron) == english


@pytest.mark.parametrize(
    "cron",
    [
        "*/7 * * * *",  # not every 7 minutes: it begins anew each hour
        "0 0 */2 * *",  # not every 2 days: it begins anew each month
        "5/15 * * * *",
        "1-59/2 * * * *",
        "*/10 9,17 * * *",  # it would say “at 09:00 and 17:00”
        "0,30 9,17 * * *",
        "0 0 * * 1/2",
        "0 0 * * MON-WED,FRI",
        "0 0 1,15-20 * *",
    ],
)
def test_an_expression_that_words_could_get_wrong_is_shown_as_it_is(cron: str):
    parse_cron(cron, both_days=False)
    assert cron_in_words(cron) == cron


def test_an_expression_whose_days_must_both_match_is_shown_as_it_is():
    assert cron_in_words("0 0 13 * 5", both_days=True) == "0 0 13 * 5"


@pytest.mark.parametrize("text", TEXTS)
def test_every_text_of_the_library_that_is_used_is_translated(text: str):
    with override("ko"):
        assert str(TEXTS[text]) != text


NUMBER = st.integers(0, 23).map(str)
FIELD = st.one_of(
    st.just("*"), NUMBER, st.sampled_from(["*/2", "*/5", "*/7", "1-5", "MON", "JAN", "L", "0,12"]),
    st.lists(NUMBER, min_size=1, max_size=3).map(",".join),
)  # fmt: skip


@given(st.lists(FIELD, min_size=5, max_size=6).map(" ".join), st.sampled_from(["en", "ko"]))
def test_any_expression_has_words_or_stays_as_it_is(cron: str, language: str):
    with override(language):
        words = cron_in_words(cron)
    assert words.strip() == words != ""
    assert "{" not in words
    if language == "ko" and words != cron:
        assert not set("abcdefghijklmnopqrstuvwxyz") & set(words.lower())


@pytest.mark.parametrize("expression", ["*/15 */2 * * *", "* */6 * * *", "0 0 * * 0-7"])
def test_what_words_would_only_nearly_say_is_shown_as_it_is(expression: str):
    assert cron_in_words(expression) == expression
