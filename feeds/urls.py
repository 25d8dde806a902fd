"""The URLs of the app."""

from django.urls import path

from feeds.syndication import ActivityFeed, TagFeed

app_name = "feeds"
urlpatterns = [
    path("activity/", ActivityFeed(), name="activity"),
    path("tag/<path:name>/", TagFeed(), name="tag"),
]
