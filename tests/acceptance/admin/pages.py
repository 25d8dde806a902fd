"""All pages of ours, and what holds on each of them: for axe, for a narrow screen, for a viewer."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.acceptance.admin.site import BusySite, Visitor

SERIOUS = ("serious", "critical")
AXE = Axe()
# The rule for the size of targets is off by default.
OPTIONS = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
# An icon in a widget of Django's, and what follows on more of the same: rows of long tables.
CONTEXT = {
    "exclude": [
        [".search-label-icon"],
        ["tbody tr:nth-child(n + 8)"],
        [".sl-log .l:nth-child(n + 30)"],
    ]
}
SCHEDULES, RUNS, CALLS = "tasks/scheduledtask", "tasks/scheduledtaskinstance", "tasks/task"


def all_pages(site: BusySite) -> dict[str, str]:
    """Return the addresses of all pages of ours that are seen by a GET, by their names."""
    return pages_of_lists() | pages_of_schedules(site) | pages_of_runs(site) | other_pages(site)


def pages_of_lists() -> dict[str, str]:
    """Return the pages that are there on every site."""
    return {
        "index": "",
        "app": "tasks/",
        "overview": "tasks/overview/",
        "overview, a day": "tasks/overview/?hours=24&lanes=2&heat=2",
        "pause everything": "tasks/overview/pause/",
        "pause a queue": "tasks/overview/pause/?queue=default",
        "what-if": "tasks/overview/what-if/",
        "schedules": f"{SCHEDULES}/",
        "schedules, none": f"{SCHEDULES}/?q=nothing+like+it",
        "add a schedule": f"{SCHEDULES}/add/",
        "add with arguments": f"{SCHEDULES}/add/?function=shop.send_invoices",
        "latest changes": f"{SCHEDULES}/changes/",
        "external jobs": f"{SCHEDULES}/external-jobs/",
        "zone": f"{SCHEDULES}/zone/",
        "runs": f"{RUNS}/",
        "runs, filtered": f"{RUNS}/?status=failed&late=10",
        "failures": f"{RUNS}/failures/",
        "calls": f"{CALLS}/",
        "add a call": f"{CALLS}/add/?function=shop.charge_cards",
        "calendars": "tasks/calendar/",
        "add a calendar": "tasks/calendar/add/",
        "tags": "tasks/tag/",
        "add a tag": "tasks/tag/add/",
        "feeds": "feeds/feed/",
        "add a feed": "feeds/feed/add/",
        "entries": "feeds/entry/",
        "unreadable documents": "feeds/faileddocument/",
    }


def pages_of_schedules(site: BusySite) -> dict[str, str]:
    """Return the pages of single schedules."""
    page = {
        name: f"{SCHEDULES}/{site.schedule(name)}"
        for name in ("Import orders", "Send invoices", "Nightly report", "Clean up", "Quick")
    }
    invoices = page["Send invoices"]
    return {
        "schedule": f"{page['Import orders']}/",
        "schedule, all dues": f"{page['Import orders']}/?runs=1000&all=1",
        "schedule with history": f"{invoices}/",
        "paused schedule": f"{page['Nightly report']}/",
        "waiting schedule": f"{page['Clean up']}/",
        "new schedule": f"{page['Quick']}/",
        "edit": f"{invoices}/change/",
        "clone": f"{SCHEDULES}/add/?clone_of={site.schedule('Send invoices')}",
        "backfill": f"{page['Import orders']}/backfill/",
        "other arguments": f"{invoices}/run/",
        "changes": f"{invoices}/changes/",
        "put back": f"{invoices}/changes/4/put-back/",
        "delete a schedule": f"{invoices}/delete/",
    }


def pages_of_runs(site: BusySite) -> dict[str, str]:
    """Return the pages of single runs, in each state."""
    ended = {
        f"{status} run": f"{RUNS}/{site.run('Import orders', status)}/change/"
        for status in ("finished", "failed", "canceled", "missed", "skipped")
    }
    return ended | {
        "running run": f"{RUNS}/{site.run('Rebuild index', 'running')}/change/",
        "run with a traceback": f"{RUNS}/{site.run('Read stock', 'failed')}/change/?compare",
        "history of a run": f"{RUNS}/{site.run('Import orders', 'finished')}/history/",
    }


def other_pages(site: BusySite) -> dict[str, str]:
    """Return the pages of calls, calendars, tags, feeds and entries."""
    return {
        "finished call": f"{CALLS}/1/change/",
        "failed call": f"{CALLS}/2/change/",
        "reserved call": f"{CALLS}/4/change/",
        "calendar": "tasks/calendar/1/change/",
        "tag": "tasks/tag/1/change/",
        "feed": "feeds/feed/1/change/",
        "entry": "feeds/entry/1/change/",
    }


def violations(page: Page, visitor: Visitor) -> list[str]:
    """Return what axe finds wrong on a page that is serious, a line each with its elements."""
    before = len(visitor.errors)
    found = AXE.run(page, context=CONTEXT, options=OPTIONS).response["violations"]
    # On pages with jQuery, axe itself tries a style that the site's policy refuses.
    del visitor.errors[before:]
    return [
        f"{one['id']}: {one['help']}: {' | '.join(elements(one))}"
        for one in found
        if one["impact"] in SERIOUS
    ]


def elements(violation: Any) -> list[str]:
    """Return the first elements that violate a rule, with why."""
    return [
        f"{node['target'][0]} {node['html'][:120]} ({node['failureSummary'][:200]})"
        for node in violation["nodes"][:4]
    ]


def overflow(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return max(0, int(width))
