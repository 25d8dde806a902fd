"""How a task function ended, as its run's row can hold it."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from tasks.models import NAME_LENGTH
from tasks.reasons import Code, Reason, reason
from tasks.storable import MAX_RESULT, storable_result


@dataclass(frozen=True, slots=True)
class Ended:
    """How a function ended: with a result, which is JSON, or with what it raised.

    `note` is what else there is to say about it. `is_stopped`: it was ended on request.
    """

    result: Any = None
    note: Reason | None = None
    error: BaseException | None = None
    is_stopped: bool = False


def max_result() -> int:
    """Return how many bytes of JSON a row keeps of a result."""
    return int(getattr(settings, "TASKS_MAX_RESULT", MAX_RESULT))


def ended_with(result: Any, error: BaseException | None, *, left_open: bool, limit: float) -> Ended:
    """Return how a function ended that returned or raised this, and may have left a transaction.

    A result of more than `limit` bytes of JSON is described instead.
    """
    note = reason(Code.LEFT_TRANSACTION_OPEN) if left_open else None
    if error is not None:
        return Ended(note=note, error=error)
    storable = storable_result(result, limit)
    if storable.not_json is not None:
        note = reason(Code.RESULT_NOT_JSON, type=storable.not_json[:NAME_LENGTH])
    elif storable.too_large is not None:
        note = reason(Code.RESULT_TOO_LARGE, size=storable.too_large, limit=limit)
    return Ended(storable.value, note)
