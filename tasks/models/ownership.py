"""By which this database owns its keys in Redis (R16)."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class OwnerMark(models.Model):
    """By which this database owns its keys in Redis: one row, with a counterpart there (R16).

    The leading scheduler raises `number` every few seconds, here first and then in Redis. So a
    database that is behind Redis is a copy, or was restored from a backup. See
    `tasks.broker.ownership`.
    """

    THE_ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=THE_ONLY, editable=False)
    owner = models.UUIDField(_("owner"), default=uuid.uuid4, editable=False)
    number = models.PositiveBigIntegerField(_("number"), default=0, editable=False)

    class Meta:
        verbose_name = _("owner mark")
        verbose_name_plural = _("owner marks")
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(id=1), name="owner_mark_only_one"),
        ]

    def __str__(self) -> str:
        return f"{self.owner} ({self.number})"
