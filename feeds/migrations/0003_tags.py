"""Tags of feeds: the same as those of schedules."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("feeds", "0002_masked_history"), ("tasks", "0014_admin")]

    operations = [
        migrations.AddField(
            model_name="feed",
            name="tags",
            field=models.ManyToManyField(
                blank=True,
                db_constraint=False,
                related_name="+",
                to="tasks.tag",
                verbose_name="tags",
            ),
        ),
    ]
