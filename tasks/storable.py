"""What a row can hold: text and JSON without what databases refuse, within bounds."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from tasks.exceptions import InvalidArguments
from tasks.masking import mask_text

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
# What no database stores in a text.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
REASON_LENGTH = 500
# With this the stored reason of a run begins whose function raised; what follows is verbatim.
FAILED_FOR = "Failed for: "
# How many bytes of JSON a result may have, unless TASKS_MAX_RESULT says otherwise; and at least.
MAX_RESULT = 64 * 1024
LEAST_MAX_RESULT = 1024
# How deep JSON may be nested: what one process can read, every process must be able to read.
MAX_DEPTH = 50
# A NUL in JSON text, but not an escaped backslash before "u0000".
NUL_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def escape(text: str) -> str:
    """Make control characters and lone surrogates visible; keep newlines and tabs."""
    return CONTROL.sub(lambda match: ascii(match.group())[1:-1], text)


def failure_reason(error: BaseException) -> str:
    """Say in one line why a run failed, without secrets."""
    text = f"{FAILED_FOR}{type(error).__name__}: {message_of(error)}".rstrip(": ")
    return clean_text(mask_text(" ".join(text.split())))[:REASON_LENGTH]


def message_of(error: BaseException) -> str:
    """Return the message of an error, whatever its class does."""
    try:
        return str(error)
    except Exception:
        return "(its message can't be read)"


def type_name(value: Any) -> str:
    """Return the full name of a value's type, as a row can hold it."""
    return clean_text(f"{type(value).__module__}.{type(value).__qualname__}")


def clean_text(text: str) -> str:
    """Replace what no database stores: NUL and lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class StorableResult:
    """A result as a row holds it.

    `not_json` says what it was if it isn't JSON, and the value is then None. `too_large` is the
    size in bytes of one that exceeds the limit, and the value then describes it.
    """

    value: Any
    not_json: str | None = None
    too_large: int | None = None


def storable_result(result: Any, limit: float) -> StorableResult:
    """Return a result as JSON of at most `limit` bytes.

    Of one that is larger, a description is kept: `truncated`, its `size`, its `type` and the
    `beginning` of its JSON text.
    """
    if result is None:
        return StorableResult(None)
    value, not_json = as_json(result)
    text = json.dumps(value, ensure_ascii=False).encode()
    if len(text) <= limit:
        return StorableResult(value, not_json)
    description = {
        "truncated": True,
        "size": len(text),
        "type": type_name(result)[:REASON_LENGTH],
        "beginning": "",
    }
    # In the description, the text's quotes and backslashes are escaped.
    room = int(limit) - len(json.dumps(description, ensure_ascii=False).encode())
    beginning = text[: max(room, 0)].decode(errors="ignore")
    while beginning and len(json.dumps(beginning, ensure_ascii=False).encode()) - 2 > room:
        beginning = beginning[: len(beginning) // 2]
    return StorableResult(description | {"beginning": beginning}, too_large=len(text))


def as_json(result: Any) -> tuple[Any, str | None]:
    """Return a result as JSON, or None and what it is if it isn't JSON or is nested too deeply.

    NUL characters and lone surrogates, which PostgreSQL refuses, are replaced.
    """
    try:
        text = json.dumps(result, allow_nan=False, ensure_ascii=False)
    except Exception:  # whatever the result's own class raises
        return None, type_name(result)
    if is_deeper(result):
        return None, f"{type_name(result)}, nested more than {MAX_DEPTH} levels deep"
    text = NUL_ESCAPE.sub(r"\1\\ufffd", text).encode("utf-8", "replace").decode()
    return json.loads(text), None


def instant_text(instant: datetime) -> str:
    """Return a time as text for a sentence: to the second, in the active zone, which it names."""
    local = timezone.localtime(instant)
    zone = local.tzname() or ""
    name = zone if zone.isalpha() else timezone.get_current_timezone_name()
    return f"{local:%Y-%m-%d %H:%M:%S} {name}"


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text of a value: sorted keys, no spaces, no NaN.

    It is the same before a value is stored and after, in whatever database. Raises
    InvalidArguments if the value isn't JSON.
    """
    try:
        text = _sorted_json(value)
        text.encode()  # refuses lone surrogates, which no database stores
        # Only numbers that a database may change have these in their text.
        return _sorted_json(_as_stored(value)) if "e+" in text or "-0.0" in text else text
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArguments(
            _("Arguments must be JSON (numbers, texts, lists, objects): %(error)s.")
            % {"error": error}
        ) from error


def _sorted_json(value: Any) -> str:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _as_stored(value: Any) -> Any:
    """Return JSON with its numbers as PostgreSQL's jsonb returns them.

    It has no negative zero, and writes a float from 1e16 on, where Python has an exponent, with
    all its digits: as an integer.
    """
    if isinstance(value, dict):
        return {key: _as_stored(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_as_stored(child) for child in value]
    if isinstance(value, float):
        return int(Decimal(repr(value))) if abs(value) >= 1e16 else value + 0.0
    return value


def is_deeper(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Return whether JSON is nested deeper than that."""
    if not isinstance(value, list | tuple | dict):
        return False
    children = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deeper(child, levels - 1) for child in children)
