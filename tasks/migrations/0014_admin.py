"""What the admin's pages need: summaries, tags, holds, a readable history, and permissions.

Whoever may change schedules today may go on to run, pause and stop: that was one permission.
"""

import re
from typing import Any

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.db import connections, migrations, models, router

# By model: what is granted to all users and groups that have `change_scheduledtask`.
GRANTED = {
    "scheduledtask": {
        "run_scheduledtask": "Can run schedules now",
        "pause_scheduledtask": "Can pause and resume schedules",
    },
    "scheduledtaskinstance": {"stop_run": "Can stop runs"},
}


def grant_permissions(apps: Any, schema_editor: Any) -> None:
    """Grant the new permissions, which Django itself would make only after all migrations.

    In a new database there is nobody to grant them to, and no permission to go by. Accounts may
    be in another database than schedules, as the router says.
    """
    permissions = apps.get_model("auth", "Permission").objects
    database = router.db_for_write(permissions.model)
    if permissions.model._meta.db_table not in connections[database].introspection.table_names():
        return
    permissions = permissions.using(database)
    change = permissions.filter(
        codename="change_scheduledtask", content_type__app_label="tasks"
    ).first()
    if change is None:
        return
    holders = [*_holders(apps, settings.AUTH_USER_MODEL, "user_permissions", change)]
    holders += _holders(apps, "auth.Group", "permissions", change)
    content_types = apps.get_model("contenttypes", "ContentType").objects.using(database)
    for model, names in GRANTED.items():
        content_type, _ = content_types.get_or_create(app_label="tasks", model=model)
        for codename, name in names.items():
            permission, _ = permissions.get_or_create(
                content_type=content_type, codename=codename, defaults={"name": name}
            )
            for granted in holders:
                granted.add(permission)


