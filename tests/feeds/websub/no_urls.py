"""The URLs of a site that has left out those of feeds."""

urlpatterns: list[object] = []
