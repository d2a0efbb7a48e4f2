"""A project as a sandbox imports it."""

import os

SECRET_KEY = "for tests only"
USE_TZ = True
INSTALLED_APPS = ["sidelamb.django", "shop"]
try:
    import django.tasks  # noqa: F401 - Django 6
except ModuleNotFoundError:
    INSTALLED_APPS.insert(0, "django_tasks")
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}}
TASKS = {"default": {"BACKEND": "sidelamb.django.SidelambBackend", "OPTIONS": {"MAX_ATTEMPTS": 2}}}
