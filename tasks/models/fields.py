"""What several models have in common: names, secrets, and from which database they are read."""

from typing import Any

from django.db import models

from tasks.database import alias
from tasks.masking import hiding, mask_text

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


class Secretive:
    """A row of a call whose arguments may hold secrets."""

    @property
    def secret_values(self) -> list[str]:
        """The secrets among the arguments."""
        raise NotImplementedError

    def masked(self, text: str) -> str:
        """Return a text of the row, or about it, as it is shown: without these and other secrets.

        Texts are stored masked; an older version, or code of the site, may have stored others.
        """
        with hiding(self.secret_values):
            return mask_text(text)
