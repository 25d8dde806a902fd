"""The rows of the list of feeds, put together by hand, as those of the list of schedules are."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from django.template.defaultfilters import floatformat, truncatechars
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks import clock
from tasks.admin_pages import states
from tasks.admin_pages.formatting import NONE
from tasks.admin_pages.schedule_rows import BOX, NOTHING, draw_tags
from tasks.admin_pages.times import when

# How much of an answer's reason is shown, in characters.
DETAIL_LENGTH = 140
ROW = (
    '<tr id="feed-{pk}">\n'
    "{box}"
    '<td class="c-name"><a class="name" href="{url}">{name}</a>'
    '<small class="sl-fn">{address}{schedule}{tags}</small></td>\n'
    '<td class="c-state">{state}{detail}</td>\n'
    '<td class="c-when nw" data-label="{fetched_label}">{fetched}</td>\n'
    '<td class="c-next nw" data-label="{next_label}">{next_due}</td>\n'
    '<td class="c-strip">{strip}</td>\n'
    '<td class="r nw c-ok" data-label="{week_label}">{per_week}</td>\n'
    '<td class="r nw c-p"><a href="{entries_url}">{entries}</a></td>\n'
    "</tr>\n"
)


def draw_rows(rows: Iterable[Mapping[str, Any]]) -> SafeString:
    """Show feeds as rows of a table, each with the box that selects it."""
    now, badge = clock.now(), cache(states.badge)
    labels = {"fetched_label": _("fetched"), "next_label": _("next"), "week_label": _("a week")}
    return mark_safe(
        "".join(
            format_html(
                ROW,
                **labels,
                **_feed(row),
                state=badge(row["health"].look, row["health"].word),
                **_polls(row, now),
            )
            for row in rows
        )
    )


def _feed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return which feed it is, and how much is read of it."""
    feed, detail = row["feed"], row["detail"]
    return {
        "pk": feed.pk,
        "box": format_html(BOX, feed.pk, row["select"]),
        "url": row["url"],
        "name": feed,
        "address": row["address"] if feed.title else "",
        "schedule": format_html(' <a href="{}">{}</a>', row["schedule_url"], row["when"])
        if row["schedule_url"]
        else NOTHING,
        "tags": draw_tags(row["tags"]),
        "detail": format_html(
            '<small class="feed-why">{}</small>', truncatechars(detail, DETAIL_LENGTH)
        )
        if detail
        else NOTHING,
        "per_week": floatformat(row["per_week"], -1),
        "entries_url": row["entries_url"],
        "entries": localize(feed.entry_count),
    }


def _polls(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return when it was and will be fetched, and the latest fetches."""
    return {
        "fetched": _fetched(row, now),
        "next_due": when(row["next_due"], now),
        "strip": row["strip"],
    }


def _fetched(row: Mapping[str, Any], now: datetime) -> SafeString | str:
    if not row["fetched"]:
        return NONE
    new: SafeString | str = NOTHING
    if number := row["new"]:
        words = ngettext("%(number)s new", "%(number)s new", number)
        new = format_html("<small>{}</small>", words % {"number": localize(number)})
    return format_html('<a href="{}">{}</a>{}', row["run_url"], when(row["fetched"], now), new)
