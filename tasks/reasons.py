"""Why a run ended as it did, or never ran: stored as a code with its values, worded when shown.

The reader's language isn't known when a run ends, so a row holds what happened and not the
sentence. What a task function raised is not one of these: `Failed for: …` is stored verbatim.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext, gettext_noop, pgettext

from tasks.masking import mask_text
from tasks.storable import clean_text, instant_text

CODE_LENGTH = 40
# How many characters of a text that other code wrote are kept.
VALUE_LENGTH = 500


class Code(StrEnum):
    """The possible reasons; the values are stored, so they never change."""

    ADOPTED = "adopted"
    CALL_CANCELLED = "call_cancelled"
    CALL_CANCELLED_BY = "call_cancelled_by"
    CALL_CANCELLED_IN_RQ = "call_cancelled_in_rq"
    CALL_STOPPED_IN_RQ = "call_stopped_in_rq"
    CALL_UNACCOUNTED = "call_unaccounted"
    CHECK_NOT_AT_ALL = "check_not_at_all"
    CHECK_NOT_NOW = "check_not_now"
    LEFT_TRANSACTION_OPEN = "left_transaction_open"
    LOST_BLOCKED = "lost_blocked"
    LOST_CONTACT = "lost_contact"
    LOST_CUT_OFF = "lost_cut_off"
    LOST_EXIT = "lost_exit"
    LOST_SIGNAL = "lost_signal"
    LOST_WORKER_STOPPED = "lost_worker_stopped"
    NEVER_STARTED = "never_started"
    NOT_ENQUEUED = "not_enqueued"
    NOT_IN_TIME = "not_in_time"
    PAST_START_DEADLINE = "past_start_deadline"
    PREVIOUS_RUN = "previous_run"
    PREVIOUS_MANUAL_RUN = "previous_manual_run"
    REFUSED_BY_ALL = "refused_by_all"
    REFUSED_TOO_LONG = "refused_too_long"
    REPLACED = "replaced"
    RESULT_NOT_JSON = "result_not_json"
    RESULT_TOO_LARGE = "result_too_large"
    SCHEDULE_CHANGED = "schedule_changed"
    SCHEDULE_ENDED = "schedule_ended"
    SCHEDULE_STOPPED = "schedule_stopped"
    STOPPED = "stopped"
    STOPPED_BY = "stopped_by"


TEXTS: Mapping[Code, str] = {
    Code.ADOPTED: gettext_noop(
        "It was called off when this database took over the keys in Redis (adopt_redis --missed). "
        "Whether it ran for another database is not known."
    ),
    Code.CALL_CANCELLED: gettext_noop("Cancelled on request."),
    Code.CALL_CANCELLED_BY: gettext_noop("Cancelled by %(by)s."),
    Code.CALL_CANCELLED_IN_RQ: gettext_noop("Its job was cancelled in RQ."),
    Code.CALL_STOPPED_IN_RQ: gettext_noop("Its job was stopped in RQ."),
    Code.CALL_UNACCOUNTED: gettext_noop(
        "Redis says that its job has finished, but its row doesn't say so: the database was "
        "restored, or a worker of another database ran it. Whether it ran is not known."
    ),
    Code.CHECK_NOT_AT_ALL: gettext_noop("Its check ended the schedule: %(text)s"),
    Code.CHECK_NOT_NOW: gettext_noop("Its check said not now: %(text)s"),
    Code.LEFT_TRANSACTION_OPEN: gettext_noop("It left a transaction open, which was rolled back."),
    Code.LOST_BLOCKED: gettext_noop(
        "Lost: its process was killed because “%(function)s”, which shared it, blocked it."
    ),
    Code.LOST_CONTACT: gettext_noop("Lost: the worker “%(worker)s” died or lost contact."),
    Code.LOST_CUT_OFF: gettext_noop(
        "Lost: the worker “%(worker)s” reached neither Redis nor the database, and ended it."
    ),
    Code.LOST_EXIT: gettext_noop("Lost: its process exited with status %(status)s."),
    Code.LOST_SIGNAL: gettext_noop("Lost: its process was killed by signal %(signal)s."),
    Code.LOST_WORKER_STOPPED: gettext_noop("Lost: its worker was stopped."),
    Code.NEVER_STARTED: gettext_noop(
        "Its process died twice before it could start, perhaps in the check of its function."
    ),
    Code.NOT_ENQUEUED: gettext_noop("It could not be enqueued: %(error)s"),
    Code.NOT_IN_TIME: gettext_noop(
        "No scheduler dispatched it in time: none ran, or Redis was away (catch-up: %(catch_up)s)."
    ),
    Code.PAST_START_DEADLINE: gettext_noop(
        "It could not start within its start deadline of %(seconds)s s."
    ),
    Code.PREVIOUS_RUN: gettext_noop("The run due %(due)s was still going."),
    Code.PREVIOUS_MANUAL_RUN: gettext_noop("A manual run was still going."),
    Code.REFUSED_BY_ALL: gettext_noop(
        "The code of all workers of its queue refused its function or its arguments; "
        "number of workers: %(workers)s."
    ),
    Code.REFUSED_TOO_LONG: gettext_noop(
        "No worker knew its function and arguments within %(seconds)s s; number of workers that "
        "refused it: %(workers)s."
    ),
    Code.REPLACED: gettext_noop("Replaced by the next run."),
    Code.RESULT_NOT_JSON: gettext_noop("The result is not JSON and was not kept: %(type)s."),
    Code.RESULT_TOO_LARGE: gettext_noop(
        "The result has %(size)s bytes, and its beginning was kept: at most %(limit)s are "
        "(TASKS_MAX_RESULT)."
    ),
    Code.SCHEDULE_CHANGED: gettext_noop("The schedule was changed before it could run."),
    Code.SCHEDULE_ENDED: gettext_noop("The schedule had ended before it could run."),
    Code.SCHEDULE_STOPPED: gettext_noop(
        "The schedule was paused or cancelled before it could run."
    ),
    Code.STOPPED: gettext_noop("Stopped on request."),
    Code.STOPPED_BY: gettext_noop("Stopped by %(by)s."),
}


# What the row of a running run says when its worker is to end it; it then ends as canceled.
TO_BE_ENDED = frozenset({Code.REPLACED, Code.STOPPED, Code.STOPPED_BY})
# Why a failed run counts as lost: its worker, or its process, died or was cut off.
LOST = frozenset(
    {
        Code.LOST_BLOCKED,
        Code.LOST_CONTACT,
        Code.LOST_CUT_OFF,
        Code.LOST_EXIT,
        Code.LOST_SIGNAL,
        Code.LOST_WORKER_STOPPED,
    }
)
# What a failed run says when its next attempt was refused.
REFUSALS = frozenset(
    {Code.ADOPTED, Code.CHECK_NOT_AT_ALL, Code.CHECK_NOT_NOW, Code.NEVER_STARTED, Code.REPLACED}
)


@dataclass(frozen=True, slots=True)
class Reason:
    """A code with its values, which are JSON: numbers and texts, and datetimes as ISO texts."""

    code: Code
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a run's row that hold it."""
        return {"reason_code": self.code.value, "reason_values": dict(self.values) or None}

    def __str__(self) -> str:
        return in_words(self.code, self.values)


