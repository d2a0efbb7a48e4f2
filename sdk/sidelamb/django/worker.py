"""What a worker imports: SIDELAMB_JOBS=sidelamb.django.worker, with DJANGO_SETTINGS_MODULE.

Sets Django up and imports `jobs` and `tasks` of every installed app. A worker runs what was declared in a module
that it imported, never what a payload names: `@job` registers itself, and so does a task of our backend. A task
that is declared for another backend and sent here by `.using(backend=…)` is found in its app's `tasks`.
"""

from __future__ import annotations

import sys

import django
from django.apps import apps
from django.utils.module_loading import autodiscover_modules

from sidelamb.django.connections import with_own_connections
from sidelamb.server import server_middleware

MODULES = ("jobs", "tasks")

if not apps.ready:
    django.setup()
server_middleware(with_own_connections)
autodiscover_modules(*MODULES)


def _find_tasks() -> None:
    if not {"django.tasks", "django_tasks"} & set(sys.modules):
        return
    from sidelamb.django.taskjob import register_all  # noqa: PLC0415 - only who declares tasks has the framework

    for app in apps.get_app_configs():
        register_all(sys.modules.get(f"{app.name}.tasks"))


_find_tasks()
