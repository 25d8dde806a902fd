"""Every error that this project raises on purpose: one base, so that a caller can catch them all.

A message names its subject and says what to do; it is shown to people verbatim.
"""


class TasksError(Exception):
    """The base of all errors of this project."""


class SpecError(TasksError, ValueError):
    """An invalid "when": `field` names the part of the spec that is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownTaskFunction(TasksError):
    """A name that no registered task function has."""


class InvalidArguments(TasksError):
    """Arguments that a task function doesn't take, or that aren't JSON.

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
