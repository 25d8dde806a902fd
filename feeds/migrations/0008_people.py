"""What people say of feeds and entries, and what was wrong with a feed's document."""

from typing import Any

from django.db import migrations, models


A_DAY = 24 * 3_600


def believe_a_day(apps: Any, schema_editor: Any) -> None:
    """Believe no document for more than a day, until the dates of its entries are compared."""
    feeds = apps.get_model("feeds", "Feed").objects.using(schema_editor.connection.alias)
    feeds.filter(update_seconds__gt=A_DAY).update(update_seconds=A_DAY)


class Migration(migrations.Migration):
    """Adds tags of single entries, adaptive polling, and what the last document was like."""

    dependencies = [("feeds", "0007_websub"), ("tasks", "0014_admin")]

    operations = [
        migrations.AddField(
            model_name="entry",
            name="tags",
            field=models.ManyToManyField(
                blank=True,
                db_constraint=False,
                help_text="Its own, besides those of its feed. What has one is kept.",
                related_name="+",
                to="tasks.tag",
                verbose_name="tags",
            ),
        ),
        migrations.AddField(
            model_name="feed",
            name="adaptive",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text=(
                    "Less often than its schedule says if its entries are rare, but at least once "
                    "a day."
                ),
                verbose_name="ask by how often it publishes",
            ),
        ),
        migrations.AddField(
            model_name="feed",
            name="defect",
            field=models.TextField(blank=True, db_default="", default="", editable=False),
        ),
        migrations.AddField(
            model_name="feed",
            name="dropped",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AlterField(
            model_name="feed",
            name="ignores_hints",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text=(
                    "Else it is asked less often if its server or the feed itself says that "
                    "nothing new is to be expected."
                ),
                verbose_name="ignore what it says of when to ask",
            ),
        ),
        migrations.RunPython(believe_a_day, migrations.RunPython.noop),
    ]
