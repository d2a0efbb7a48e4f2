"""The app."""

from __future__ import annotations

from django.apps import AppConfig


class OutboxConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """Named so that no app of anybody's is named like it."""

    name = "sidelamb.outbox.django"
    label = "sidelamb_outbox"
    verbose_name = "Sidelamb's outbox"
    default_auto_field = "django.db.models.BigAutoField"
