"""How states are shown: a symbol, a word and a form; the colour comes last.

The stylesheet (`is-…`, `f-…`) and the sprite (`sl-icon-…`) have the same names.
"""

from functools import cache
from typing import Any, NamedTuple

from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from tasks.models import ScheduledTask, ScheduledTaskInstance


class Look(NamedTuple):
    """The symbol of a state, and whose colours it has."""

    icon: str
    colours: str


FINISHED = Look("finished", "finished")
LOOKS = {
    "running": Look("running", "running"),
    "finished": FINISHED,
    "failed": Look("failed", "failed"),
    "problem": Look("failed", "failed"),
    "missed": Look("late", "late"),
    "late": Look("late", "late"),
    "skipped": Look("skipped", "skipped"),
    "canceled": Look("canceled", "canceled"),
    "queued": Look("waiting", "waiting"),
    "reserved": Look("clock", "waiting"),
    "waiting": Look("waiting", "waiting"),
    "paused": Look("paused", "paused"),
    "active": FINISHED,
    "death": Look("stop", "skipped"),
}


def icon(name: str) -> SafeString:
    """Return a symbol of the sprite, in the colour of the text around it."""
    return mark_safe(f'<svg class="sl-i" aria-hidden="true"><use href="#sl-icon-{name}"/></svg>')


def bar(percent: int, look: str) -> SafeString:
    """Show a share, from 0 to 100, as a bar in a state's colour."""
    return format_html(
        '<svg class="sl-bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" '
        'aria-label="{0} %"><rect class="bg" width="100" height="8"/>'
        '<rect class="f-{1}" width="{0}" height="8"/></svg>',
        percent,
        look,
    )


def badge(state: str, text: str) -> SafeString:
    """Show a state: its symbol and its word, in its colour."""
    look = LOOKS[state]
    # A list has one in each row: it is put together by hand.
    said = f"{icon(look.icon)}{conditional_escape(text)}"
    return mark_safe(f'<span class="sl-badge is-{look.colours}">{said}</span>')


def state_of(record: Any) -> str:
    """Return the state of a schedule, a run or a background call, by the name that it has here.

    A schedule's stored status “running” says that it is being scheduled, not that it runs.
    """
    is_active = isinstance(record, ScheduledTask) and record.status == record.Status.RUNNING
    return "active" if is_active else str(record.status)


def record_badge(record: Any) -> SafeString:
    """Show the state of a schedule, a run or a background call."""
    return badge(state_of(record), record.get_status_display())


def run_word(status: str) -> str:
    """Return the word for a run's status; pictures ask for the same few hundreds of times."""
    return _run_word(status, get_language())


@cache
def _run_word(status: str, language: str | None) -> str:
    return str(ScheduledTaskInstance.Status(status).label)


def how_many(number: int, state: object) -> str:
    """Say how many are in a state: “3 failed”."""
    return _("%(number)d %(state)s") % {"number": number, "state": state}
