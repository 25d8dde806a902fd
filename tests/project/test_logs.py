import logging
import sys
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.utils.module_loading import import_string

from project.logs import WithoutActivityFeed
from tasks.masking import MaskingFormatter

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


@pytest.mark.parametrize(("level", "has_traceback"), [("WARNING", False), ("ERROR", True)])
def test_what_a_request_is_refused_for_is_one_line_and_a_failure_has_its_traceback(
    level: str, has_traceback: bool
):
    logging_of_site: Any = settings.LOGGING
    names = logging_of_site["handlers"]["console"]["filters"]
    filters = [import_string(logging_of_site["filters"][name]["()"])() for name in names]
    try:
        raise PermissionDenied
    except PermissionDenied:
        error = sys.exc_info()
    record = logging.LogRecord(
        "django.request", logging.getLevelName(level), "", 0, "Forbidden: %s", ("/x",), error
    )
    assert all(one.filter(record) for one in filters)
    text = MaskingFormatter("%(message)s").format(record)
    assert ("Traceback" in text) is has_traceback
    assert text.startswith("Forbidden: /x")
