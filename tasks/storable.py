"""What a row can hold: text and JSON without what databases refuse, within bounds."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _

from tasks.exceptions import InvalidArguments
from tasks.masking import mask_text

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
REASON_LENGTH = 500
# How deep JSON may be nested: what one process can read, every process must be able to read.
MAX_DEPTH = 50
# A NUL in JSON text, but not an escaped backslash before "u0000".
NUL_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def escape(text: str) -> str:
    """Make control characters and lone surrogates visible; keep newlines and tabs."""
    return CONTROL.sub(lambda match: ascii(match.group())[1:-1], text)


def failure_reason(error: BaseException) -> str:
    """Say in one line why a run failed, without secrets."""
    try:
        message = str(error)
    except Exception:
        message = "(its message can't be read)"
    text = f"Failed for: {type(error).__name__}: {message}".rstrip(": ")
    return clean_text(mask_text(" ".join(text.split())))[:REASON_LENGTH]


def type_name(value: Any) -> str:
    """Return the full name of a value's type, as a row can hold it."""
    return clean_text(f"{type(value).__module__}.{type(value).__qualname__}")


def clean_text(text: str) -> str:
    """Replace what no database stores: NUL and lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


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
    """Return a time as text for a sentence: in UTC, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text of a value: sorted keys, no spaces, no NaN.

    Raises InvalidArguments if the value isn't JSON.
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        text.encode()  # refuses lone surrogates, which no database stores
        return text
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArguments(
            _("Arguments must be JSON (numbers, texts, lists, objects): %(error)s.")
            % {"error": error}
        ) from error


def is_deeper(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Return whether JSON is nested deeper than that."""
    if not isinstance(value, list | tuple | dict):
        return False
    children = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deeper(child, levels - 1) for child in children)
