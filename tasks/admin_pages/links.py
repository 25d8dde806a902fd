"""Where the pages of records are: all that link to one ask here."""

from collections.abc import Callable

from django.urls import reverse

PK = "pk"


def schedule_page(pk: int) -> str:
    """Return the address of a schedule's own page, on which it is looked at.

    Its form, `admin:tasks_scheduledtask_change`, is behind that page's “Edit”.
    """
    return reverse("admin:tasks_scheduledtask_page", args=[pk])


def run_pages() -> Callable[[int], str]:
    """Return the function that says where the page of a run is, for pictures of very many.

    Asking Django for each of them takes longer than all the rest of a picture.
    """
    begin, end = reverse("admin:tasks_scheduledtaskinstance_change", args=[PK]).rsplit(PK, 1)
    return lambda pk: f"{begin}{pk}{end}"
