"""The changes of all schedules are looked through by day, by author and by kind."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', "0023_requested_by"),
    ]

    operations = [
        migrations.AddIndex(
            model_name='schedulechange',
            index=models.Index(fields=['at'], name='change_by_day'),
        ),
        migrations.AddIndex(
            model_name='schedulechange',
            index=models.Index(fields=['by', '-id'], name='change_newest_by'),
        ),
        migrations.AddIndex(
            model_name='schedulechange',
            index=models.Index(fields=['action', '-id'], name='change_newest_kind'),
        ),
    ]
