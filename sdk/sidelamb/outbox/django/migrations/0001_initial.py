"""The table."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):  # type: ignore[misc]  # Django has no types
    """Makes it."""

    initial = True
    dependencies: list[tuple[str, str]] = []  # noqa: RUF012 - Django's form
    operations = [  # noqa: RUF012 - the same
        migrations.CreateModel(
            name="OutboxJob",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("jid", models.CharField(max_length=255)),
                ("job", models.CharField(max_length=255)),
                ("queue", models.CharField(max_length=255)),
                ("at", models.FloatField(null=True)),
                ("payload", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={"db_table": "sidelamb_outbox"},
        ),
    ]
