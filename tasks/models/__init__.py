"""The records: schedules, their runs, and background calls. The database is the truth."""

from tasks.models.calendars import Calendar
from tasks.models.calls import Task
from tasks.models.fields import NAME_LENGTH, NameField, PrimaryManager
from tasks.models.history import ScheduleChange
from tasks.models.holds import Hold
from tasks.models.ownership import OwnerMark
from tasks.models.periods import SchedulePeriod
from tasks.models.records import RunRecord
from tasks.models.runs import RunRequest, ScheduledTaskInstance, ScheduledTaskInstanceQuerySet
from tasks.models.schedules import (
    DEFAULT_KEEP_RUNS,
    MAX_KEEP_DAYS,
    MAX_KEEP_RUNS,
    MAX_RETRIES,
    MAX_TIMEOUT,
    ScheduledTask,
    ScheduledTaskQuerySet,
    fingerprint,
)
from tasks.models.summaries import HourlySummary, HourlyTotal, SummaryMark, WeeklySummary
from tasks.models.tags import Tag, TagGroup, TagUser

__all__ = [
    "DEFAULT_KEEP_RUNS",
    "MAX_KEEP_DAYS",
    "MAX_KEEP_RUNS",
    "MAX_RETRIES",
    "MAX_TIMEOUT",
    "NAME_LENGTH",
    "Calendar",
    "Hold",
    "HourlySummary",
    "HourlyTotal",
    "NameField",
    "OwnerMark",
    "PrimaryManager",
    "RunRecord",
    "RunRequest",
    "ScheduleChange",
    "SchedulePeriod",
    "ScheduledTask",
    "ScheduledTaskInstance",
    "ScheduledTaskInstanceQuerySet",
    "ScheduledTaskQuerySet",
    "SummaryMark",
    "Tag",
    "TagGroup",
    "TagUser",
    "Task",
    "WeeklySummary",
    "fingerprint",
]
