"""What the site's log leaves out."""

import logging

ACTIVITY_NAME = "Activity feed"
ACTIVITY_PATH = "/feeds/activity/"


class WithoutTracebackOfRefusals(logging.Filter):
    """Takes the traceback off what a request was refused for: that is nobody's mistake in code."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True: the line itself is logged."""
        if record.name == "django.request" and record.levelno < logging.ERROR:
            record.exc_info = record.exc_text = None
        return True


class WithoutActivityFeed(logging.Filter):
    """Leaves out that the activity feed was polled, every few seconds, unless DEBUG is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged."""
        if record.levelno != logging.INFO or logging.root.isEnabledFor(logging.DEBUG):
            return True
        values = record.args if isinstance(record.args, tuple) else ()
        return not any(
            value == ACTIVITY_NAME or str(value).endswith(ACTIVITY_PATH) for value in values
        )
