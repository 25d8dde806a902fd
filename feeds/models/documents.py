"""Documents that could not be read, kept for a while so that somebody can look at them."""

import zlib
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from feeds.models.feeds import Feed
from feeds.reading.result import MAX_TEXT
from tasks import clock
from tasks.fields import StampField


class FailedDocument(models.Model):
    """What a feed's address answered with that could not be read, and why.

    `packed` is the beginning of it, compressed; `size` is how long all of it was.
    """

    feed = models.ForeignKey(
        Feed,
        on_delete=models.CASCADE,
        related_name="+",
        db_constraint=False,
        db_index=False,
        verbose_name=_("feed"),
    )
    at = StampField(_("last fetched"), default=clock.now)
    why = models.TextField(_("why it can't be read"))
    content_type = models.CharField(_("content type"), max_length=MAX_TEXT, blank=True)
    size = models.PositiveIntegerField(_("size"))
    digest = models.CharField(max_length=64)
    packed = models.BinaryField()

    tagged_through: ClassVar[str] = "feed"

    class Meta:
        verbose_name = _("unreadable document")
        verbose_name_plural = _("unreadable documents")
        ordering: ClassVar = ["-at", "-id"]
        indexes: ClassVar = [models.Index(fields=["-at", "-id"], name="document_newest")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["feed", "digest"], name="document_unique_in_feed"),
        ]

    def __str__(self) -> str:
        return f"{self.feed}, {self.at:%Y-%m-%d %H:%M}"

    @property
    def body(self) -> bytes:
        """The beginning of the document."""
        return zlib.decompress(self.packed)
