"""Adding a feed: its address is fetched first, and what was found there is shown."""

from contextlib import suppress
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from feeds import services
from feeds.addresses import typed_url
from feeds.admin_pages.feed_page import FeedForm, FeedPageAdmin
from feeds.exceptions import BadUrl, FeedError, without_secrets
from feeds.interval import CHOICES
from feeds.looking import Looked, look
from feeds.models import Feed
from tasks.access import visible
from tasks.admin_pages.addresses import number_in
from tasks.broker.ownership import RedisRefused, why_not_in_redis
from tasks.exceptions import NotPossible
from tasks.services import SchedulerService
from tasks.timing.describe import describe_seconds

# Of the entries of a feed that is looked at.
SHOWN = 5
TEMPLATE = "admin/feeds/feed/add.html"
# The columns of a new feed that people set.
ADDED = ("url", "adaptive", "ignores_hints", "tags")


def interval_choices() -> list[tuple[int, str]]:
    """Return how often a new feed can be polled, in seconds and in words."""
    return [
        (seconds, _("every %(span)s") % {"span": describe_seconds(seconds)}) for seconds in CHOICES
    ]


class IntervalChoice(forms.TypedChoiceField):
    """How often a new feed is polled, in seconds; if nothing is chosen, as usual."""

    def __init__(self) -> None:
        usual: Any = services.DEFAULT_INTERVAL
        super().__init__(
            label=gettext_lazy("How often"),
            choices=interval_choices,
            coerce=int,
            required=False,
            empty_value=usual,
            initial=usual,
        )


class AddForm(FeedForm):
    """A new feed: its address, as people type or paste it, how often, and its tags."""

    interval = IntervalChoice()

    class Meta:
        model = Feed
        fields = ADDED
        widgets: ClassVar = {
            **FeedForm.Meta.widgets,
            "url": forms.TextInput(
                {"class": "w100", "inputmode": "url", "autocomplete": "off", "spellcheck": "false"}
            ),
        }

    def clean_url(self) -> str:
        """Return the canonical form of the address."""
        try:
            return typed_url(self.cleaned_data["url"])
        except BadUrl as error:
            raise ValidationError(error.problem) from error


class AddFeedAdmin(FeedPageAdmin):
    """The page on which a feed is added, in two steps: look, then add."""

    add_form_template = TEMPLATE

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        if obj is None:
            options |= {"form": AddForm, "fields": ADDED}
        return super().get_form(request, obj, change, **options)

    def get_fieldsets(self, request: HttpRequest, obj: Feed | None = None) -> Any:
        fields = (*ADDED, "interval") if obj is None else self.fields
        return ((None, {"fields": fields}),)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the form, or what is at an address; or add the feed.

        Looking is a POST, too: it makes this site fetch an address.
        """
        if request.method == "POST" and "_look" not in request.POST:
            return super().add_view(request, form_url, extra_context)
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._look(request)
        initial = self.get_changeform_initial_data(request)
        return self._show(request, self.get_form(request)(initial=initial))

    def _look(self, request: HttpRequest) -> HttpResponse:
        """Show what is at an address: the typed one, the chosen one, or where a feed's site is."""
        text = request.POST["_look"] or request.POST.get("url", "")
        if (pk := number_in(request.POST.get("feed"))) is not None:
            feed = get_object_or_404(self.get_queryset(request), pk=pk)
            text = without_secrets(feed.link or feed.url)
        values = request.POST.copy()
        values["url"] = text
        context: dict[str, Any] = {}
        try:
            looked = look(typed_url(text))
            if looked.interval is not None:
                values["interval"] = str(looked.interval)
            context = {"looked": looked, "found": self._found(looked)}
            values["url"] = looked.url
        except BadUrl as error:
            context = {"problem": error.problem, "is_bad_url": True}
        except FeedError as error:
            context = {"problem": error.problem}
        form = self.get_form(request)(initial={**values.dict(), "tags": values.getlist("tags")})
        return self._show(request, form, **context)

    def _found(self, looked: Looked) -> list[dict[str, Any]]:
        known = set(
            Feed.objects.filter(url__in=[one.url for one in looked.found]).values_list(
                "url", flat=True
            )
        )
        return [{"feed": one, "is_known": one.url in known} for one in looked.found]

    def _show(self, request: HttpRequest, form: Any, **context: Any) -> HttpResponse:
        looked: Looked | None = context.get("looked")
        feed = looked.feed if looked else None
        url = looked.url if looked else ""
        known = visible(request.user, Feed.objects.filter(url=url)).first() if feed else None
        values = {
            **self.admin_site.each_context(request),
            "title": _("Add feed"),
            "opts": self.opts,
            "form": form,
            "add": True,
            "feed": feed,
            "known": known,
            "entries": feed.entries[:SHOWN] if feed else (),
            "interval_words": describe_seconds(looked.interval or 0) if looked else "",
            "may_save": feed is not None or "problem" in context,
            **context,
        }
        return TemplateResponse(request, TEMPLATE, values)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if context.get("original") is None:
            context |= {"may_save": True, "title": _("Add feed")}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Feed, form: Any, change: bool) -> None:
        """Schedule a new feed, or store the settings of one that is here."""
        if change:
            super().save_model(request, obj, form, change)
            return
        given = ("interval", "adaptive", "ignores_hints")
        values = {name: form.cleaned_data[name] for name in given}
        feed = services.schedule_feed(obj.url, **values)
        obj.__dict__.update(feed.__dict__)
        # Whoever adds a feed waits for its entries. Without Redis, it is fetched when it is due.
        if feed.schedule is not None:
            with suppress(NotPossible, RedisRefused):
                SchedulerService.run_now(feed.schedule)

    def response_post_save_add(self, request: HttpRequest, obj: Feed) -> HttpResponseRedirect:
        """Show the feed, where one sees it being fetched."""
        return HttpResponseRedirect(self.page_of(obj))

    def response_add(self, request: HttpRequest, obj: Feed, post_url_continue: Any = None) -> Any:
        if obj.schedule is not None and obj.schedule.projected is False:
            messages.warning(request, why_not_in_redis())
        return super().response_add(request, obj, post_url_continue)
