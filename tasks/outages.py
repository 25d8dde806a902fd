"""Outages of the database and of Redis: each is said once when it begins, and once when it ends."""

import logging
import os
import threading
import time

logger = logging.getLogger(__name__)

# An outage is over when attempts succeed and none has failed for this long, in seconds: some may
# succeed all the time, such as reads while a disk is full.
CALM_SECONDS = 5.0


class Outage:
    """Whether something is unavailable now, as this process has found.

    Whatever fails because of it reports it, and whatever works reports that: there is one line in
    the log when it begins and one when it is over, however many attempts fail in between.
    """

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._renew_lock()
        # Another thread may hold it when one forks.
        os.register_at_fork(after_in_child=self._renew_lock)
        self._began: float | None = None
        self._failed = 0.0
        self._has_worked = False

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def report(self, error: BaseException | str) -> None:
        """Report an attempt that has failed; only the first one of an outage is logged."""
        text = " ".join(str(error).split())
        with self._lock:
            now = time.monotonic()
            is_new = self._began is None or self._is_over(now)
            if is_new:
                self._began = now
            self._failed, self._has_worked = now, False
        if is_new:
            logger.warning("%s is unavailable: %s", self._subject, text)
        else:
            logger.debug("%s is still unavailable: %s", self._subject, text)

    def worked(self) -> None:
        """Report an attempt that has succeeded: an outage, if there was one, may be over."""
        if self._began is None:
            return
        with self._lock:
            began, self._has_worked = self._began, True
            if began is None or not self._is_over(time.monotonic()):
                return
            self._began = None
        seconds = time.monotonic() - began
        logger.warning("%s is available again, after %.0f s.", self._subject, seconds)

    def _is_over(self, now: float) -> bool:
        return self._has_worked and now - self._failed > CALM_SECONDS


database_outage = Outage("The database")
redis_outage = Outage("Redis")
