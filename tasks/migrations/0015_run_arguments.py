"""A run can be requested with arguments of its own, and as the next attempt of one that failed."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', '0014_admin'),
    ]

    operations = [
        migrations.AddField(
            model_name='scheduledtaskinstance',
            name='arguments',
            field=models.JSONField(editable=False, null=True, verbose_name='arguments of its own'),
        ),
        migrations.AddField(
            model_name='runrequest',
            name='arguments',
            field=models.JSONField(editable=False, null=True, verbose_name='arguments of its own'),
        ),
        migrations.AddField(
            model_name='runrequest',
            name='attempt',
            field=models.PositiveSmallIntegerField(db_default=1, default=1, verbose_name='attempt'),
        ),
    ]
