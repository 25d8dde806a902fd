"""Cron expressions as choices: what is chosen is written, and read back."""

import pytest

from tasks.exceptions import SpecError
from tasks.timing.cron import parse_cron
from tasks.timing.cron_choice import CronChoice, On, read_cron, read_times, write_cron

HALF_PAST_SEVEN = ((7, 30),)
CHOICES = [
    ("30 7 * * *", CronChoice(On.EVERY_DAY, HALF_PAST_SEVEN)),
    ("30 7 * * 1-5", CronChoice(On.WEEKDAYS, HALF_PAST_SEVEN, frozenset({1, 2, 3, 4, 5}))),
    ("30 7 * * 0,6", CronChoice(On.DAYS, HALF_PAST_SEVEN, frozenset({0, 6}))),
    ("30 7 1 * *", CronChoice(On.FIRST, HALF_PAST_SEVEN)),
    ("30 7 L * *", CronChoice(On.LAST, HALF_PAST_SEVEN)),
    ("5,35 * * * *", CronChoice(On.EVERY_HOUR, ((0, 5), (0, 35)))),
    ("0 7,19 * * *", CronChoice(On.EVERY_DAY, ((7, 0), (19, 0)))),
]


@pytest.mark.parametrize(("expression", "choice"), CHOICES)
def test_a_choice_is_written_as_an_expression_and_read_back(expression, choice):
    assert write_cron(choice) == expression
    assert read_cron(expression) == choice
    parse_cron(expression, False)


@pytest.mark.parametrize(
    ("expression", "on"), [("30 7 * * MON-FRI", On.WEEKDAYS), ("0 0 * * SUN,7", On.DAYS)]
)
def test_days_are_read_by_their_names_too(expression, on):
    choice = read_cron(expression)
    assert choice is not None
    assert choice.on == on


@pytest.mark.parametrize(
    "expression",
    ["*/5 * * * *", "30 7 * 1 *", "30 7 1 * 1", "0 30 7 * * *", "@daily", "", "99 7 * * *",
     "30 * 1 * *", "30 7 * * MON#2", "30 7 * * 5-1", "x y * * z"],
)  # fmt: skip
def test_what_says_more_than_can_be_chosen_is_no_choice(expression):
    assert read_cron(expression) is None


def test_times_that_one_expression_cannot_say_are_refused_with_what_to_do():
    with pytest.raises(SpecError, match="give them the same minutes"):
        write_cron(CronChoice(On.EVERY_DAY, read_times("07:30, 19:00")))


@pytest.mark.parametrize("text", ["", "25:00", "7", "07:30 soon", "07:60"])
def test_a_time_that_is_none_is_refused(text):
    with pytest.raises(SpecError, match="such as 07:30"):
        read_times(text)
