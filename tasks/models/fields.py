"""What several models have in common: names, and from which database they are read."""

from typing import Any

from django.db import models

from tasks.database import alias
from tasks.masking import mask_text

NAME_LENGTH = 200


class NameField(models.CharField):
    """A name, which is shown everywhere, and so is stored with its secrets masked.

    What a name is compared with in a query is masked too: a schedule that was named after an
    address is found by that address.
    """

    def deconstruct(self) -> Any:
        """Call it a CharField in migrations: it makes no difference to the database."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.get_prep_value(getattr(model_instance, self.attname))
        setattr(model_instance, self.attname, value)
        return value

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return mask_text(value) if isinstance(value, str) else value


class PrimaryManager(models.Manager):
    """Reads where this app writes, also if the router sends other reads to a replica."""

    def get_queryset(self) -> models.QuerySet:
        rows = super().get_queryset()
        return rows if self._db else rows.using(alias())
