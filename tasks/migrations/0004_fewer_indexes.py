import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("tasks", "0003_periods"),
    ]

    operations = [
        migrations.AlterField(
            model_name="scheduledtaskinstance",
            name="parent",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="runs",
                to="tasks.scheduledtask",
                verbose_name="schedule",
            ),
        ),
    ]
