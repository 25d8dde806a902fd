"""Every error that this project raises on purpose: one base, so that a caller can catch them all.

A message names its subject and says what to do; it is shown to people verbatim.
"""

from collections.abc import Callable
from typing import Any, ClassVar


def marked(text: str) -> str:
    """Return a text, marked for translation where Django's `gettext_noop` can't be imported."""
    return text


class TasksError(Exception):
    """The base of all errors of this project."""


class WordedError(TasksError):
    """An error of code that doesn't know Django: it is put into the reader's language when shown.

    `text` names its `values` as `%` does. Where it stands in a call of one of these classes it is
    marked for translation by that.
    """

    # Django's `gettext`, once the app is loaded.
    translate: ClassVar[Callable[[str], str]] = str

    def __init__(self, text: str, /, **values: Any) -> None:
        super().__init__(text, values)
        self.text = text
        self.values = values

    def __str__(self) -> str:
        words = WordedError.translate(self.text)
        return words % self.values if self.values else words


class SpecError(WordedError, ValueError):
    """An invalid "when": `field` names the part of the spec that is wrong."""

    def __init__(self, field: str, text: str, /, **values: Any) -> None:
        super().__init__(text, **values)
        self.field = field


class UnknownTaskFunction(TasksError):
    """A name that no registered task function has."""


class InvalidArguments(TasksError):
    """Arguments that a task function doesn't take, are of another type, or can't be stored.

    `field` says whether it is the positional ones (`args`) or the named ones (`kwargs`).
    """

    def __init__(self, message: str, field: str = "args") -> None:
        super().__init__(message)
        self.field = field


class InvalidSchedule(TasksError):
    """A schedule with invalid values: `errors` maps field names to messages.

    For a list of schedules it maps the entries at fault, such as “entry 2”, to messages.
    """

    def __init__(self, message: str, errors: dict[str, list[str]]) -> None:
        super().__init__(message)
        self.errors = errors


class InvalidCalendar(TasksError):
    """A calendar with invalid values: `errors` maps field names to messages."""

    def __init__(self, message: str, errors: dict[str, list[str]]) -> None:
        super().__init__(message)
        self.errors = errors


class NotPossible(TasksError):
    """An action that its subject doesn't allow in its present state."""


class IsolatedRunFailed(TasksError):
    """What a function raised in a process of its own: a class of the same name, made for it.

    Its note is the traceback in that process.
    """


class ProcessLost(TasksError):
    """The process of an isolated run died; `fields` of its row say how."""

    def __init__(self, message: str, fields: dict[str, Any]) -> None:
        super().__init__(message)
        self.fields = fields
