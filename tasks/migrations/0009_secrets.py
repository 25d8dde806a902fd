"""Names and reasons are stored without the secrets in them; a permission to reveal others.

Names, which are part of a schedule's identity, are masked in `NameField` from now on. Reasons are
masked when they are written. Both can be searched, so what is stored already is masked here.
"""

import hashlib
from typing import Any, ClassVar

from django.apps import apps as installed
from django.db import IntegrityError, connections, migrations, router, transaction
from django.db.models import Q

from tasks.masking import UNAMBIGUOUS, hiding, mask_text
from tasks.registry import secret_values
from tasks.storable import canonical_json

HAS_ADMIN = installed.is_installed("django.contrib.admin")
CHUNK = 1_000
# What every address with a secret in it contains.
IN_ADDRESSES = ("=", "@")


def mask_records(apps: Any, schema_editor: Any) -> None:
    alias = schema_editor.connection.alias
    schedules = apps.get_model("tasks", "ScheduledTask").objects.using(alias)
    runs = apps.get_model("tasks", "ScheduledTaskInstance").objects.using(alias)
    calls = apps.get_model("tasks", "Task").objects.using(alias)
    for schedule in schedules.filter(_may_have_secrets("name")).iterator():
        _mask_name(schedule, mask_text(schedule.name))
    for old in runs.filter(_may_have_secrets("name")).order_by().values_list("name").distinct():
        if (name := mask_text(old[0])) != old[0]:
            runs.filter(name=old[0]).update(name=name)
    for records in (runs, calls):
        _mask_reasons(records.filter(_may_have_secrets("reason")))
    for schedule in schedules.exclude(args=[], kwargs={}).iterator():
        _mask_values(schedule, runs.filter(parent=schedule.pk))
    for call in calls.exclude(reason="").exclude(args=[], kwargs={}).iterator():
        _mask_values(call, calls.filter(pk=call.pk))
    if HAS_ADMIN:
        entries = apps.get_model("admin", "LogEntry").objects
        database = router.db_for_write(entries.model)
        if entries.model._meta.db_table in connections[database].introspection.table_names():
            _mask_history(entries.using(database))


def _may_have_secrets(field: str) -> Q:
    return Q(*((f"{field}__contains", text) for text in IN_ADDRESSES), _connector=Q.OR)


def _mask_name(schedule: Any, name: str) -> None:
    """Mask a schedule's name; if that makes it the same as another one, number it."""
    if name == schedule.name:
        return
    for wanted in (name, f"{name[:180]} ({schedule.pk})"):
        identity = canonical_json([wanted, schedule.function, schedule.args, schedule.kwargs])
        schedule.name = wanted
        schedule.fingerprint = hashlib.sha256(identity.encode()).hexdigest()
        try:
            with transaction.atomic(using=schedule._state.db):
                schedule.save(update_fields=["name", "fingerprint"])
            return
        except IntegrityError:
            continue


def _mask_reasons(records: Any) -> None:
    changed = []
    for record in records.only("reason").iterator(CHUNK):
        if (reason := mask_text(record.reason)) != record.reason:
            record.reason = reason
            changed.append(record)
    records.model._base_manager.using(records.db).bulk_update(changed, ["reason"], CHUNK)


def _mask_values(owner: Any, records: Any) -> None:
    """Mask the secrets among the arguments of a call in the reasons of its runs."""
    values = secret_values(owner.function, owner.args, owner.kwargs)
    with hiding(values):
        for value in values:
            if len(value) >= UNAMBIGUOUS:
                _mask_reasons(records.filter(reason__contains=value))


def _mask_history(entries: Any) -> None:
    ours = entries.filter(_may_have_secrets("object_repr"), content_type__app_label="tasks")
    for entry in ours.iterator():
        entries.filter(pk=entry.pk).update(object_repr=mask_text(entry.object_repr))


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("tasks", "0008_list_owner"),
        *([("admin", "0003_logentry_add_action_flag_choices")] if HAS_ADMIN else []),
    ]

    operations: ClassVar = [
        migrations.AlterModelOptions(
            name="scheduledtask",
            options={
                "ordering": ["name", "id"],
                "permissions": [("reveal_secrets", "Can reveal secrets")],
                "verbose_name": "schedule",
                "verbose_name_plural": "schedules",
            },
        ),
        migrations.RunPython(mask_records, migrations.RunPython.noop, elidable=True),
    ]
