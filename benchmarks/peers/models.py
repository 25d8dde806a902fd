"""What a user would record of each run where a peer has no records of its own."""

from django.db import models


class Run(models.Model):
    """A run: written when it starts and when it ends."""

    function = models.CharField(max_length=200)
    status = models.CharField(max_length=16, db_index=True)
    started = models.DateTimeField()
    ended = models.DateTimeField(null=True)

    objects: models.Manager["Run"] = models.Manager()

    class Meta:
        app_label = "peers"

    def __str__(self) -> str:
        return f"{self.function} ({self.status})"
