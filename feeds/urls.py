"""The URLs of the app."""

from django.urls import path

from feeds.syndication import ActivityFeed, TagFeed
from feeds.websub.callback import callback

app_name = "feeds"
urlpatterns = [
    path("activity/", ActivityFeed(), name="activity"),
    path("tag/<path:name>/", TagFeed(), name="tag"),
    path("websub/<slug:key>/", callback, name="websub"),
]
