"""What the site's log leaves out."""

import logging

ACTIVITY_NAME = "Activity feed"
ACTIVITY_PATH = "/feeds/activity/"


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
