"""Reports recorded failures: to the log, and to Sentry if the site uses it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.urls import NoReverseMatch, reverse

from tasks.masking import mask_json, mask_text
from tasks.models import RunRecord, ScheduledTaskInstance

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 2.0


def report_failure(record: RunRecord, error: BaseException | None, text: str) -> None:
    """Log a failure that is on its row as an error, with the traceback if there is one.

    Sentry gets it once, tagged with the name and with the address of the row's page in the admin.
    """
    sentry = _sentry()
    if sentry is None:
        _log(record, error, text)
        return
    with _described(sentry, record):
        if error is not None:
            sentry.capture_exception(error)
        _log(record, error, text)  # Sentry's integration of logging drops what it has already.


@contextmanager
def own_scope() -> Iterator[None]:
    """Keep what Sentry notes of a run inside the block out of the reports of all other runs.

    These may be earlier or later ones of this process, or go on beside it.
    """
    sentry = _sentry()
    if sentry is None:
        yield
        return
    with sentry.isolation_scope() as scope:
        scope.clear_breadcrumbs()
        yield


def flush() -> None:
    """Send what Sentry still has to send, before this process ends."""
    if (sentry := _sentry()) is not None:
        sentry.flush(timeout=FLUSH_SECONDS)


def _log(record: RunRecord, error: BaseException | None, text: str) -> None:
    logger.error("“%s” failed: %s", record.name, text, exc_info=error)


def _sentry() -> Any:
    """Return Sentry's SDK if the site has initialised it."""
    sentry = sys.modules.get("sentry_sdk")
    return sentry if sentry is not None and sentry.is_initialized() else None


@contextmanager
def _described(sentry: Any, record: RunRecord) -> Iterator[None]:
    kind = "schedule" if isinstance(record, ScheduledTaskInstance) else "call"
    with sentry.new_scope() as scope:
        scope.set_tag(kind, record.name)
        scope.set_context("run", {"address": _address(record), "attempt": record.attempt})
        scope.add_event_processor(_mask)
        yield


def _mask(event: Any, hint: Any) -> Any:
    """Mask the secrets in exceptions, in their variables and in what was logged before (R13)."""
    for exception in event.get("exception", {}).get("values", ()):
        exception["value"] = mask_text(exception.get("value") or "")
        for frame in (exception.get("stacktrace") or {}).get("frames", ()):
            if "vars" in frame:
                frame["vars"] = mask_json(frame["vars"])
    crumbs = event.get("breadcrumbs")
    if isinstance(crumbs, dict):
        crumbs["values"] = mask_json(list(crumbs.get("values", ())))
    return event


def _address(record: RunRecord) -> str:
    """Return the path of the row's page in the admin, "" if the site has no admin."""
    try:
        return reverse(
            f"admin:{record._meta.app_label}_{record._meta.model_name}_change", args=[record.pk]
        )
    except NoReverseMatch:
        return ""
