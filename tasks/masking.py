"""What is secret in names, addresses, arguments and texts, and what is shown instead (R13).

A value is secret because of its name: `api_token`, `X-Auth-Key` or `password`, but not `monkey`.
It is looked for among arguments, in the queries of addresses, and in texts where it is quoted
(`token='…'`, `"token": "…"`). The user-info of an address is secret too. Inside `hiding`, texts are
also searched for values that are known to be secret.
"""

import html
import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote_plus

MASK = "•••"
# A shorter value could be anything: it is hidden by its name only, not wherever it occurs.
UNAMBIGUOUS = 6

_SECRET = (
    "auth|authentication|authorization|bearer|credential|jwt|key|oauth|pass|passphrase|passwd|"
    "password|pwd|secret|sig|signature|token"
)
# What is written together with these: apikey, accesstoken, rsskey.
_PREFIX = (
    "access|account|admin|api|app|aws|client|csrf|db|feed|id|master|my|private|public|refresh|rss|"
    "service|session|shared|site|user|web|xsrf"
)
_SECRET_WORD = re.compile(rf"(?:{_PREFIX}|{_SECRET})*(?:{_SECRET})s?")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# A name that ends so says what went wrong: the text after “KeyError: ” is no key.
_OUTCOMES = {"error", "exception", "warning"}
_NAME_LENGTH = 100

# A text that is an address and nothing else: in it, an apostrophe ends no value.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"<>]*")
_USER_INFO = re.compile(r"(?<=//)[^\s/?#\"'<>]*@")
_USER_INFO_OF_ADDRESS = re.compile(r"(?<=//)[^\s/?#]*@")
_IN_QUERY = re.compile(rf"(?<=[?&;#])([^\s=?&;#\"'<>]{{1,{_NAME_LENGTH}}}+)=")
_PLAIN_VALUE = re.compile(r"[^\s?&;#\"'<>]*+")
# Punctuation at its end is the sentence's. (Looked for once in each row of such characters.)
_END_IN_TEXT = re.compile(r"[&#]|(?<![),.;:!?\]}])[),.;:!?\]}]*+(?:[\s\"'<>“”„‘’«»‹›]|\Z)")
_END_IN_ADDRESS = re.compile(r"[&#]|\Z")
# As Python, JSON and HTML write them.
_QUOTE = r"(?:\"|'|&quot;|&#x27;|&#39;)"
_QUOTED = re.compile(
    rf"(?<![\w-])([\w-]{{1,{_NAME_LENGTH}}}+)(?:\\*{_QUOTE})?\s{{0,2}}[:=]\s{{0,2}}[bru]?"
    rf"(\\*{_QUOTE})"
)
_UNTIL = {mark: re.compile(rf"(?:[^\\\n{mark}]|\\.)*+") for mark in "\"'"}

# Finds the values that are hidden in texts at present, in this thread.
_hidden: ContextVar[re.Pattern[str] | None] = ContextVar("hidden", default=None)


class MaskedValue(ValueError):
    """A value that a person typed holds the mask in place of a secret that isn't known."""


class MaskingFormatter(logging.Formatter):
    """A formatter of log lines, with their tracebacks, that masks the secrets in them."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_text(super().format(record))


@lru_cache(maxsize=5_000)
def is_secret_name(name: str) -> bool:
    """Return whether a value of this name is secret: whether one of its words says so."""
    words = [word.lower() for word in _WORD.findall(name[:_NAME_LENGTH])]
    if words and words[-1] in _OUTCOMES:
        return False
    return any(_SECRET_WORD.fullmatch(word) for word in words)


def mask_text(text: str, hidden: re.Pattern[str] | None = None) -> str:
    """Return a text with the mask in place of each secret; masking it again changes nothing.

    `hidden` finds further values, by default those of the `hiding` block around the call.
    """
    masked: list[str] = []
    end = 0
    for start, stop in _secrets(text, hidden or _hidden.get()):
        if stop <= end:
            continue
        if start > end or not masked:
            masked += [text[end:start], MASK]
        end = stop
    return "".join([*masked, text[end:]]) if masked else text


def mask_json(value: Any, *, is_secret: bool = False) -> Any:
    """Return a JSON value with the mask in place of each secret; `is_secret`: it is one itself."""
    if isinstance(value, dict):
        return {
            name: mask_json(part, is_secret=is_secret or is_secret_name(str(name)))
            for name, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [mask_json(part, is_secret=is_secret) for part in value]
    if is_secret:
        return value if _tells_nothing(value) else MASK
    return mask_text(value) if isinstance(value, str) else value


def secrets_in(value: Any, *, is_secret: bool = False) -> Iterator[str]:
    """Return, as texts, the secrets that `mask_json` would mask."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from secrets_in(part, is_secret=is_secret or is_secret_name(str(name)))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from secrets_in(part, is_secret=is_secret)
    elif is_secret:
        if not _tells_nothing(value):
            yield str(value)
    elif isinstance(value, str):
        for start, stop in _secrets(value, None):
            is_user_info = value[stop : stop + 1] == "@"
            # The name of a user says little; the password is secret also without it.
            yield value[start:stop].partition(":")[2] if is_user_info else value[start:stop]


