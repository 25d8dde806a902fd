"""The hosts of feeds, of which something is to be remembered."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class FeedHost(models.Model):
    """A public host that wants to be left alone: none of its feeds is asked before then."""

    name = models.CharField(_("host"), max_length=255, unique=True)
    not_before = models.DateTimeField(_("not before"))
    status = models.PositiveSmallIntegerField(_("status"), help_text=_("With which it said so."))

    class Meta:
        verbose_name = _("host of feeds")
        verbose_name_plural = _("hosts of feeds")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name
