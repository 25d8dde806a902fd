"""A run that somebody has requested says who."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tasks', "0022_week_by_trouble"),
    ]

    operations = [
        migrations.AddField(
            model_name='runrequest',
            name='requested_by',
            field=models.CharField(editable=False, max_length=200, null=True, verbose_name='requested by'),
        ),
        migrations.AddField(
            model_name='scheduledtaskinstance',
            name='requested_by',
            field=models.CharField(editable=False, max_length=200, null=True, verbose_name='requested by'),
        ),
    ]
