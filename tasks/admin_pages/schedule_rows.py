"""The rows of the list of schedules: fifty a page, so they are put together by hand.

A template takes longer for them than all else on the page together.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from html import escape
from typing import Any
from urllib.parse import quote

from django.template.defaultfilters import floatformat
from django.utils.formats import localize
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from tasks import clock
from tasks.admin_pages import states
from tasks.admin_pages.formatting import NONE, short_duration
from tasks.admin_pages.times import when

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
    '<span class="{weight}"{why}>{waiting}</span></td>\n'
    "</tr>\n"
)


def draw_rows(rows: Iterable[Mapping[str, Any]], *, with_boxes: bool) -> SafeString:
    """Show schedules as rows of a table, each with the box that selects it if that is wanted."""
    now, badge = clock.now(), cache(states.badge)
    last_label = escape(_("last"))
    labels = {
        "next_label": escape(_("next")),
        "success_label": escape(_("success")),
        "waiting_label": escape(_("waiting")),
    }
    return mark_safe(
        "".join(
            ROW.format(
                **labels,
                **_schedule(row, badge, with_boxes),
                **_times(row, last_label, now),
                **_numbers(row),
            )
            for row in rows
        )
    )


# What each part of a row returns is HTML: all that isn't ours is escaped there.


def _schedule(
    row: Mapping[str, Any], badge: Callable[[str, str], str], with_box: bool
) -> dict[str, Any]:
    """Return which schedule it is, and how it is."""
    schedule, state = row["schedule"], row["state"]
    return {
        "pk": schedule.pk,
        "box": draw_box(schedule.pk, row["select"]) if with_box else "",
        "url": escape(row["url"]),
        "name": escape(schedule.name),
        "function": escape(schedule.function),
        "tags": draw_tags(row["tags"]),
        "state": badge(state.look, state.word),
        "detail": small(escape(state.detail)),
        "when": escape(row["when"]),
    }


def _times(row: Mapping[str, Any], last_label: str, now: datetime) -> dict[str, str]:
    """Return when it is due next and why not, its latest runs, and when the last one started."""
    note, started, last = row["note"], row["last_started"], ""
    if started:
        last = f'{last_label} <a href="{escape(row["last_run_url"])}">{when(started, now)}</a>'
    return {
        "next_due": when(row["next_due"], now),
        "note": small(f"“{escape(note)}”" if note else ""),
        "strip": row["strip"],
        "last": small(last),
    }


def _numbers(row: Mapping[str, Any]) -> dict[str, str]:
    """Return how its week went, and how many of its jobs wait."""
    waiting = row["waiting"]
    return {
        "bad": ' class="is-failed b"' if row["is_bad"] else "",
        "success": _percent(row["success"]),
        "p50": escape(short_duration(row["p50"])),
        "p95": escape(short_duration(row["p95"])),
        "zero": "" if waiting else " zero",
        "weight": "b" if waiting else "q",
        "why": f' title="{escape(row["why"])}"' if row["why"] else "",
        "waiting": escape(str(localize(waiting))),
    }


def _percent(share: float | None) -> str:
    if share is None:
        return NONE
    return f"{100 if share == 100 else escape(floatformat(share, -1))}&nbsp;%"


def draw_box(pk: int, label: str) -> str:
    """Return the cell with the box that selects a row."""
    return (
        '<td class="c-box"><input type="checkbox" class="action-select" name="_selected_action"'
        f' value="{pk}" aria-label="{escape(label)}"></td>\n'
    )


def draw_tags(names: Iterable[str]) -> str:
    """Show the names of tags, each as a link to the part of its list that has it."""
    return "".join(
        f' <a class="sl-tag" href="?tag={escape(quote(name))}">{escape(name)}</a>' for name in names
    )


def small(text: str) -> str:
    """Show HTML in small print, if there is any."""
    return f"<small>{text}</small>" if text else ""
