"""What hubs are to tell us about feeds: WebSub."""

import secrets
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from feeds.models.feeds import Feed
from tasks.fields import StampField

SECRET_BYTES = 32


def new_secret() -> str:
    """Return what nobody can guess, as letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(SECRET_BYTES)


class Subscription(models.Model):
    """A hub that is to tell us when a feed has changed, and how far we have come with it.

    Without a feed it is left over: what is still held is given up, then the row is deleted. `key`
    is the unguessable part of our callback, and `secret` what the hub signs its pushes with.
    """

    class Mode(models.TextChoices):
        """What a hub is asked for, as it is written in requests."""

        SUBSCRIBE = "subscribe"
        UNSUBSCRIBE = "unsubscribe"

    # Without a constraint: while a new version is rolled out, older code deletes feeds too.
    feed = models.OneToOneField(
        Feed, on_delete=models.SET_NULL, null=True, db_constraint=False, related_name="subscription"
    )
    hub = models.TextField()
    topic = models.TextField(help_text="The feed's address, as the hub knows it.")
    key = models.CharField(max_length=43, unique=True, default=new_secret)
    secret = models.CharField(max_length=43, default=new_secret)
    callback = models.TextField(blank=True, help_text="As the hub was last told.")
    # What it has been asked for and has not confirmed, how often since it last confirmed anything,
    # and why that was in vain.
    pending = models.CharField(max_length=11, choices=Mode, blank=True)
    asked = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    failure = models.TextField(blank=True)
    # When it is asked again: to renew its lease, or because it has failed or said nothing.
    ask_after = models.DateTimeField(null=True)
    lease_end = models.DateTimeField(null=True)
    # When the hub last pushed, when a poll was last requested because of that, and when something
    # came last that the hub has not signed.
    pushed = models.DateTimeField(null=True)
    requested = models.DateTimeField(null=True)
    ignored = models.DateTimeField(null=True)
    # When the feed was last polled with success, and whether that is seldom enough as long as the
    # hub pushes: see `feeds.websub.rules.is_trusted`.
    polled = models.DateTimeField(null=True)
    trusted = models.BooleanField(default=False)
    created = StampField(auto_now_add=True)

    class Meta:
        verbose_name = _("subscription at a hub")
        verbose_name_plural = _("subscriptions at hubs")
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return str(self.feed or self.pk)
