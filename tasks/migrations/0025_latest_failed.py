"""Which runs failed lately is known by an index, also of some schedules only."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', '0024_changes_of_all'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='scheduledtaskinstance',
            index=models.Index(
                fields=['-ended', '-id', 'parent'],
                condition=Q(status='failed'),
                name='run_latest_failed',
            ),
        ),
        migrations.RemoveIndex(
            model_name='scheduledtaskinstance',
            name='run_failed_to_retry',
        ),
    ]
