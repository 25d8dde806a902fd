"""The feeds that are polled."""

from typing import ClassVar

from django.apps import apps
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from feeds.addresses import MAX_URL
from feeds.exceptions import shown_url
from feeds.reading.result import MAX_LINK, MAX_TEXT
from tasks.fields import StampField
from tasks.masking import mask_text
from tasks.models import MAX_KEEP_DAYS, ScheduledTask, ScheduledTaskInstance, Tag


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
    """An RSS or Atom feed, with what its server has said that matters for the next request.

    Make and remove feeds through `feeds.services`, which also takes care of their schedules.
    `feeds.asking` writes what comes of each request.
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
    # The address that gave these, after all redirects, and what it gave: a hash of the document.
    final_url = models.TextField(blank=True, db_default="", default="", editable=False)
    body_digest = models.CharField(
        max_length=64, blank=True, db_default="", default="", editable=False
    )
    # Until when it isn't asked, and why: see `feeds.asking.permission.Why`.
    not_before = models.DateTimeField(null=True, editable=False)
    not_before_why = models.CharField(
        max_length=20, blank=True, db_default="", default="", editable=False
    )
    failures = models.PositiveIntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text="How many polls have failed since the last success.",
    )
    # Since when the server says that it is gone, how often it has said so, and when that was enough
    # to believe it.
    gone_since = models.DateTimeField(null=True, editable=False)
    gone_times = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    gone_for_good = models.DateTimeField(null=True, editable=False)
    # Where it redirects to permanently, since when, and how often that was seen.
    moving_to = models.TextField(blank=True, db_default="", default="", editable=False)
    moving_since = models.DateTimeField(null=True, editable=False)
    moving_times = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    original_url = models.TextField(
        _("original address"),
        blank=True,
        db_default="",
        default="",
        editable=False,
        help_text=_("Before it moved."),
    )
    # None also if it can't go back: it has become one with another.
    moved_at = models.DateTimeField(null=True, editable=False)
    # What the document says of when it is worth asking: see `ParsedFeed`.
    update_seconds = models.PositiveIntegerField(null=True, editable=False)
    skip_hours = models.JSONField(null=True, editable=False)
    skip_days = models.JSONField(null=True, editable=False)
    ignores_hints = models.BooleanField(
        _("ignore what it says of when to ask"),
        default=False,
        db_default=False,
        help_text=_(
            "Else it is asked less often if its server or the feed itself says that nothing new "
            "is to be expected."
        ),
    )
    adaptive = models.BooleanField(
        _("ask by how often it publishes"),
        default=False,
        db_default=False,
        help_text=_(
            "Less often than its schedule says if its entries are rare, but at least once a day."
        ),
    )
    # What was wrong with the document that was read last, and how many of its entries were not.
    defect = models.TextField(blank=True, db_default="", default="", editable=False)
    dropped = models.PositiveIntegerField(default=0, db_default=0, editable=False)
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
    keep_days = models.PositiveIntegerField(
        _("keep for days"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_KEEP_DAYS)],
        help_text=_("How long its entries are kept; 0: for ever; empty: as the site says."),
    )
    keep_entries = models.PositiveIntegerField(
        _("keep entries"),
        null=True,
        blank=True,
        help_text=_(
            "How many of its entries are kept, besides those that it lists; 0: all; empty: as the "
            "site says."
        ),
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