@contextmanager
def hiding(values: Iterable[str]) -> Iterator[None]:
    """Mask these values in all texts that are masked inside the block, if they are unambiguous."""
    wanted = {value for value in values if len(value) >= UNAMBIGUOUS and value != MASK}
    if not wanted:
        yield
        return
    outer = _hidden.get()
    spellings = {spelling for value in wanted for spelling in _spellings(value)}
    parts = [re.escape(spelling) for spelling in sorted(spellings, key=len, reverse=True)]
    if outer is not None:
        parts.append(outer.pattern)
    token = _hidden.set(re.compile("|".join(parts)))
    try:
        yield
    finally:
        _hidden.reset(token)


def hidden_now() -> re.Pattern[str] | None:
    """Return what `hiding` hides here, for `mask_text` in another thread."""
    return _hidden.get()


def restore(typed: Any, shown: Any, stored: Any) -> Any:
    """Return what a person typed over a masked JSON value, with the secrets that were kept.

    `shown` is `stored` as it was shown: parts that are the same as there keep their stored value.
    Raises MaskedValue if a changed part still holds the mask.
    """
    if isinstance(typed, dict):
        known, kept = (part if isinstance(part, dict) else {} for part in (shown, stored))
        return {
            name: restore(part, known.get(name), kept.get(name)) for name, part in typed.items()
        }
    if isinstance(typed, list):
        none: list[Any] = [None] * len(typed)
        columns = [[*part, *none] if isinstance(part, list) else none for part in (shown, stored)]
        return [restore(*parts) for parts in zip(typed, *columns, strict=False)]
    if type(typed) is type(shown) and _same(typed, shown):
        return stored
    if isinstance(typed, str) and MASK in typed:
        raise MaskedValue(typed)
    return typed


def _same(typed: Any, shown: Any) -> bool:
    """Return whether two values are the same: browsers send texts with other line ends."""
    if isinstance(typed, str):
        return typed.replace("\r\n", "\n") == shown.replace("\r\n", "\n")
    return bool(typed == shown)


def _tells_nothing(value: Any) -> bool:
    return value is None or isinstance(value, bool) or value == ""


def _spellings(value: str) -> set[str]:
    """Return how a value may be written in a text: in an address, JSON, Python or HTML."""
    return {value, quote(value), quote(value, ""), repr(value)[1:-1], html.escape(value)} | {
        json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)
    }


def _secrets(text: str, hidden: re.Pattern[str] | None, encoded: int = 2) -> list[tuple[int, int]]:
    """Return where a text holds secrets, in order; they may overlap.

    `encoded` is how many times an address in the query of another one may be percent-encoded.
    """
    found: list[tuple[int, int]] = []
    if hidden is not None:
        found += [match.span() for match in hidden.finditer(text)]
    if "=" in text or "@" in text:
        is_address = _ADDRESS.fullmatch(text) is not None
        user_info = _USER_INFO_OF_ADDRESS if is_address else _USER_INFO
        found += [(match.start(), match.end() - 1) for match in user_info.finditer(text)]
        found += _in_queries(text, _END_IN_ADDRESS if is_address else _END_IN_TEXT, encoded)
    if "'" in text or '"' in text or "&" in text:
        found += _quoted(text)
    return sorted(span for span in found if span[0] < span[1])


def _in_queries(text: str, end: re.Pattern[str], encoded: int) -> Iterator[tuple[int, int]]:
    """Return where the secret values are in the queries and fragments of addresses."""
    stop = 0
    for name in _IN_QUERY.finditer(text):
        if name.start() < stop:
            continue
        value = _PLAIN_VALUE.match(text, name.end())[0]  # type: ignore[index]
        if is_secret_name(unquote_plus(name[1])):
            stop = end.search(text, name.end()).start()  # type: ignore[union-attr]
            yield name.end(), stop
        elif encoded and "%" in value and _secrets(unquote_plus(value), None, encoded - 1):
            stop = name.end() + end.search(value).start()  # type: ignore[union-attr]
            yield name.end(), stop


def _quoted(text: str) -> Iterator[tuple[int, int]]:
    """Return where quoted values of secret names are."""
    for name in _QUOTED.finditer(text):
        if not is_secret_name(name[1]):
            continue
        start, mark = name.end(), name[2]
        if mark in _UNTIL:
            stop = _UNTIL[mark].match(text, start).end()  # type: ignore[union-attr]
        else:
            stop = start + len(text[start:].partition("\n")[0].partition(mark)[0])
        yield start, stop
