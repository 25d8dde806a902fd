"""Holds: everything, or one queue, is paused."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tasks import clock
from tasks.fields import StampField
from tasks.models.fields import NAME_LENGTH, PrimaryManager


class Hold(models.Model):
    """While it lasts, nothing is dispatched or started: on one queue, or at all.

    It lasts until its row is deleted. The schedules keep their own status.
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
