"""Where the pages of records are: all that link to one ask here."""

from django.urls import reverse


def schedule_page(pk: int) -> str:
    """Return the address of a schedule's own page, on which it is looked at.

    Its form, `admin:tasks_scheduledtask_change`, is behind that page's “Edit”.
    """
    return reverse("admin:tasks_scheduledtask_page", args=[pk])
