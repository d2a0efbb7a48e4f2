"""The tasks framework that is installed: Django's own since 6.0, or else the `django-tasks` backport."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.core.exceptions import ImproperlyConfigured

__all__ = ["base", "exceptions", "framework", "invalid_backend", "invalid_task", "signals"]


def _named() -> str:
    for name in ("django.tasks", "django_tasks"):
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
        else:
            return name
    raise ImproperlyConfigured(
        "sidelamb.django's backend needs django.tasks: Django 6.0 or newer, or `pip install django-tasks` and "
        "'django_tasks' in INSTALLED_APPS"
    )


framework: Any = import_module(_named())
base: Any = import_module(f"{framework.__name__}.base")
exceptions: Any = import_module(f"{framework.__name__}.exceptions")
signals: Any = import_module(f"{framework.__name__}.signals")
invalid_task: Any = getattr(exceptions, "InvalidTask", None) or exceptions.InvalidTaskError
"""The backport calls it otherwise; so it does InvalidTaskBackend."""
invalid_backend: Any = getattr(exceptions, "InvalidTaskBackend", None) or exceptions.InvalidTaskBackendError
