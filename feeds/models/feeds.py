"""The feeds that are polled."""

from typing import ClassVar

from django.apps import apps
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from feeds.addresses import MAX_URL
from feeds.exceptions import shown_url
from feeds.reading.result import MAX_LINK, MAX_TEXT
from tasks.fields import StampField
from tasks.masking import mask_text
from tasks.models import ScheduledTask, ScheduledTaskInstance, Tag


class FeedQuerySet(models.QuerySet["Feed"]):
    """Feeds, with what lists show about them."""

    def with_entry_count(self) -> "FeedQuerySet":
        """Annotate each feed with the number of its entries."""
        counts = (
            apps.get_model("feeds", "Entry")
            .objects.filter(feed=models.OuterRef("pk"))
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
