"""No index of entries by their feed alone: that of a feed's newest entries begins with it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("feeds", "0003_tags")]

    operations = [
        migrations.AlterField(
            model_name="entry",
            name="feed",
            field=models.ForeignKey(
                db_index=False,
                on_delete=models.deletion.CASCADE,
                related_name="entries",
                to="feeds.feed",
                verbose_name="feed",
            ),
        ),
    ]
