"""Sidelamb for Django: a backend of `django.tasks`, autodiscovered jobs, `manage.py sidelamb`.

    INSTALLED_APPS = [..., "sidelamb.django"]
    TASKS = {"default": {"BACKEND": "sidelamb.django.SidelambBackend", "QUEUES": []}}
    SIDELAMB = {"redis": "redis://127.0.0.1:6379/0"}     # what `configure` takes

Django 6.0 and newer has `django.tasks`; for Django 5.2 it is the `django-tasks` backport. Plain `@job` needs
neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidelamb.django.backend import SidelambBackend, SidelambTask, task

__all__ = ["SidelambBackend", "SidelambTask", "task"]


def __getattr__(name: str) -> object:
    """Import the backend when it is asked for: jobs and commands do without it, and features without Django."""
    if name not in __all__:
        raise AttributeError(f"module 'sidelamb.django' has no attribute {name!r}")
    from sidelamb.django import backend  # noqa: PLC0415

    return getattr(backend, name)
