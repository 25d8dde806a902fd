"""Fields of models."""

from datetime import datetime
from typing import Any

from django.db import models
from django.utils import timezone

from tasks import clock


class StampField(models.DateTimeField):
    """A date and time that is stamped by Redis's clock (R12), not by this machine's.

    By its default `clock.now`, or as `auto_now` and `auto_now_add` say. To migrations it is a
    plain DateTimeField: who stamps it makes no difference to the database.
    """

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        if self.auto_now or (self.auto_now_add and add):
            now: datetime = clock.now()
            setattr(model_instance, self.attname, now)
            return now
        return super().pre_save(model_instance, add)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _path, args, kwargs = super().deconstruct()
        if kwargs.get("default") is clock.now:
            kwargs["default"] = timezone.now
        return name, "django.db.models.DateTimeField", args, kwargs
