"""The strip: the latest runs of a schedule as bars, whose height says how bad each was."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks.admin_pages.formatting import short_duration
from tasks.admin_pages.links import run_pages
from tasks.admin_pages.states import run_word
from tasks.ledger.summaries import LATE
from tasks.models import ScheduledTaskInstance

Status = ScheduledTaskInstance.Status
BARS = 20
STEP = 7.5

# Drawn in a box of 6 × 22, as the stylesheet names what fills and outlines them.
BAR = {
    "finished": '<rect class="f-finished" y="9" width="6" height="13" rx="1"/>',
    "failed": '<rect class="f-failed" width="6" height="22" rx="1"/>',
    "missed": '<rect class="o-missed" x=".75" y=".75" width="4.5" height="20.5" rx="1"/>',
    "skipped": '<rect class="f-skipped" y="18" width="6" height="4" rx="1"/>',
    "canceled": '<rect class="f-canceled" y="9" width="6" height="5" rx="1"/>'
    '<rect class="f-canceled" y="16.5" width="6" height="5.5" rx="1"/>',
    "running": '<rect class="o-running" x=".75" y="9.75" width="4.5" height="11.5" rx="1"/>'
    '<rect class="f-running" y="16.5" width="6" height="5.5" rx="1"/>',
}
# What a bar at each place has: the last one is where the Tab key stops.
PLACES = [
    (
        f' tabindex="{0 if place == BARS - 1 else -1}"',
        f'<g transform="translate({STEP * place} 0)">',
    )
    for place in range(BARS)
]
HIT = '<rect class="hit" width="7" height="22"/></g></a>'
LATE_CAP = '<rect class="f-late" y="4" width="6" height="4" rx="1"/>'


class Strips:
    """Draws strips: one object for all of a page, which looks words and addresses up only once."""

    def __init__(self) -> None:
        self._page_of = run_pages()
        self._looks = cache(_look)
        self._late = escape(_("%(state)s, %(span)s late"))
        self._labels = {status.value: str(status.label) for status in Status}

    def draw(self, runs: Iterable[Any]) -> SafeString:
        """Show runs, newest first as they are read, as bars from left (oldest) to right with links.

        Each run needs `pk`, `status` and `lateness`. All bars together are one stop of the Tab key;
        the arrow keys move between them (strip.js).
        """
        shown = list(runs)[:BARS][::-1]
        page_of, looks = self._page_of, self._looks
        empty = BARS - len(shown)
        parts = [
            f'<rect class="f-none" x="{STEP * place}" y="20" width="6" height="2"/>'
            for place in range(empty)
        ]
        # A page has a thousand of these: they are put together by hand.
        for run, (focus, moved) in zip(shown, PLACES[empty:], strict=True):
            late = run.lateness
            if late is None or late <= LATE:
                text, shapes = looks(run.status, False)
            else:
                words, shapes = looks(run.status, True)
                text = self._late % {"state": words, "span": escape(short_duration(late))}
            parts.append(
                f'<a href="{page_of(run.pk)}"{focus} aria-label="{text}"><title>{text}</title>'
                f"{moved}{shapes}{HIT}"
            )
        return format_html(
            '<svg class="sl-strip" viewBox="0 0 150 22" role="group" aria-label="{}">{}</svg>',
            self._counts(shown),
            mark_safe("".join(parts)),
        )

    def _counts(self, runs: Sequence[Any]) -> str:
        """Return how many of the runs ended how: “20 runs: 18 finished, 2 failed”."""
        if not runs:
            return _("no run yet")
        by_status = Counter(run.status for run in runs)
        parts = [
            f"{by_status[status]} {label}"
            for status, label in self._labels.items()
            if by_status[status]
        ]
        number = ngettext("%d run", "%d runs", len(runs)) % len(runs)
        return f"{number}: {', '.join(parts)}"


def is_late(run: Any) -> bool:
    """Return whether a run started late enough to be shown as late."""
    return run.lateness is not None and run.lateness > LATE


def _look(status: str, is_late: bool) -> tuple[str, str]:
    """Return how a run ended, escaped, and its shapes in a box of 6 × 22."""
    cap = LATE_CAP if is_late and status == Status.FINISHED else ""
    return escape(run_word(status)), BAR[status] + cap
