"""What hubs are to tell us about feeds."""

import django.db.models.deletion
from django.db import migrations, models

import feeds.models.subscriptions


class Migration(migrations.Migration):
    """Adds the subscriptions."""

    dependencies = [("feeds", "0006_moved")]

    operations = [
        migrations.CreateModel(
            name="Subscription",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "feed",
                    models.OneToOneField(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="subscription",
                        to="feeds.feed",
                    ),
                ),
                ("hub", models.TextField()),
                ("topic", models.TextField(help_text="The feed's address, as the hub knows it.")),
                (
                    "key",
                    models.CharField(
                        default=feeds.models.subscriptions.new_secret, max_length=43, unique=True
                    ),
                ),
                (
                    "secret",
                    models.CharField(default=feeds.models.subscriptions.new_secret, max_length=43),
                ),
                (
                    "callback",
                    models.TextField(blank=True, help_text="As the hub was last told."),
                ),
                (
                    "pending",
                    models.CharField(
                        blank=True,
                        choices=[("subscribe", "Subscribe"), ("unsubscribe", "Unsubscribe")],
                        max_length=11,
                    ),
                ),
                ("asked", models.DateTimeField(null=True)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("failure", models.TextField(blank=True)),
                ("ask_after", models.DateTimeField(null=True)),
                ("lease_end", models.DateTimeField(null=True)),
                ("pushed", models.DateTimeField(null=True)),
                ("requested", models.DateTimeField(null=True)),
                ("ignored", models.DateTimeField(null=True)),
                ("polled", models.DateTimeField(null=True)),
                ("trusted", models.BooleanField(default=False)),
                ("created", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "verbose_name": "subscription at a hub",
                "verbose_name_plural": "subscriptions at hubs",
                "ordering": ["pk"],
            },
        ),
    ]