# Catch-up policies, as a sentence names them.
CATCH_UP: Mapping[str, Callable[[], str]] = {
    "latest": lambda: pgettext("catch-up policy", "latest"),
    "all": lambda: pgettext("catch-up policy", "all"),
    "none": lambda: pgettext("catch-up policy", "none"),
}
NO_REASON: Mapping[str, Any] = {"reason_code": None, "reason_values": None}


def reason(code: Code, **values: Any) -> Reason:
    """Return a reason; texts among its values are masked, shortened, and cleaned to be stored."""
    return Reason(code, {name: _storable(value) for name, value in values.items()})


def in_words(code: str, values: Mapping[str, Any] | None) -> str:
    """Word a stored reason in the active language.

    A code of a newer version, or one whose values are incomplete, is shown as it is stored.
    """
    try:
        shown = {name: _shown(name, value) for name, value in (values or {}).items()}
        return gettext(TEXTS[Code(code)]) % shown
    except (KeyError, ValueError, TypeError):
        return f"{code} {dict(values or {})}"


def codes_with(words: str) -> list[str]:
    """Return the codes whose text, in the active language, contains these words."""
    wanted = words.strip().lower()
    return [
        code.value for code, text in TEXTS.items() if wanted and wanted in gettext(text).lower()
    ]


def _storable(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return clean_text(mask_text(value))[:VALUE_LENGTH] if isinstance(value, str) else value


def _shown(name: str, value: Any) -> Any:
    if name == "due":
        return instant_text(datetime.fromisoformat(value))
    return CATCH_UP[value]() if name == "catch_up" and value in CATCH_UP else value
