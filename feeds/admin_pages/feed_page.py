"""The page of a feed: why it is not newer, what it published, and what is said of it here."""

from typing import Any, ClassVar

from django import forms
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from feeds import services
from feeds.admin_pages.feed_list import FeedListAdmin
from feeds.admin_pages.feed_notes import asked_of, notes_of, wait_of
from feeds.admin_pages.tagging import allowed_tags
from feeds.health import health_of
from feeds.models import Feed
from feeds.websub.words import push_in_words
from tasks.access import visible
from tasks.admin_pages.links import run_pages, schedule_page
from tasks.admin_pages.states import LOOKS
from tasks.admin_pages.tag_fields import NewTagsField
from tasks.masking import mask_text
from tasks.models import ScheduledTask, Tag

LATEST = 10
REFRESH_MS = 5_000
# The columns of a feed that people set.
SETTINGS = ("adaptive", "ignores_hints", "keep_entries", "keep_days")


class FeedForm(forms.ModelForm):
    """How a feed is asked and kept, its tags, to be ticked, and a place for new ones."""

    may_add_tags = False

    new_tags = NewTagsField()

    @property
    def asking(self) -> list[Any]:
        """The fields that say how the feed is asked."""
        return [self[name] for name in ("adaptive", "ignores_hints")]

    class Meta:
        model = Feed
        fields = ("tags", *SETTINGS)
        widgets: ClassVar = {
            "tags": forms.CheckboxSelectMultiple,
            "keep_entries": forms.NumberInput({"class": "n4", "min": 0}),
            "keep_days": forms.NumberInput({"class": "n4", "min": 0}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.may_add_tags:
            del self.fields["new_tags"]


class FeedPageAdmin(FeedListAdmin):
    """The page of a feed, on which its settings and its tags can be changed."""

    form = FeedForm
    change_form_template = "admin/feeds/feed/change_form.html"
    fields = ("tags", *SETTINGS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Feed]:
        feeds = Feed.objects.with_entry_count().select_related("schedule__calendar")
        tags = Prefetch("tags", visible(request.user, Tag.objects.all()))
        return visible(request.user, feeds.prefetch_related(tags))

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change, **options)
        tags = self.admin_site.get_model_admin(Tag)
        form.may_add_tags = tags.has_add_permission(request)
        return form

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        field: Any = super().formfield_for_dbfield(db_field, request, **options)
        if db_field.name == "tags":
            # Django's own button to add one can't put it among boxes that are ticked.
            field.widget = getattr(field.widget, "widget", field.widget)
        return field

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        feed = context.get("original")
        context |= {"form": context["adminform"].form, "media": forms.Media()}
        if feed is not None:
            context |= {"title": str(feed), "subtitle": None} | self._page_context(request, feed)
        return super().render_change_form(request, context, *args, **kwargs)

    def _page_context(self, request: HttpRequest, feed: Any) -> dict[str, Any]:
        health = health_of([feed])[feed.pk]
        run = health.polled_run
        return {
            "health": health,
            "look": LOOKS[health.look],
            "sentence": health.sentence,
            "wait": wait_of(feed, health),
            "notes": list(notes_of(feed)),
            "asked": list(asked_of(feed)),
            "run_url": run and run_pages()(run),
            "schedule_url": feed.schedule and schedule_page(feed.schedule.pk),
            "push": push_in_words(feed),
            "site": feed.link if mask_text(feed.link) == feed.link else "",
            "latest": feed.entries.only("title", "guid", "published")[:LATEST],
            "entries_url": f"{reverse('admin:feeds_entry_changelist')}?feed__id__exact={feed.pk}",
            "buttons_of_feed": self._offered(request, feed),
            "refresh_ms": REFRESH_MS,
        }

    def _offered(self, request: HttpRequest, feed: Feed) -> list[tuple[str, str]]:
        """Return the actions that the user may do and that suit the feed's schedule now."""
        if feed.schedule is None or not self.has_change_permission(request, feed):
            return []
        is_live = feed.schedule.status in ScheduledTask.LIVE
        unfit = "resume" if is_live else "pause"
        labels = self.labels_of_actions(request)
        return [(name, labels[name]) for name in self.buttons if name in labels and name != unfit]

    def save_model(self, request: HttpRequest, obj: Feed, form: Any, change: bool) -> None:
        """Store what has been changed, and no more: polls write other columns meanwhile."""
        changed = [name for name in SETTINGS if name in form.changed_data]
        if changed:
            obj.save(update_fields=[*changed, "updated"])

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the tags, also new ones, and give them to the feed's schedule."""
        feed = form.instance
        before = set(
            Tag.objects.filter(pk__in=feed.tags.through.objects.filter(feed=feed).values("tag"))
        )
        super().save_related(request, form, formsets, change)
        typed = form.cleaned_data.get("new_tags", ())
        feed.tags.add(*allowed_tags(request, typed, form.may_add_tags))
        services.tag_schedule(feed, before)

    def response_post_save_change(self, request: HttpRequest, obj: Feed) -> HttpResponseRedirect:
        """Stay on the page: it is where one looks."""
        return HttpResponseRedirect(self.page_of(obj))
