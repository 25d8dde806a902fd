from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("tasks", "0020_schedule_changed"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="scheduledtask",
            index=models.Index(
                condition=models.Q(("problem", ""), _negated=True),
                fields=["status"],
                name="schedule_problem",
            ),
        ),
    ]
