"""Where the pages of records are: all that link to one ask here."""

from collections.abc import Callable

from django.urls import reverse

# Stands for any key: some addresses take only numbers.
PK = 987654321987654321


def schedule_page(pk: int) -> str:
    """Return the address of a schedule's own page, on which it is looked at.

    Its form, `admin:tasks_scheduledtask_change`, is behind that page's “Edit”.
    """
    return reverse("admin:tasks_scheduledtask_page", args=[pk])


def schedule_pages() -> Callable[[int], str]:
    """Return the function that says where the page of a schedule is, for lists of many."""
    return _pages("tasks_scheduledtask_page")


def run_pages() -> Callable[[int], str]:
    """Return the function that says where the page of a run is, for pictures of very many.

    Asking Django for each of them takes longer than all the rest of a picture.
    """
    return _pages("tasks_scheduledtaskinstance_change")


def _pages(name: str) -> Callable[[int], str]:
    begin, end = reverse(f"admin:{name}", args=[PK]).rsplit(str(PK), 1)
    return lambda pk: f"{begin}{pk}{end}"
