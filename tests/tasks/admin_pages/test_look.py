"""The look of our pages: it stays inside them, and comes from nowhere else."""

import re
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from tests.tasks.pages import CALLS, RUNS, SCHEDULES

APP = Path(__file__).resolve().parents[3] / "tasks"
STATIC = APP / "static" / "tasks"
VENDOR = STATIC / "vendor"
PAGES = [SCHEDULES, RUNS, CALLS] + [
    reverse(f"admin:{name}")
    for name in (
        "tasks_zone",
        "tasks_calendar_add",
        "tasks_scheduledtask_external_jobs",
        "feeds_feed_changelist",
        "feeds_feed_add",
        "feeds_entry_changelist",
    )
]
STYLESHEETS = sorted(path for path in STATIC.glob("*.css"))


@pytest.mark.django_db
@pytest.mark.parametrize("page", PAGES)
def test_each_page_has_the_element_in_which_its_look_holds(admin_client: Client, page: str):
    text = admin_client.get(page).content.decode()
    assert 'class="sl-page"' in text
    assert text.count("tasks/admin.css") == 1
    assert text.count('class="sl-sprite"') == 1
    assert text.count('id="sl-offline"') == 1
    assert "tasks/live.js" in text


def test_our_buttons_are_not_among_the_themes_tools():
    """Each theme has another place for those, and makes plain text of what isn't its own."""
    for app in (APP, APP.parent / "feeds"):
        for path in (app / "templates").rglob("*.html"):
            assert "object-tools" not in path.read_text(), path


def test_no_file_asks_another_host_for_anything():
    for path in [*STYLESHEETS, *STATIC.glob("*.js")]:
        text = path.read_text()
        assert not re.search(r"url\(|@import|https?://", text), path


def test_each_colour_is_given_for_light_and_dark():
    tokens = re.findall(r"^  (--sl-[\w-]+): (.+);$", (STATIC / "admin.css").read_text(), re.M)
    assert len(tokens) > 40
    for name, value in tokens:
        if re.search(r"#[0-9a-f]{3,6}", value) and name not in ("--sl-mark", "--sl-on-primary"):
            assert "light-dark(" in value, name


def test_each_library_of_others_has_its_version_and_licence():
    readme = (VENDOR / "README.md").read_text()
    for path in VENDOR.iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in readme, path.name
    version = re.search(r"\(v([\d.]+)\)", (VENDOR / "uPlot.iife.min.js").read_text()[:300])
    assert version
    assert f"| {version[1]} |" in readme
