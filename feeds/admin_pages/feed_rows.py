"""The rows of the list of feeds, put together by hand, as those of the list of schedules are."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from html import escape
from typing import Any

from django.template.defaultfilters import floatformat, truncatechars
from django.utils.formats import localize
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks import clock
from tasks.admin_pages import states
from tasks.admin_pages.formatting import NONE
from tasks.admin_pages.schedule_rows import draw_box, draw_tags, small
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


def draw_rows(rows: Iterable[Mapping[str, Any]], *, with_boxes: bool) -> SafeString:
    """Show feeds as rows of a table, each with the box that selects it if that is wanted."""
    now, badge = clock.now(), cache(states.badge)
    labels = {
        "fetched_label": escape(_("fetched")),
        "next_label": escape(_("next")),
        "week_label": escape(_("a week")),
    }
    return mark_safe(
        "".join(
            ROW.format(
                **labels,
                **_feed(row, with_boxes),
                state=badge(row["health"].look, row["health"].word),
                **_polls(row, now),
            )
            for row in rows
        )
    )


# What each part of a row returns is HTML: all that isn't ours is escaped there.


def _feed(row: Mapping[str, Any], with_box: bool) -> dict[str, Any]:
    """Return which feed it is, and how much is read of it."""
    feed, schedule, detail = row["feed"], "", ""
    if row["schedule_url"]:
        schedule = f' <a href="{escape(row["schedule_url"])}">{escape(row["when"])}</a>'
    if row["detail"]:
        shown = escape(truncatechars(row["detail"], DETAIL_LENGTH))
        detail = f'<small class="feed-why">{shown}</small>'
    return {
        "pk": feed.pk,
        "box": draw_box(feed.pk, row["select"]) if with_box else "",
        "url": escape(row["url"]),
        "name": escape(str(feed)),
        "address": escape(row["address"]) if feed.title else "",
        "schedule": schedule,
        "tags": draw_tags(row["tags"]),
        "detail": detail,
        "per_week": escape(floatformat(row["per_week"], -1)),
        "entries_url": escape(row["entries_url"]),
        "entries": escape(str(localize(feed.entry_count))),
    }


def _polls(row: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """Return when it was and will be fetched, and the latest fetches."""
    fetched, new = NONE, ""
    if number := row["new"]:
        words = ngettext("%(number)s new", "%(number)s new", number)
        new = small(escape(words % {"number": localize(number)}))
    if row["fetched"]:
        at = when(row["fetched"], now)
        fetched = f'<a href="{escape(row["run_url"])}">{at}</a>{new}'
    return {"fetched": fetched, "next_due": when(row["next_due"], now), "strip": row["strip"]}
