"""The URLs of the site."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from project.language import change_language

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("language/", change_language, name="set_language"),
    path("favicon.ico", RedirectView.as_view(url=static("project/mark.svg"))),
    path("feeds/", include("feeds.urls")),
]
