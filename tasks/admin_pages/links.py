"""Where the pages of records are: all that link to one ask here."""

from collections.abc import Callable
from functools import cache

from django.conf import settings
from django.urls import get_script_prefix, get_urlconf, reverse
from django.utils.translation import get_language

# Stands for any key: some addresses take only numbers.
PK = 987654321987654321


def schedule_page(pk: int) -> str:
    """Return the address of a schedule's own page, on which it is looked at.

    Its form, `admin:tasks_scheduledtask_change`, is behind that page's “Edit”.
    """
    return schedule_pages()(pk)


def run_page(pk: int) -> str:
    """Return the address of a run's page."""
    return run_pages()(pk)


def schedule_pages() -> Callable[[int], str]:
    """Return the function that says where the page of a schedule is, for lists of many."""
    return pages("tasks_scheduledtask_page")


def run_pages() -> Callable[[int], str]:
    """Return the function that says where the page of a run is, for pictures of very many."""
    return pages("tasks_scheduledtaskinstance_change")


def pages(name: str) -> Callable[[int], str]:
    """Return the function that says where the pages of this name in the admin are, by their keys.

    Asking Django for each of them takes longer than all the rest of a picture or of a list.
    """
    begin, end = _around(
        f"admin:{name}",
        get_language(),
        get_script_prefix(),
        get_urlconf() or settings.ROOT_URLCONF,
    )
    return lambda pk: f"{begin}{pk}{end}"


@cache
def _around(name: str, *where: str | None) -> tuple[str, str]:
    """Return what is before and after the key in an address, which depends on `where` we are."""
    begin, end = reverse(name, args=[PK]).rsplit(str(PK), 1)
    return begin, end
