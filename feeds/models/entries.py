"""The entries of feeds, and what is remembered of those that are no longer kept."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from feeds.models.feeds import Feed
from feeds.reading.result import MAX_LINK, MAX_TEXT
from feeds.reading.words import searchable
from tasks import clock
from tasks.fields import StampField
from tasks.masking import mask_text
from tasks.models import Tag

# How many characters of a text stand for a title.
START = 80
# While a new version is rolled out, older code adds entries, and deletes feeds: hence the defaults
# in the database, and no constraints on keys.
NO_LIST = models.Value([], models.JSONField())


class EntryQuerySet(models.QuerySet["Entry"]):
    """Entries, and which of them are to stay."""

    def not_kept_by_people(self) -> "EntryQuerySet":
        """Return those that nobody has starred or tagged: retention may delete them."""
        tagged = Entry.tags.through.objects.filter(entry=models.OuterRef("pk"))
        return self.filter(~models.Exists(tagged), starred=False)


class Entry(models.Model):
    """An entry of a feed; `summary` and `content` are sanitised HTML.

    `published` and `published_text` stay as they were when it was first seen.
    """

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
    published_text = models.CharField(
        _("date in the feed"), max_length=MAX_TEXT, blank=True, default="", db_default=""
    )
    updated = models.DateTimeField(_("updated"), null=True, blank=True)
    digest = models.CharField(
        max_length=64, editable=False, help_text="Changes with what the entry says."
    )
    first_seen = StampField(_("first seen"), default=clock.now, editable=False)
    categories = models.JSONField(_("categories"), default=list, db_default=NO_LIST, blank=True)
    enclosures = models.JSONField(
        _("files"),
        default=list,
        db_default=NO_LIST,
        blank=True,
        help_text="Each with url, type, length in bytes and duration in seconds.",
    )
    image = models.CharField(_("image"), max_length=MAX_LINK, blank=True, default="", db_default="")
    comments = models.CharField(
        _("comments"), max_length=MAX_LINK, blank=True, default="", db_default=""
    )
    language = models.CharField(
        _("language"), max_length=MAX_TEXT, blank=True, default="", db_default=""
    )
    starred = models.BooleanField(_("starred"), default=False, db_default=False)
    tags = models.ManyToManyField(
        Tag,
        db_constraint=False,
        related_name="+",
        verbose_name=_("tags"),
        blank=True,
        help_text=_("Its own, besides those of its feed. What has one is kept."),
    )
    changes = models.PositiveSmallIntegerField(
        default=0, db_default=0, editable=False, help_text="How many changes were stored."
    )
    changed = models.DateTimeField(_("last changed"), null=True, editable=False)
    words = models.TextField(
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="What is searched, besides title and author.",
    )

    # Who sees it: that is said of feeds. Tags of its own show it to nobody else.
    tagged_through: ClassVar[str] = "feed"

    objects = EntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("entry")
        verbose_name_plural = _("entries")
        ordering: ClassVar = ["-published", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["-published", "-id"], name="entry_newest"),
            models.Index(fields=["feed", "-published", "-id"], name="entry_newest_of_feed"),
            models.Index(
                fields=["-published", "-id"], name="entry_starred", condition=Q(starred=True)
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["feed", "guid"], name="entry_guid_unique_in_feed"),
            models.CheckConstraint(condition=~Q(guid=""), name="entry_has_guid"),
        ]

    def __str__(self) -> str:
        return mask_text(self.title or self.start or self.guid)

    def save(self, *args: Any, **options: Any) -> None:
        """Store it, with the words by which it is found."""
        if options.get("update_fields") is None:
            self.note_words()
        super().save(*args, **options)

    @property
    def start(self) -> str:
        """How its text begins, which stands for a title that it doesn't have."""
        return self.words if len(self.words) <= START else f"{self.words[: START - 1].rstrip()}…"

    def note_words(self) -> None:
        """Note the words by which it is found."""
        # Whoever searches must not learn secrets letter by letter.
        self.words = mask_text(searchable((self.summary, self.content), self.categories))


class Tombstone(models.Model):
    """An entry that is no longer kept, so that it isn't taken for a new one if it is listed again.

    The numbers are those of `feeds.keeping.matching`: an entry has one `key` for each guid that it
    may have, and one for its link. Of each feed the latest are kept.
    """

    feed = models.ForeignKey(
        Feed, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    key = models.BigIntegerField()
    moved_key = models.BigIntegerField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["feed", "key"], name="tombstone_unique_in_feed"),
        ]

    def __str__(self) -> str:
        return f"{self.feed_id}: {self.key}"
