from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0016_overview"),
    ]

    operations = [
        migrations.AddField(
            model_name="scheduleperiod",
            name="held_by",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="Who had paused everything, if it was paused by that.",
                max_length=200,
            ),
        ),
    ]
