"""The entries of feeds."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from feeds.models.feeds import Feed
from feeds.reading.result import MAX_LINK, MAX_TEXT
from tasks import clock
from tasks.fields import StampField
from tasks.masking import mask_text


class Entry(models.Model):
    """An entry of a feed; `summary` and `content` are sanitised HTML."""

    feed = models.ForeignKey(
        Feed, on_delete=models.CASCADE, related_name="entries", verbose_name=_("feed")
    )
    guid = models.CharField(_("id"), max_length=MAX_TEXT)
    title = models.CharField(_("title"), max_length=MAX_TEXT, blank=True)
    link = models.CharField(_("link"), max_length=MAX_LINK, blank=True)
    author = models.CharField(_("author"), max_length=MAX_TEXT, blank=True)
    summary = models.TextField(_("summary"), blank=True)
    content = models.TextField(_("content"), blank=True)
    published = StampField(
        _("published"),
        default=clock.now,
        help_text=_("As the feed says, else when it was first seen; never in the future."),
    )
    updated = models.DateTimeField(_("updated"), null=True, blank=True)
    digest = models.CharField(
        max_length=64, editable=False, help_text="Changes with what the entry says."
    )
    first_seen = StampField(_("first seen"), default=clock.now, editable=False)

    tagged_through: ClassVar[str] = "feed"

    class Meta:
        verbose_name = _("entry")
        verbose_name_plural = _("entries")
        ordering: ClassVar = ["-published", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["-published", "-id"], name="entry_newest"),
            models.Index(fields=["feed", "-published", "-id"], name="entry_newest_of_feed"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["feed", "guid"], name="entry_guid_unique_in_feed"),
            models.CheckConstraint(condition=~Q(guid=""), name="entry_has_guid"),
        ]

    def __str__(self) -> str:
        return mask_text(self.title or self.guid)
