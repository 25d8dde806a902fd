"""Lists of feeds (OPML) in the admin: uploaded and downloaded."""

from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from feeds import opml
from feeds.admin_pages.add_feed import AddFeedAdmin, IntervalChoice
from feeds.exceptions import BadOpml
from feeds.exporting import outlines_of
from feeds.importing import Outcome, import_feeds, summary
from feeds.models import Feed
from feeds.opml import Outline
from tasks.access import limits, visible
from tasks.broker.ownership import why_not_in_redis
from tasks.masking import mask_text
from tasks.models import Tag

# How many of each outcome are shown one by one.
SHOWN = 500
TEMPLATE = "admin/feeds/feed/lists.html"


class ListForm(forms.Form):
    """A list to import, and how often its new feeds are asked."""

    file = forms.FileField(label=gettext_lazy("OPML file"))
    interval = IntervalChoice()
    adaptive = forms.fields_for_model(Feed, ["adaptive"])["adaptive"]

    def clean_file(self) -> list[Outline]:
        """Return the feeds of the list."""
        try:
            return opml.read(self.cleaned_data["file"].read(opml.MAX_BYTES + 1))
        except BadOpml as error:
            raise ValidationError(str(error)) from error


class FeedListsAdmin(AddFeedAdmin):
    """The page on which lists are imported, and the list that is exported."""

    def get_urls(self) -> list[URLPattern]:
        lists = self.admin_site.admin_view(self.lists_view)
        download = self.admin_site.admin_view(self.download_view)
        return [
            path("lists/", lists, name="feeds_feed_lists"),
            path("lists/feeds.opml", download, name="feeds_feed_download"),
            *super().get_urls(),
        ]

    def lists_view(self, request: HttpRequest) -> HttpResponse:
        """Import a list, and say of each of its feeds what became of it."""
        may_import = self.has_add_permission(request)
        if not (may_import if request.method == "POST" else self.has_view_permission(request)):
            raise PermissionDenied
        is_sent = request.method == "POST"
        form = ListForm(request.POST, request.FILES) if is_sent else ListForm()
        groups: list[dict[str, Any]] = []
        report = ""
        if is_sent and form.is_valid():
            results = import_feeds(
                self._permitted(request, form.cleaned_data["file"]),
                known=lambda feeds: self._changeable(request, feeds),
                interval=form.cleaned_data["interval"],
                adaptive=form.cleaned_data["adaptive"],
            )
            report = summary(results)
            made = [result.feed.schedule for result in results if result.feed is not None]
            if any(schedule and schedule.projected is False for schedule in made):
                messages.warning(request, why_not_in_redis())
            groups = [_group(outcome, results) for outcome in reversed(Outcome)]
        context = {
            **self.admin_site.each_context(request),
            "title": _("Lists of feeds"),
            "opts": self.opts,
            "form": form,
            "may_import": may_import,
            "report": report,
            "groups": [group for group in groups if group["number"]],
            "hidden": sum(map(_has_secret, self._feeds(request).values_list("url", flat=True))),
        }
        return TemplateResponse(request, TEMPLATE, context)

    def download_view(self, request: HttpRequest) -> HttpResponse:
        """Return the feeds that the user may see, apart from those whose address has a secret."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        document = opml.write(self._exported(request))
        response = HttpResponse(document, content_type="text/x-opml; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="feeds.opml"'
        return response

    def _feeds(self, request: HttpRequest) -> QuerySet[Feed]:
        return visible(request.user, Feed.objects.all())

    def _exported(self, request: HttpRequest) -> list[Outline]:
        tags = visible(request.user, Tag.objects.all())
        outlines = outlines_of(self._feeds(request), tags)
        return [one for one in outlines if not _has_secret(one.url)]

    def _changeable(self, request: HttpRequest, feeds: QuerySet[Feed]) -> QuerySet[Feed]:
        """Return those of the feeds that are here which the user may give tags."""
        seen = visible(request.user, feeds)
        return seen if self.has_change_permission(request) else seen.none()

    def _permitted(self, request: HttpRequest, outlines: list[Outline]) -> list[Outline]:
        """Return the feeds of a list with those of their tags that the user may give.

        Whoever is limited to tags gives their own: else the feeds would be gone from their sight.
        """
        if self.admin_site.get_model_admin(Tag).has_add_permission(request):
            return outlines
        allowed = set(visible(request.user, Tag.objects.all()).values_list("name", flat=True))
        own = tuple(sorted(allowed)) if limits(request.user) is not None else ()
        kept = (tuple(tag for tag in one.tags if tag in allowed) for one in outlines)
        return [replace(one, tags=tags or own) for one, tags in zip(outlines, kept, strict=True)]


def _has_secret(url: str) -> bool:
    """Return whether the address of a feed has a secret in it, so that it isn't exported."""
    return mask_text(url) != url


def _group(outcome: Outcome, results: list[Any]) -> dict[str, Any]:
    titles = {
        Outcome.NEW: _("New"),
        Outcome.KNOWN: _("Known"),
        Outcome.REFUSED: _("Refused"),
    }
    chosen = [result for result in results if result.outcome == outcome]
    return {
        "title": titles[outcome],
        "is_refused": outcome is Outcome.REFUSED,
        "number": len(chosen),
        "results": chosen[:SHOWN],
        "more": len(chosen[SHOWN:]),
    }
