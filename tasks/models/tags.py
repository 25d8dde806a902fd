"""Tags of schedules, and the people who are limited to them."""

from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.core.validators import validate_unicode_slug
from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks.models.fields import PrimaryManager


class Tag(models.Model):
    """A word by which schedules are grouped, and to which people can be limited.

    Who is attached to tags, directly or by a group, is limited to what has one of these; a
    superuser never is. Accounts may be in another database than this one, so nothing here
    refers to them by a constraint, and nothing can be joined with them: the pks of a user's
    tags are `TagUser.objects.filter(user_id=…)` and `TagGroup.objects.filter(group_id__in=…)`.
    """

    name = models.CharField(
        _("name"), max_length=50, unique=True, validators=[validate_unicode_slug]
    )
    users = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        through="TagUser",
        related_name="+",
        verbose_name=_("limited users"),
        blank=True,
    )
    groups = models.ManyToManyField(
        "auth.Group",
        through="TagGroup",
        related_name="+",
        verbose_name=_("limited groups"),
        blank=True,
    )

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a new name that differs from that of another tag only in the case of its letters.

        Such tags may be there from before: they stay as long as their names do.
        """
        names = dict(Tag.objects.values_list("pk", "name"))
        if names.pop(self.pk, None) == self.name:
            return
        for name in names.values():
            if name != self.name and name.casefold() == self.name.casefold():
                text = _("There is already a tag “%(name)s”: the case of letters doesn't count.")
                raise ValidationError({"name": text % {"name": name}})


class LinkManager(PrimaryManager):
    """Reads the accounts of its rows along, all at once: they may be in another database."""

    def __init__(self, account: str) -> None:
        super().__init__()
        self._account = account

    def get_queryset(self) -> models.QuerySet:
        return super().get_queryset().prefetch_related(self._account)


class TagUser(models.Model):
    """A user who is limited to a tag (and to others that he has)."""

    # Whoever is limited only by a tag that is deleted would see everything.
    tag = models.ForeignKey(Tag, on_delete=models.PROTECT)
    # Deleting an account never looks here: this table may be in another database.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )

    objects = LinkManager("user")

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("limited user")
        verbose_name_plural = _("limited users")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tag", "user"], name="tag_user_once"),
        ]

    def __str__(self) -> str:
        try:
            return f"{self.user} ({self.tag})"
        except ObjectDoesNotExist:  # Its account has been deleted since.
            return f"#{self.user_id} ({self.tag})"


class TagGroup(models.Model):
    """A group whose members are limited to a tag (and to others that they have)."""

    tag = models.ForeignKey(Tag, on_delete=models.PROTECT)  # As above.
    group = models.ForeignKey(
        "auth.Group", on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )

    objects = LinkManager("group")

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("limited group")
        verbose_name_plural = _("limited groups")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tag", "group"], name="tag_group_once"),
        ]

    def __str__(self) -> str:
        try:
            return f"{self.group} ({self.tag})"
        except ObjectDoesNotExist:  # Its account has been deleted since.
            return f"#{self.group_id} ({self.tag})"
