"""The strip: the latest runs of a schedule as bars, whose height says how bad each was."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks.admin_pages.formatting import short_duration
from tasks.ledger.summaries import LATE
from tasks.models import ScheduledTaskInstance

BARS = 20
STEP, HEIGHT = 7.5, 22

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
LATE_CAP = '<rect class="f-late" y="4" width="6" height="4" rx="1"/>'


def strip(runs: Iterable[Any]) -> SafeString:
    """Show runs, newest first as they are read, as bars from left (oldest) to right with links.

    Each run needs `pk`, `status` and `lateness`. All bars together are one stop of the Tab key;
    the arrow keys move between them (strip.js).
    """
    shown = list(runs)[:BARS][::-1]
    offset = BARS - len(shown)
    empty = format_html_join(
        "",
        '<rect class="f-none" x="{}" y="20" width="6" height="2"/>',
        ([STEP * place] for place in range(offset)),
    )
    last = len(shown) - 1
    bars = format_html_join(
        "",
        '<a href="{}" tabindex="{}" aria-label="{}"><title>{}</title>'
        '<g transform="translate({} 0)">{}<rect class="hit" width="7" height="22"/></g></a>',
        (
            (
                reverse("admin:tasks_scheduledtaskinstance_change", args=[run.pk]),
                0 if place == last else -1,
                outcome(run),
                outcome(run),
                STEP * (offset + place),
                bar(run),
            )
            for place, run in enumerate(shown)
        ),
    )
    return format_html(
        '<svg class="sl-strip" viewBox="0 0 150 22" role="group" aria-label="{}">{}{}</svg>',
        counts(shown),
        empty,
        bars,
    )


def is_late(run: Any) -> bool:
    """Return whether a run started late enough to be shown as late."""
    return run.lateness is not None and run.lateness > LATE


def bar(run: Any) -> SafeString:
    """Return the shapes of one run, in a box of 6 × 22."""
    cap = LATE_CAP if is_late(run) and run.status == "finished" else ""
    return mark_safe(BAR[run.status] + cap)


def outcome(run: Any) -> str:
    """Return how a run ended, in words: “finished, 38 s late”."""
    label = str(ScheduledTaskInstance.Status(run.status).label)
    if not is_late(run):
        return label
    return _("%(state)s, %(span)s late") % {"state": label, "span": short_duration(run.lateness)}


def counts(runs: Sequence[Any]) -> str:
    """Return how many of the runs ended how: “20 runs: 18 finished, 2 failed”."""
    if not runs:
        return _("no run yet")
    by_status = Counter(run.status for run in runs)
    parts = [
        f"{by_status[status.value]} {status.label}"
        for status in ScheduledTaskInstance.Status
        if by_status[status.value]
    ]
    number = ngettext("%d run", "%d runs", len(runs)) % len(runs)
    return f"{number}: {', '.join(parts)}"
