"""The rows of the list of schedules: fifty a page, so they are put together by hand.

A template takes longer for them than all else on the page together.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote

from django.template.defaultfilters import floatformat
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from tasks import clock
from tasks.admin_pages import states
from tasks.admin_pages.formatting import NONE, short_duration
from tasks.admin_pages.times import when

NOTHING = SafeString("")
BOX = (
    '<td class="c-box"><input type="checkbox" class="action-select" name="_selected_action"'
    ' value="{}" aria-label="{}"></td>\n'
)
ROW = (
    '<tr id="schedule-{pk}">\n'
    "{box}"
    '<td class="c-name"><a class="name" href="{url}">{name}</a><small class="sl-fn">'
    '<span class="mono">{function}</span>{tags}</small></td>\n'
    '<td class="c-state">{state}{detail}</td>\n'
    '<td class="c-when">{when}</td>\n'
    '<td class="c-next" data-label="{next_label}">{next_due}{note}</td>\n'
    '<td class="c-strip">{strip}{last}</td>\n'
    '<td class="r nw c-ok" data-label="{success_label}"><span{bad}>{success}</span></td>\n'
    '<td class="r nw c-p">{p50}<small>{p95}</small></td>\n'
    '<td class="r c-wait{zero}" data-label="{waiting_label}">'
    '<span class="{weight}">{waiting}</span></td>\n'
    "</tr>\n"
)


def draw_rows(rows: Iterable[Mapping[str, Any]], *, with_boxes: bool) -> SafeString:
    """Show schedules as rows of a table, each with the box that selects it if that is wanted."""
    now, badge = clock.now(), cache(states.badge)
    last_label = _("last")
    labels = {
        "next_label": _("next"),
        "success_label": _("success"),
        "waiting_label": _("waiting"),
    }
    return mark_safe(
        "".join(
            format_html(
                ROW,
                **labels,
                **_schedule(row, badge, with_boxes),
                **_times(row, last_label, now),
                **_numbers(row),
            )
            for row in rows
        )
    )


def _schedule(
    row: Mapping[str, Any], badge: Callable[[str, str], SafeString], with_box: bool
) -> dict[str, Any]:
    """Return which schedule it is, and how it is."""
    schedule, state = row["schedule"], row["state"]
    return {
        "pk": schedule.pk,
        "box": format_html(BOX, schedule.pk, row["select"]) if with_box else NOTHING,
        "url": row["url"],
        "name": schedule.name,
        "function": schedule.function,
        "tags": draw_tags(row["tags"]),
        "state": badge(state.look, state.word),
        "detail": format_html("<small>{}</small>", state.detail) if state.detail else NOTHING,
        "when": row["when"],
    }


def _times(row: Mapping[str, Any], last_label: str, now: datetime) -> dict[str, Any]:
    """Return when it is due next and why not, its latest runs, and when the last one started."""
    note, started = row["note"], row["last_started"]
    return {
        "next_due": when(row["next_due"], now),
        "note": format_html("<small>“{}”</small>", note) if note else NOTHING,
        "strip": row["strip"],
        "last": format_html(
            '<small>{} <a href="{}">{}</a></small>',
            last_label,
            row["last_run_url"],
            when(started, now),
        )
        if started
        else NOTHING,
    }


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return how its week went, and how many of its jobs wait."""
    waiting = row["waiting"]
    return {
        "bad": mark_safe(' class="is-failed b"') if row["is_bad"] else NOTHING,
        "success": _percent(row["success"]),
        "p50": short_duration(row["p50"]),
        "p95": short_duration(row["p95"]),
        "zero": "" if waiting else " zero",
        "weight": "b" if waiting else "q",
        "waiting": localize(waiting),
    }


def _percent(share: float | None) -> SafeString | str:
    if share is None:
        return NONE
    return format_html("{}&nbsp;%", "100" if share == 100 else floatformat(share, -1))


def draw_tags(names: Iterable[str]) -> SafeString:
    """Show the names of tags, each as a link to the part of its list that has it."""
    return format_html_join(
        "", ' <a class="sl-tag" href="?tag={}">{}</a>', ((quote(name), name) for name in names)
    )