def _holders(apps: Any, label: str, field: str, permission: Any) -> list[Any]:
    """Return the permissions of each user, or group, that has this one."""
    model = apps.get_model(label)
    try:
        model._meta.get_field(field)
    except FieldDoesNotExist:  # A user model of the site's own may have no permissions.
        return []
    rows = model._base_manager.using(permission._state.db).filter(**{field: permission})
    return [getattr(row, field) for row in rows]


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('tasks', '0013_primary_managers'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('queue', models.CharField(blank=True, help_text='Empty: everything.', max_length=64, unique=True, verbose_name='queue')),
                ('since', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='since')),
                ('by', models.CharField(blank=True, editable=False, max_length=200, verbose_name='by')),
                ('note', models.TextField(blank=True, help_text='For people, such as why.', verbose_name='note')),
            ],
            options={
                'verbose_name': 'hold',
                'verbose_name_plural': 'holds',
                'ordering': ['queue'],
                'base_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='HourlyTotal',
            fields=[
                ('finished', models.PositiveIntegerField(default=0, verbose_name='finished')),
                ('failed', models.PositiveIntegerField(default=0, verbose_name='failed')),
                ('lost', models.PositiveIntegerField(default=0, verbose_name='lost')),
                ('missed', models.PositiveIntegerField(default=0, verbose_name='missed')),
                ('skipped', models.PositiveIntegerField(default=0, verbose_name='skipped')),
                ('canceled', models.PositiveIntegerField(default=0, verbose_name='cancelled')),
                ('late', models.PositiveIntegerField(default=0, verbose_name='late')),
                ('longest_lateness', models.DurationField(null=True, verbose_name='longest lateness')),
                ('hour', models.DateTimeField(primary_key=True, serialize=False, verbose_name='hour')),
                ('latenesses', models.JSONField(default=dict)),
            ],
            options={
                'verbose_name': 'hourly total',
                'verbose_name_plural': 'hourly totals',
                'abstract': False,
                'base_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='Tag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=50, unique=True, validators=[django.core.validators.RegexValidator(re.compile('^[-\\w]+\\Z'), 'Enter a valid “slug” consisting of Unicode letters, numbers, underscores, or hyphens.', 'invalid')], verbose_name='name')),
            ],
            options={
                'verbose_name': 'tag',
                'verbose_name_plural': 'tags',
                'ordering': ['name'],
                'base_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='WeeklySummary',
            fields=[
                ('finished', models.PositiveIntegerField(default=0, verbose_name='finished')),
                ('failed', models.PositiveIntegerField(default=0, verbose_name='failed')),
                ('lost', models.PositiveIntegerField(default=0, verbose_name='lost')),
                ('missed', models.PositiveIntegerField(default=0, verbose_name='missed')),
                ('skipped', models.PositiveIntegerField(default=0, verbose_name='skipped')),
                ('canceled', models.PositiveIntegerField(default=0, verbose_name='cancelled')),
                ('late', models.PositiveIntegerField(default=0, verbose_name='late')),
                ('longest_lateness', models.DurationField(null=True, verbose_name='longest lateness')),
                ('schedule', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='week', serialize=False, to='tasks.scheduledtask', verbose_name='schedule')),
                ('success', models.FloatField(null=True, verbose_name='success')),
                ('p50', models.DurationField(null=True, verbose_name='median duration')),
                ('p95', models.DurationField(null=True, verbose_name='95th percentile of durations')),
            ],
            options={
                'verbose_name': 'weekly summary',
                'verbose_name_plural': 'weekly summaries',
                'abstract': False,
                'base_manager_name': 'objects',
            },
        ),
        migrations.AlterModelOptions(
            name='scheduledtask',
            options={'base_manager_name': 'objects', 'ordering': ['name', 'id'], 'permissions': [('reveal_secrets', 'Can reveal secrets'), ('run_scheduledtask', 'Can run schedules now'), ('pause_scheduledtask', 'Can pause and resume schedules')], 'verbose_name': 'schedule', 'verbose_name_plural': 'schedules'},
        ),
        migrations.AlterModelOptions(
            name='scheduledtaskinstance',
            options={'base_manager_name': 'objects', 'ordering': ['-id'], 'permissions': [('stop_run', 'Can stop runs')], 'verbose_name': 'run', 'verbose_name_plural': 'runs'},
        ),
        migrations.CreateModel(
            name='SummaryMark',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ('through', models.DateTimeField(editable=False)),
            ],
            options={
                'verbose_name': 'summary mark',
                'verbose_name_plural': 'summary marks',
                'base_manager_name': 'objects',
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='summary_mark_only_one')],
            },
        ),
        migrations.AddField(
            model_name='scheduledtask',
            name='tags',
            field=models.ManyToManyField(blank=True, db_constraint=False, related_name='schedules', to='tasks.tag', verbose_name='tags'),
        ),
        migrations.CreateModel(
            name='TagGroup',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('group', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='auth.group')),
                ('tag', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='tasks.tag')),
            ],
            options={
                'verbose_name': 'limited group',
                'verbose_name_plural': 'limited groups',
                'base_manager_name': 'objects',
            },
        ),
        migrations.AddField(
            model_name='tag',
            name='groups',
            field=models.ManyToManyField(blank=True, related_name='+', through='tasks.TagGroup', to='auth.group', verbose_name='limited groups'),
        ),
        migrations.CreateModel(
            name='TagUser',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tag', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='tasks.tag')),
                ('user', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'limited user',
                'verbose_name_plural': 'limited users',
                'base_manager_name': 'objects',
            },
        ),
        migrations.AddField(
            model_name='tag',
            name='users',
            field=models.ManyToManyField(blank=True, related_name='+', through='tasks.TagUser', to=settings.AUTH_USER_MODEL, verbose_name='limited users'),
        ),
        migrations.CreateModel(
            name='HourlySummary',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('finished', models.PositiveIntegerField(default=0, verbose_name='finished')),
                ('failed', models.PositiveIntegerField(default=0, verbose_name='failed')),
                ('lost', models.PositiveIntegerField(default=0, verbose_name='lost')),
                ('missed', models.PositiveIntegerField(default=0, verbose_name='missed')),
                ('skipped', models.PositiveIntegerField(default=0, verbose_name='skipped')),
                ('canceled', models.PositiveIntegerField(default=0, verbose_name='cancelled')),
                ('late', models.PositiveIntegerField(default=0, verbose_name='late')),
                ('longest_lateness', models.DurationField(null=True, verbose_name='longest lateness')),
                ('hour', models.DateTimeField(verbose_name='hour')),
                ('durations', models.JSONField(default=dict)),
                ('latenesses', models.JSONField(default=dict)),
                ('pruned', models.JSONField(null=True)),
                ('schedule', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='hours', to='tasks.scheduledtask', verbose_name='schedule')),
            ],
            options={
                'verbose_name': 'hourly summary',
                'verbose_name_plural': 'hourly summaries',
                'abstract': False,
                'base_manager_name': 'objects',
                'indexes': [models.Index(fields=['hour'], name='summary_by_hour')],
                'constraints': [models.UniqueConstraint(fields=('schedule', 'hour'), name='summary_one_per_hour')],
            },
        ),
        migrations.CreateModel(
            name='ScheduleChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='at')),
                ('by', models.CharField(blank=True, max_length=200, verbose_name='by')),
                ('action', models.CharField(max_length=40, verbose_name='action')),
                ('changes', models.JSONField(blank=True, default=dict, verbose_name='changes')),
                ('note', models.TextField(blank=True, verbose_name='note')),
                ('schedule', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='tasks.scheduledtask', verbose_name='schedule')),
            ],
            options={
                'verbose_name': 'change',
                'verbose_name_plural': 'changes',
                'ordering': ['-id'],
                'base_manager_name': 'objects',
                'indexes': [models.Index(fields=['schedule', '-id'], name='change_newest')],
            },
        ),
        migrations.AddConstraint(
            model_name='taggroup',
            constraint=models.UniqueConstraint(fields=('tag', 'group'), name='tag_group_once'),
        ),
        migrations.AddConstraint(
            model_name='taguser',
            constraint=models.UniqueConstraint(fields=('tag', 'user'), name='tag_user_once'),
        ),
        migrations.RunPython(grant_permissions, migrations.RunPython.noop, elidable=True),
    ]
