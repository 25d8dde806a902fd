import logging

import pytest

from project.logs import WithoutActivityFeed

POLLED = ("%s: %d new", ("http://127.0.0.1:8000/feeds/activity/", 1))


def is_logged(level: int, message: str, args: tuple[object, ...]) -> bool:
    record = logging.LogRecord("feeds.tasks", level, "", 0, message, args, None)
    return WithoutActivityFeed().filter(record)


@pytest.mark.parametrize(
    ("expected", "level", "message", "args"),
    [
        (False, logging.INFO, *POLLED),
        (False, logging.INFO, "“%s” finished after %.1f s.", ("Activity feed", 0.1)),
        (True, logging.WARNING, *POLLED),
        (True, logging.INFO, "%s: %d new", ("https://news.example/feed", 1)),
        (True, logging.INFO, "Worker started.", ()),
    ],
)
def test_that_the_activity_feed_was_polled_is_left_out(
    expected: bool, level: int, message: str, args: tuple[object, ...]
):
    assert is_logged(level, message, args) is expected


def test_a_log_of_everything_has_the_activity_feed_too(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    assert is_logged(logging.INFO, *POLLED)
