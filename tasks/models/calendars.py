"""Calendars: dates under a name that schedules leave out."""

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Length
from django.db.models.lookups import LessThanOrEqual
from django.utils.translation import gettext_lazy as _

from tasks.exceptions import SpecError
from tasks.fields import StampField
from tasks.models.fields import NAME_LENGTH, PrimaryManager
from tasks.timing.text import MAX_EXCLUDED_LENGTH, format_dates, parse_dates


def normal_dates(text: str) -> str:
    """Return excluded dates in their order; raises SpecError."""
    return format_dates(parse_dates(text))


class Calendar(models.Model):
    """Dates under a name, such as bank holidays, that schedules leave out.

    Change it through `tasks.services.CalendarService`, which also brings the schedules that use
    it up to date.
    """

    name = models.CharField(_("name"), max_length=NAME_LENGTH, unique=True)
    dates = models.TextField(
        _("dates"),
        blank=True,
        help_text=_("On each line a date, 2026-12-24, or a range, 2026-12-24..2026-12-26."),
    )
    description = models.TextField(_("description"), blank=True)
    created = StampField(_("created"), auto_now_add=True)
    updated = StampField(_("updated"), auto_now=True)

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("calendar")
        verbose_name_plural = _("calendars")
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=LessThanOrEqual(Length("dates"), MAX_EXCLUDED_LENGTH),
                name="calendar_dates_in_bounds",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Check the dates, and put them in order."""
        try:
            self.dates = normal_dates(self.dates)
        except SpecError as error:
            raise ValidationError({"dates": str(error)}) from error
