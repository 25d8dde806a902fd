"""Holds: everything, or one queue, is paused."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tasks import clock
from tasks.fields import StampField
from tasks.models.fields import NAME_LENGTH, PrimaryManager


class Hold(models.Model):
    """While it lasts, workers take no jobs from one queue, or no jobs at all.

    A hold of everything pauses the schedules, too. It lasts until its row is deleted. Begin and end
    it through `tasks.holds`.
    """

    queue = models.CharField(
        _("queue"), max_length=64, blank=True, unique=True, help_text=_("Empty: everything.")
    )
    since = StampField(_("since"), default=clock.now, editable=False)
    by = models.CharField(_("by"), max_length=NAME_LENGTH, blank=True, editable=False)
    note = models.TextField(_("note"), blank=True, help_text=_("For people, such as why."))

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        ordering: ClassVar = ["queue"]

    def __str__(self) -> str:
        return self.queue or gettext("everything")


class Overview(Hold):
    """The admin's overview, a page without rows: Django makes addresses and entries for models."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("overview")
        verbose_name_plural = _("overview")
