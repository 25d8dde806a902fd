"""Feeds and their entries."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from feeds.exceptions import shown_url
from feeds.parsing import MAX_LINK, MAX_TEXT
from tasks import clock
from tasks.fields import StampField
from tasks.masking import mask_text
from tasks.models import ScheduledTask, ScheduledTaskInstance, Tag

MAX_URL = 2_000


class FeedQuerySet(models.QuerySet["Feed"]):
    """Feeds, with what lists show about them."""

    def with_entry_count(self) -> "FeedQuerySet":
        """Annotate each feed with the number of its entries."""
        counts = (
            Entry.objects.filter(feed=models.OuterRef("pk"))
            .order_by()
            .values("feed")
            .annotate(count=models.Count("pk"))
        )
        none = models.Value(0)
        return self.annotate(entry_count=Coalesce(models.Subquery(counts.values("count")), none))

    def with_last_run(self) -> "FeedQuerySet":
        """Annotate each feed with the newest started run of its schedule: id and status."""
        newest = ScheduledTaskInstance.objects.filter(
            parent=models.OuterRef("schedule"), started__isnull=False
        ).order_by("-id")
        return self.annotate(
            last_run_id=models.Subquery(newest.values("pk")[:1]),
            last_run_status=models.Subquery(newest.values("status")[:1]),
        )


class Feed(models.Model):
    """An RSS or Atom feed, with the validators (ETag, Last-Modified) for its next request.

    Make and remove feeds through `feeds.services`, which also takes care of their schedules.
    """

    url = models.CharField(
        _("address"),
        max_length=MAX_URL,
        unique=True,
        help_text=_("A name and a password in it (https://name:password@…) are never shown."),
    )
    title = models.CharField(_("title"), max_length=MAX_TEXT, blank=True)
    link = models.CharField(_("site"), max_length=MAX_LINK, blank=True)
    etag = models.TextField(_("ETag"), blank=True, editable=False)
    last_modified = models.TextField(_("Last-Modified"), blank=True, editable=False)
    schedule = models.OneToOneField(
        ScheduledTask,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("schedule"),
    )
    # Without a constraint: while a new version is rolled out, older code deletes feeds too.
    tags = models.ManyToManyField(
        Tag, db_constraint=False, related_name="+", verbose_name=_("tags"), blank=True
    )
    created = StampField(_("created"), auto_now_add=True)
    updated = StampField(_("updated"), auto_now=True)

    objects = FeedQuerySet.as_manager()

    class Meta:
        verbose_name = _("feed")
        verbose_name_plural = _("feeds")
        ordering: ClassVar = ["title", "url"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(url__startswith="http://") | Q(url__startswith="https://"),
                name="feed_url_is_web",
            ),
        ]

    def __str__(self) -> str:
        return mask_text(self.title) or self.shown_url

    @property
    def shown_url(self) -> str:
        """The address with its secrets masked, to be shown and logged."""
        return shown_url(self.url)


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
