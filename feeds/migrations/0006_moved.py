"""When a feed has moved."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the time."""

    dependencies = [("feeds", "0005_keeping")]

    operations = [
        migrations.AddField(
            model_name="feed",
            name="moved_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
