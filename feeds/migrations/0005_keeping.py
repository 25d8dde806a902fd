"""What is kept of entries: more of each, tombstones, unreadable documents, and a full-text index."""

from typing import Any

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from feeds.keeping import search
from feeds.reading.words import searchable
from tasks.masking import mask_text

CHUNK = 500
NO_LIST = models.Value([], models.JSONField())


class AddColumn(migrations.AddField):
    """Adds a column with a default in the database.

    For SQLite, Django makes the table anew for each column that may not be null, although SQLite
    can add it at once.
    """

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            before = from_state.apps.get_model(app_label, self.model_name)
            field = model._meta.get_field(self.name)
            BaseDatabaseSchemaEditor.add_field(schema_editor, before, field)


def note_words(apps: Any, schema_editor: Any) -> None:
    entries = apps.get_model("feeds", "Entry").objects.using(schema_editor.connection.alias)
    last = 0
    while chunk := list(
        entries.filter(pk__gt=last).order_by("pk").only("summary", "content")[:CHUNK]
    ):
        for entry in chunk:
            entry.words = mask_text(searchable((entry.summary, entry.content)))
        entries.bulk_update(chunk, ["words"], batch_size=100)
        last = chunk[-1].pk


def install_search(apps: Any, schema_editor: Any) -> None:
    search.install(schema_editor.connection)


def uninstall_search(apps: Any, schema_editor: Any) -> None:
    search.uninstall(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("feeds", "0004_asking")]

    operations = [
        AddColumn(
            model_name="entry",
            name="categories",
            field=models.JSONField(
                blank=True, db_default=NO_LIST, default=list, verbose_name="categories"
            ),
        ),
        migrations.AddField(
            model_name="entry",
            name="changed",
            field=models.DateTimeField(editable=False, null=True, verbose_name="last changed"),
        ),
        AddColumn(
            model_name="entry",
            name="changes",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                editable=False,
                help_text="How many changes were stored.",
            ),
        ),
        AddColumn(
            model_name="entry",
            name="comments",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=2000, verbose_name="comments"
            ),
        ),
        AddColumn(
            model_name="entry",
            name="enclosures",
            field=models.JSONField(
                blank=True,
                db_default=NO_LIST,
                default=list,
                help_text="Each with url, type, length in bytes and duration in seconds.",
                verbose_name="files",
            ),
        ),
        AddColumn(
            model_name="entry",
            name="image",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=2000, verbose_name="image"
            ),
        ),
        AddColumn(
            model_name="entry",
            name="language",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=500, verbose_name="language"
            ),
        ),
        AddColumn(
            model_name="entry",
            name="published_text",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                max_length=500,
                verbose_name="date in the feed",
            ),
        ),
        AddColumn(
            model_name="entry",
            name="starred",
            field=models.BooleanField(db_default=False, default=False, verbose_name="starred"),
        ),
        AddColumn(
            model_name="entry",
            name="words",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="What is searched, besides title and author.",
            ),
        ),
        migrations.AddField(
            model_name="feed",
            name="keep_days",
            field=models.PositiveIntegerField(
                blank=True,
                help_text=(
                    "How long its entries are kept; 0: for ever; empty: as the site says."
                ),
                null=True,
                validators=[django.core.validators.MaxValueValidator(36500)],
                verbose_name="keep for days",
            ),
        ),
        migrations.AddField(
            model_name="feed",
            name="keep_entries",
            field=models.PositiveIntegerField(
                blank=True,
                help_text=(
                    "How many of its entries are kept, besides those that it lists; 0: all; empty: "
                    "as the site says."
                ),
                null=True,
                verbose_name="keep entries",
            ),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(
                condition=models.Q(("starred", True)),
                fields=["-published", "-id"],
                name="entry_starred",
            ),
        ),
        migrations.CreateModel(
            name="Tombstone",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, auto_created=True, verbose_name="ID")),
                ("key", models.BigIntegerField()),
                ("moved_key", models.BigIntegerField(null=True)),
                (
                    "feed",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="feeds.feed",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="FailedDocument",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, auto_created=True, verbose_name="ID")),
                ("at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="last fetched")),
                ("why", models.TextField(verbose_name="why it can't be read")),
                ("content_type", models.CharField(blank=True, max_length=500, verbose_name="content type")),
                ("size", models.PositiveIntegerField(verbose_name="size")),
                ("digest", models.CharField(max_length=64)),
                ("packed", models.BinaryField()),
                (
                    "feed",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="feeds.feed",
                        verbose_name="feed",
                    ),
                ),
            ],
            options={
                "verbose_name": "unreadable document",
                "verbose_name_plural": "unreadable documents",
                "ordering": ["-at", "-id"],
            },
        ),
        migrations.AddIndex(
            model_name="faileddocument",
            index=models.Index(fields=["-at", "-id"], name="document_newest"),
        ),
        migrations.AddConstraint(
            model_name="faileddocument",
            constraint=models.UniqueConstraint(
                fields=("feed", "digest"), name="document_unique_in_feed"
            ),
        ),
        migrations.AddConstraint(
            model_name="tombstone",
            constraint=models.UniqueConstraint(
                fields=("feed", "key"), name="tombstone_unique_in_feed"
            ),
        ),
        migrations.RunPython(note_words, migrations.RunPython.noop),
        migrations.RunPython(install_search, uninstall_search),
    ]
