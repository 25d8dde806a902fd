"""The URLs of the app."""

from django.urls import path

from feeds.syndication import ActivityFeed

app_name = "feeds"
urlpatterns = [
    path("activity/", ActivityFeed(), name="activity"),
]
