"""What the templates of our pages show, on pages of the site, too: `{% load schedule_ledger %}`."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.apps import apps
from django.template import Context
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tasks import clock
from tasks.admin_pages import holds, links, states, strips, times
from tasks.admin_pages.formatting import short_duration
from tasks.admin_pages.health import TEMPLATE, health_line

# What comes before the number of a worker's process, and that with what follows.
WORKER = re.compile(r"(.+\.)(\d+\.[0-9a-f]+)")
register = template.Library()


@register.simple_tag
def sl_icon(name: str) -> SafeString:
    """Show a symbol of the sprite: {% sl_icon "finished" %}."""
    return states.icon(name)


@register.simple_tag
def sl_badge(record: Any) -> SafeString:
    """Show the state of a schedule, a run or a background call: symbol and word."""
    return states.record_badge(record)


@register.simple_tag
def sl_state(state: str, text: str) -> SafeString:
    """Show a state that is no record's own, such as “late”: {% sl_state "late" _("late") %}."""
    return states.badge(state, text)


@register.simple_tag
def sl_when(value: datetime | None) -> SafeString | str:
    """Show a time: in words within 24 hours, and exactly on hover, in the viewer's zone."""
    return times.when(value, clock.now())


@register.simple_tag
def sl_times_are_exact() -> bool:
    """Return whether this viewer wants all times exactly."""
    return times.are_exact()


@register.filter
def sl_run_page(pk: int) -> str:
    """Return the address of a run's page; for lists, since `url` takes longer than their rows."""
    return links.run_page(pk)


@register.filter
def sl_schedule_page(pk: int) -> str:
    """Return the address of a schedule's page, as `sl_run_page` does."""
    return links.schedule_page(pk)


@register.filter
def sl_worker(name: str) -> SafeString | str:
    """Show a worker's name, such as host.12345.0af0: it doesn't break inside its process."""
    found = WORKER.fullmatch(name)
    if found is None:
        return name
    return format_html('{}<wbr><span class="sl-unbroken">{}</span>', *found.groups())


@register.simple_tag
def sl_exact(value: datetime) -> str:
    """Show a time in full, with its zone."""
    return times.exact(value)


@register.simple_tag
def sl_duration(span: timedelta | None) -> str:
    """Show a length of time: 12 ms, 3.4 s, 5 min 6 s."""
    return short_duration(span)


@register.simple_tag
def sl_lateness(run: Any, words: str = "") -> SafeString | str:
    """Show how late a run started, in the look of what is late if it was; in words, if given."""
    text = words or short_duration(run.lateness)
    if not strips.is_late(run):
        return text
    return format_html('<span class="is-late">{} {}</span>', states.icon("late"), text)


@register.simple_tag
def sl_since(value: datetime, now: datetime) -> str:
    """Show how long ago something was, as a length of time."""
    return short_duration(max(now - value, timedelta()))


@register.simple_tag
def sl_bar(percent: int, look: str) -> SafeString:
    """Show a share, from 0 to 100, as a bar in a state's colour."""
    return states.bar(percent, look)


@register.simple_tag(takes_context=True)
def sl_holds(context: Context) -> SafeString | str:
    """Say what is paused, everything or queues, since when, by whom and why.

    Not on a page that says it in its own way (`holds_are_said`).
    """
    request = context.get("request")
    if request is None or context.get("holds_are_said") or not holds.may_see(request):
        return ""
    own: dict[Any, Any] = {"holds": holds.shown_to(request), "may_hold": holds.may_hold(request)}
    return render_to_string("admin/tasks/holds.html", dict(context.flatten()) | own, request)


@register.simple_tag
def sl_strip(runs: Iterable[Any]) -> SafeString:
    """Show a schedule's latest runs, newest first as they are read, as bars with links."""
    return strips.Strips().draw(runs)


@register.simple_tag
def sl_app_name() -> str:
    """Show the name of this app, as the admin's index has it."""
    return str(apps.get_app_config("tasks").verbose_name)


@register.simple_tag
def sl_zone() -> str:
    """Show the name of the zone in which this page's times are."""
    return timezone.get_current_timezone_name()


@register.simple_tag(takes_context=True)
def sl_icons(context: Context) -> SafeString | str:
    """Put the sprite of the symbols into the page, wherever it is asked for first."""
    return once(context, "admin/tasks/icons.html")


@register.simple_tag(takes_context=True)
def sl_health(context: Context) -> SafeString | str:
    """Show in a line whether everything is on time, wherever it is asked for first.

    A site may show it in its header; otherwise it is at the top of our pages. It refreshes itself
    from an address of its own.
    """
    request = context.get("request")
    if request is None or request.headers.get("X-Live") or not is_first(context, TEMPLATE):
        return ""
    return render_to_string(TEMPLATE, health_line(request), request=request)


@register.simple_tag(takes_context=True)
def sl_stylesheet(context: Context) -> SafeString | str:
    """Load the stylesheet of our pages, wherever it is asked for first."""
    return once(context, "admin/tasks/stylesheet.html")


def once(context: Context, name: str) -> SafeString | str:
    """Return what a template shows, but only the first time on a page."""
    return render_to_string(name) if is_first(context, name) else ""


def is_first(context: Context, name: str) -> bool:
    """Return whether something has not been shown on this page, and note that it is by now."""
    page: Any = context.render_context
    shown: set[str] = page.setdefault("schedule_ledger", set())
    if name in shown:
        return False
    shown.add(name)
    return True
